"""From folder to answer with every command: what stands on stdout, what on stderr, and the exit codes."""

import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from e2e.command import Album, Imrec
from e2e.database import counts, query
from e2e.photos import GARBAGE, save_scenes

COMMANDS: list[list[str]] = [
    [],
    ["ingest"],
    ["search"],
    ["status"],
    ["errors"],
    ["watch"],
    ["doctor"],
    ["duplicates"],
    *(["duplicates", name] for name in ("find", "list", "plan", "review", "tune", "verdict")),
    ["index"],
    ["index", "list"],
    ["index", "build"],
    ["index", "drop"],
    ["db"],
    ["db", "start"],
    ["db", "stop"],
    ["db", "status"],
    ["db", "upgrade"],
    ["db", "grant"],
    ["db", "revoke"],
    ["db", "dump"],
    ["db", "restore"],
    ["export"],
    ["import"],
    ["embed"],
    ["serve"],
    ["tune"],
    ["tune", "index"],
    ["tune", "fuse"],
    ["prune"],
    ["root"],
    ["root", "add"],
    ["root", "list"],
    ["root", "rename"],
    ["root", "remove"],
    ["cluster"],
    ["cluster", "build"],
    ["cluster", "list"],
    ["cluster", "plot"],
    ["cluster", "drop"],
    ["map"],
    ["map", "build"],
    ["map", "show"],
    ["map", "plot"],
    ["map", "export"],
    ["map", "drop"],
    ["psql"],
    ["weights"],
]


def test_help_of_every_command_shows_examples(imrec: Imrec) -> None:
    runs = imrec.all([[*command, "--help"] for command in COMMANDS])
    for command, run in zip(COMMANDS, runs, strict=True):
        assert run.out.startswith(" ".join(["Usage: imrec-pg", *command])), run.out
        assert re.search(r"\n  (Examples|First steps):\n    \w+", run.out), run.out
        assert not run.err
    listed = re.findall(r"(?m)^  (\w+)  +\w", runs[0].out.partition("Commands:")[2].partition("First")[0])
    assert set(listed) == {command[0] for command in COMMANDS if command}


def test_short_help_version_and_console_script(imrec: Imrec) -> None:
    assert imrec("-h").out == imrec("--help").out
    script = Path(sys.executable).parent / "imrec-pg"
    ran = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"imrec-pg, version \d+\.\d+\.\d+\S*\n", ran.stdout)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Usage: imrec-pg"),
        (["nonsense"], "No such command 'nonsense'"),
        (["status", "--nonsense"], "No such option '--nonsense'"),
        (["search"], "Missing argument 'IMAGE...'"),
        (
            ["search", "a.jpg", "--feature", "smell"],
            "'embedding', 'histogram', 'average_hash', 'difference_hash', 'perceptual_hash'",
        ),
        (["search", "a.jpg", "--metric", "smell"], "'cosine', 'euclidean', 'manhattan', 'hamming'"),
        (["search", "a.jpg", "-k", "many"], "'many' is not a valid integer"),
        (["search", "a.jpg", "--json", "--csv"], "exclude each other"),
        (["ingest", ".", "--features", "smell"], "smell: choose from embedding, histogram, average_hash"),
        (["ingest", ".", "--features", ","], "nothing: choose from embedding, histogram, average_hash"),
        (["ingest", ".", "--batch", "0"], "0 is not in the range x>=1"),
        (["ingest", ".", "--workers", "0"], "0 is not in the range 1<=x<=256"),
        (["ingest"], "name a folder of photos"),
        (["index", "build", "embedding"], "Missing argument"),
        (["--dsn", "x", "--data", "y", "status"], "give only one of them"),
        (["db", "start", "--dsn", "postgresql://host/x"], "the server that --dsn names"),
    ],
)
def test_wrong_usage_exits_with_2_before_any_database_is_asked(
    imrec: Imrec, arguments: list[str], says: str, reachable: Path
) -> None:
    ran = imrec.with_environ(IMREC_DATA=str(reachable / "never"))(*arguments, code=2)
    assert says in ran.err
    assert not ran.raw_out
    assert not (reachable / "never").exists()


