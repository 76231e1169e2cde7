"""Closed and full streams, a working folder that was deleted: one line, the right code, no traceback."""

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.command import PATIENCE_S, Imrec, url_of
from e2e.photos import save_scenes
from support import new_database

FAST = "--feature average_hash"
PROGRAM = f"{shlex.quote(sys.executable)} -m imrec_pg"
COMMANDS = (
    f"search 0001.jpg {FAST}",
    f"search 0001.jpg {FAST} --json",
    f"search 0001.jpg {FAST} --csv",
    f"search 0001.jpg {FAST} --paths",
    "status",
    "root list",
    "index list",
    "doctor --json",
    "embed 0001.jpg --feature average_hash",
    "ingest . --features average_hash",
    "--help",
    "search --help",
    "--version",
)


@pytest.fixture(scope="module")
def album(
    template: str, imrec: Imrec, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Imrec, Path]]:
    """Yield the command, and a folder of three stored photos."""
    folder = tmp_path_factory.mktemp("streams")
    save_scenes(folder, range(3))
    with new_database(template, "imrec_template") as dsn:
        run = imrec.on(url_of(dsn))
        run("ingest", folder, "--features", "average_hash")
        yield run, folder


def shell(run: Imrec, line: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Return a line of a shell, ended; {} in it is the program."""
    done = subprocess.run(
        ["sh", "-c", line.replace("{}", PROGRAM)],
        env=run.environ,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr
    assert "Exception ignored" not in done.stderr
    return done


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("stdout", "reason"), [(">&-", "Bad file descriptor"), (">/dev/full", "No space left on device")]
)
def test_a_lost_answer_is_an_error_in_one_line(
    album: tuple[Imrec, Path], command: str, stdout: str, reason: str
) -> None:
    done = shell(album[0], f"{{}} {command} {stdout}", album[1])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"imrec-pg: cannot write to stdout: {reason}\n"


@pytest.mark.parametrize("stderr", ["2>&-", "2>/dev/full"])
def test_lost_messages_change_neither_answer_nor_code(album: tuple[Imrec, Path], stderr: str) -> None:
    """With stderr closed Python would print to stdout what is meant for it."""
    run, folder = album
    search = f"{{}} search 0001.jpg {FAST} --paths"
    answer = shell(run, search, folder).stdout
    assert len(answer.splitlines()) == 2
    done = shell(run, f"{search} --verbose --explain {stderr}", folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, answer, "")
    for line, code in (("search nowhere.jpg", 1), ("search --bogus", 2), ("ingest nowhere", 2)):
        done = shell(run, f"{{}} {line} {stderr}", folder)
        assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


def test_all_streams_may_be_closed(album: tuple[Imrec, Path], tmp_path: Path) -> None:
    """The connection to the database must not get a number to which others print."""
    run, folder = album
    assert shell(run, f"{{}} db dump {tmp_path}/a.dump <&- >&- 2>&-", folder).returncode == 0
    assert (tmp_path / "a.dump").read_bytes().startswith(b"PGDMP")
    save_scenes(folder / "more", [77])
    shell(run, "{} ingest . --features average_hash <&- >&- 2>&-", folder)
    assert "4 in 4 files" in shell(run, "{} status", folder).stdout


def test_without_stdin_nobody_is_asked(album: tuple[Imrec, Path]) -> None:
    done = shell(album[0], f"{{}} root remove {album[1]} <&-", album[1])
    assert done.returncode == 2
    assert "pass --yes" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        "search a.jpg",
        "ingest photos --features average_hash",
        "--data here status",
        "db dump a.dump",
        "db restore a.dump",
        "root add x photos",
        "search {folder}/0001.jpg --feature average_hash --plot a.png",
        "search {folder}/0001.jpg --feature average_hash --under photos",
    ],
)
def test_a_relative_path_in_a_deleted_folder_is_one_line(
    album: tuple[Imrec, Path], tmp_path: Path, arguments: str
) -> None:
    run, folder = album
    run = run if "--data" not in arguments else Imrec({**run.environ, "IMREC_DATABASE_URL": ""})
    line = f"mkdir gone && cd gone && rmdir ../gone && {{}} {arguments.format(folder=folder)}"
    done = shell(run, line, tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "imrec-pg: the working folder was deleted: change to another one\n"


def test_absolute_paths_work_in_a_deleted_folder(album: tuple[Imrec, Path], tmp_path: Path) -> None:
    run, folder = album
    for command in ("status", f"search {folder}/0001.jpg {FAST}", f"export {tmp_path}/export"):
        done = shell(run, f"mkdir gone && cd gone && rmdir ../gone && {{}} {command}", tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
    save_scenes(folder / "new", [78])
    line = f"mkdir gone && cd gone && rmdir ../gone && {{}} ingest {folder} --features average_hash"
    done = shell(run, line, tmp_path)
    assert (done.returncode, done.stderr) == (
        2,
        "imrec-pg: the working folder was deleted: change to another one\n",
    )
