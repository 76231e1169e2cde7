"""The own server: set up by the first command that needs it, kept, found again, stopped and restarted."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.command import Imrec, until
from e2e.database import one
from e2e.photos import save_many, save_scenes

LIGHT = ("--features", "histogram,average_hash,difference_hash")


@pytest.fixture(scope="module")
def own(imrec: Imrec, reachable: Path) -> Iterator[Imrec]:
    """Yield the command with a data folder in which nothing is yet; what libpq may be told is no matter."""
    run = imrec.with_environ(IMREC_DATA=str(reachable / "own"))
    yield run
    run("db", "stop")


def test_from_nothing_to_an_answer(own: Imrec, folder: Path) -> None:
    data = own.environ["IMREC_DATA"]
    images = save_scenes(folder, range(6))
    nothing = own("db", "status", "--json").json
    assert (nothing["running"], nothing["data_dir"]) == (False, data)
    assert not Path(data).exists()
    assert own("ingest", folder, *LIGHT, "--json").json["new"] == 6
    running = own("db", "status", "--json").json
    assert running["running"]
    assert running["version"].startswith("18.")
    assert running["data_dir"] == data
    human = own("db", "status").out
    assert f"pid {running['pid']}" in human
    assert data in human
    answer = own("search", images[0], "--feature", "histogram", "--json").json
    assert len(answer["neighbours"]) == 5
    assert own("psql", "-qAtc", "SELECT count(*) FROM imrec.file").out == "6\n"
    assert own("db", "status", "--json").json["pid"] == running["pid"]


def test_db_start_prints_a_dsn_that_others_can_use(own: Imrec, imrec: Imrec) -> None:
    dsn = own("db", "start").out.strip()
    assert dsn.startswith("postgresql://imrec@/imrec?host=")
    assert imrec("--dsn", dsn, "status", "--json").json["schema_version"]
    assert imrec("--data", own.environ["IMREC_DATA"], "db", "start").out.strip() == dsn


def test_data_is_taken_whatever_libpq_is_told(own: Imrec, imrec: Imrec) -> None:
    told = imrec.with_environ(PGHOST="x", PGHOSTADDR="192.0.2.1", PGPORT="1", PGDATABASE="x", PGUSER="x")
    data = ["--data", own.environ["IMREC_DATA"]]
    told("status", *data)
    assert told("psql", *data, "-qAtc", "SELECT current_user").out == "imrec\n"


def test_a_killed_server_comes_back_by_itself(own: Imrec) -> None:
    own("db", "start")
    before = own("status", "--json").json
    pid = own("db", "status", "--json").json["pid"]
    os.kill(pid, signal.SIGKILL)
    assert own("status", "--json").json["images"] == before["images"]
    assert own("db", "status", "--json").json["pid"] != pid


def test_stop_and_the_next_command_starts_it_again(own: Imrec) -> None:
    own("db", "start")
    stopped = own("db", "stop")
    assert not stopped.raw_out
    assert "stopped" in stopped.err
    assert not own("db", "status", "--json").json["running"]
    assert "running    no" in own("db", "status").out
    assert "was not running" in own("db", "stop").err
    runs = own.all([["status", "--json"]] * 2)
    assert runs[0].json["images"] == runs[1].json["images"]
    assert own("db", "status", "--json").json["running"]


def test_stopping_the_server_under_an_ingest_is_one_line(own: Imrec, folder: Path) -> None:
    save_many(folder, 100, 2000, 1500)
    dsn = own("db", "start").out.strip()
    running = own.start("ingest", folder, *LIGHT, "--batch", "2", "--workers", "1")
    stored = "SELECT count(*) FROM imrec.file WHERE starts_with(path, %s)"
    running.until(lambda: one(dsn, stored, str(folder)))
    own("db", "stop")
    done = running.wait()
    assert done.code == 4
    assert "was stopped while in use" in done.err.splitlines()[-1]
    assert not own("db", "status", "--json").json["running"]
    until(lambda: not running.others(), "the workers end")
    again = own("ingest", folder, *LIGHT, "--json").json
    assert again["unchanged"] > 0
    assert again["unchanged"] + again["new"] == 100


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [("file", 2, "is a file"), ("full", 4, "is not empty and not imrec-pg's")],
)
def test_a_data_folder_that_cannot_be_one_is_refused(
    name: str, code: int, says: str, imrec: Imrec, reachable: Path
) -> None:
    (reachable / "full").mkdir(exist_ok=True)
    (reachable / "full" / "precious.txt").write_text("precious")
    (reachable / "file").write_text("precious")
    assert says in imrec("--data", str(reachable / name), "status", code=code).err
    assert (reachable / "full" / "precious.txt").read_text() == "precious"
    assert (reachable / "file").read_text() == "precious"