def test_ingest_counts_on_stdout_and_hints_on_stderr(run: Imrec, folder: Path) -> None:
    save_scenes(folder / "sub", range(5))
    (folder / "notes.txt").write_text("no photo")
    done = run("ingest", folder, "--features", "histogram,average_hash,difference_hash")
    assert re.fullmatch(
        r"5 new, 0 unchanged, 0 duplicates, 1 other files ignored, 0 failed, [\d.]+ images/s in [\d.]+ s\n",
        done.out,
    )
    assert not done.err
    (folder / "bad.jpg").write_bytes(GARBAGE)
    done = run("ingest", folder, "--features", "histogram,average_hash,difference_hash", code=3)
    assert re.match("0 new, 5 unchanged, 0 duplicates, 1 other files ignored, 1 failed, ", done.out)
    assert (
        done.err == "imrec-pg errors lists what could not be read; imrec-pg ingest --retry tries it again\n"
    )


def test_ingest_as_json(run: Imrec, folder: Path) -> None:
    save_scenes(folder, range(3))
    (folder / "bad.jpg").write_bytes(GARBAGE)
    done = run("ingest", folder, "--features", "average_hash", "--json", code=3)
    assert not done.err
    found = done.json
    assert found.pop("seconds") > 0
    assert found.pop("images_per_second") > 0
    assert found == {
        "found": 4,
        "new": 3,
        "duplicates": 0,
        "replaced": 0,
        "completed": 0,
        "elsewhere": 0,
        "unchanged": 0,
        "failed": 1,
        "known_failures": 0,
        "unreadable": 0,
        "ignored": 0,
        "excluded": 0,
        "previews": 0,
        "interrupted": False,
        "index_built": False,
        "missing": 0,
        "back": 0,
        "doubted": 0,
        "doubted_folders": [],
    }


def test_ingest_on_a_terminal_shows_progress(run: Imrec, folder: Path) -> None:
    save_scenes(folder, range(20))
    terminal, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 120))
    try:
        subprocess.run(
            [
                sys.executable,
                "-m",
                "imrec_pg",
                "ingest",
                folder,
                "--features",
                "average_hash",
                "--batch",
                "4",
            ],
            env=run.environ,
            stdout=subprocess.DEVNULL,
            stderr=theirs,
            check=True,
        )
        shown = os.read(terminal, 100_000).decode()
    finally:
        os.close(terminal)
        os.close(theirs)
    assert re.search(r"ingest: 100%.* 20/20 .*files/s, failed=0, new=20", shown), shown


def test_status_of_an_empty_database_says_what_to_do(run: Imrec) -> None:
    done = run("status")
    assert "imrec-pg ingest FOLDER" in done.out
    assert "none: every search compares with all photos" in done.out
    assert not done.err


def test_status(album: Album) -> None:
    human, machine = album.run.all([["status"], ["status", "--json"]])
    lines = {line.split(maxsplit=1)[0]: line.split(maxsplit=1)[1] for line in human.out.splitlines()}
    assert lines["images"].startswith("57 in 57 files (")
    assert lines["roots"] == f"{album.folder} (57 files)"
    assert lines["lacking"] == "no feature"
    assert lines["failures"] == "2 files (Truncated 2): imrec-pg errors"
    assert lines["index"].startswith("embedding cosine (HNSW, ")
    assert lines["model"] == "resnet18 68d5403d92ca"
    assert "PostgreSQL 18." in lines["versions"]
    found = machine.json
    assert (found["images"], found["files"], found["failures"]) == (57, 57, 2)
    assert not any(found["lacking"].values())
    assert [(root["name"], root["path"], root["files"]) for root in found["roots"]] == [
        (str(album.folder), str(album.folder), 57)
    ]
    assert found["model"]["name"] == "resnet18"
    assert found["photo_size"] == sum(
        path.stat().st_size for path in album.folder.rglob("*.*") if path.parent.name != "broken"
    )


def test_errors_lists_the_files_that_could_not_be_read(album: Album, run: Imrec) -> None:
    human, machine = album.run.all([["errors"], ["errors", "--json"]])
    cut, text = (str(album.folder / "broken" / name) for name in ("cut.jpg", "text.png"))
    assert [line.partition(": ")[0] for line in human.out.splitlines()] == [cut, text]
    assert human.err == (
        "2 files could not be read\n  2 Truncated: their end is missing: copy them again from their source\n"
    )
    assert not machine.err
    assert [failure["path"] for failure in machine.json] == [cut, text]
    assert [failure["attempts"] for failure in machine.json] == [1, 1]
    assert {failure["error_class"] for failure in machine.json} <= {"Truncated", "Corrupt"}
    assert run("errors").err == "no file failed\n"


def test_index_is_listed_built_and_dropped(copied_album: Album) -> None:
    run = copied_album.run

    def indexed() -> list[list[str]]:
        states = run("index", "list", "--json").json
        assert len(states) == 9
        return [[s["feature"], s["metric"]] for s in states if s["name"] and s["valid"] and s["size"]]

    assert indexed() == [["embedding", "cosine"]]
    assert "embedding cosine is indexed already" in run("index", "build", "embedding", "cosine").err
    assert "built the index of histogram manhattan" in run("index", "build", "histogram", "manhattan").err
    assert indexed() == [["embedding", "cosine"], ["histogram", "manhattan"]]
    lines = run("index", "list").out.splitlines()
    assert [line.split()[:3] for line in lines if "HNSW" in line] == [
        ["embedding", "cosine", "HNSW"],
        ["histogram", "manhattan", "HNSW"],
    ]
    assert "dropped the index" in run("index", "drop", "histogram", "manhattan").err
    assert "had no index" in run("index", "drop", "histogram", "manhattan").err
    assert indexed() == [["embedding", "cosine"]]
    for pair in (["average_hash", "hamming"], ["difference_hash", "cosine"]):
        assert "always searched exactly" in run("index", "build", *pair, code=2).message
    assert "histogram has no hamming distance" in run("index", "drop", "histogram", "hamming", code=2).err


def test_ingest_leaves_the_index_alone_on_request(run: Imrec, album: Album) -> None:
    images = album.folder / "orientations"
    assert not run("ingest", images, "--no-index", "--json").json["index_built"]
    assert not any(state["name"] for state in run("index", "list", "--json").json)
    assert run("ingest", images, "--json").json["index_built"]
    assert run("index", "list", "--json").json[0]["name"] == "embedding_cosine_hnsw"


def test_psql_opens_the_same_database(album: Album) -> None:
    done = album.run("psql", "-qAt", "-c", "SELECT count(*) FROM imrec.photo", "-c", "SELECT 'x' AS y")
    assert done.out == "57\nx\n"
    done = album.run("psql", "-qAtX", text="SELECT count(*) FROM imrec.image;\n")
    assert done.out == "57\n"
    assert "does_not_exist" in album.run("psql", "-c", "SELECT * FROM does_not_exist", code=1).err


def test_options_of_the_database_stand_before_or_after_the_command(imrec: Imrec, url: str, dsn: str) -> None:
    calls = [["--dsn", url, "errors"], ["errors", "--dsn", url], ["--dsn", dsn, "errors"]]
    assert [done.err for done in imrec.all(calls)] == ["no file failed\n"] * 3


def test_the_first_variable_that_names_a_database_wins(imrec: Imrec, url: str, dsn: str) -> None:
    query(dsn, "INSERT INTO imrec.root (root_id, name, raw_path) VALUES (gen_random_uuid(), 'mine', 'mine')")
    wrong = "postgresql://localhost:1/nowhere"
    runs = [
        imrec.with_environ(DATABASE_URL=url.replace("postgresql://", "postgresql+psycopg://")),
        imrec.with_environ(IMREC_DATABASE_URL=url, DATABASE_URL=wrong, IMREC_DATA="/nonexistent/x"),
        imrec.with_environ(DATABASE_URL=url, PGHOST="localhost", PGPORT="1", PGDATABASE="nowhere"),
    ]
    for run in runs:
        assert [root["name"] for root in run("status", "--json").json["roots"]] == ["mine"]
    assert imrec.with_environ(IMREC_DATABASE_URL=wrong)("--dsn", url, "status", "--json").json["files"] == 0
    assert counts(dsn)["root"] == 1


def test_debug_shows_the_traceback(run: Imrec, folder: Path) -> None:
    assert "Traceback" in run("--debug", "search", folder / "none.jpg", code=1).err
    assert "Traceback" in run("search", folder / "none.jpg", "--debug", code=1).err
    assert "No such file" in run("search", folder / "none.jpg", code=1).message


def test_what_is_left_out_is_said(run: Imrec, folder: Path) -> None:
    save_scenes(folder, range(2))
    save_scenes(folder / "cache", range(2, 4))
    save_scenes(folder / "Cat Previews.lrdata", range(4, 6))
    told = run("ingest", folder, "--features", "average_hash", "--exclude", "cache/", "--exclude", "0001.*")
    assert told.out.startswith("1 new, ")
    assert "2 left out by pattern, 1 folders of previews skipped" in told.out
    assert run("ingest", folder, "--exclude", " ", code=2).message
