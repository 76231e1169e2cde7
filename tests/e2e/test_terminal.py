"""Whatever stands in the database, no command sends a control character to the terminal."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from e2e.command import Album, Argument, Imrec, clean_environ, copied, url_of
from e2e.photos import save_scenes
from support import new_database

EVIL = "\x1b]0;gone\x07\x9b2J\u202egpj\u2066\u200b"
TRACES = ("\x1b]0", "\x07", "\x9b", "\u202e", "\u2066", "\u200b")


@pytest.fixture(scope="module")
def evil(template: str, imrec: Imrec, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Album]:
    """Yield a library in which every text is as evil as its owner could make it."""
    folder = tmp_path_factory.mktemp("evil")
    with new_database(template, "imrec_template") as dsn:
        run = imrec.on(url_of(dsn))
        store_evil(run, folder, dsn)
        yield Album(folder, 1, run, dsn)


@pytest.fixture
def stored(evil: Album) -> Iterator[tuple[Imrec, Path]]:
    with copied(evil) as own:
        yield own.run, own.folder / "0001.jpg"


def store_evil(run: Imrec, folder: Path, dsn: str) -> None:
    _, gone = save_scenes(folder, [1, 2])
    (folder / "broken.jpg").write_bytes(b"no picture")
    run("ingest", folder, "--features", "histogram,average_hash", code=3)
    gone.unlink()
    run("ingest", folder, "--features", "histogram,average_hash", "--accept-deletions")
    with psycopg.connect(dsn) as conn:
        conn.execute(
            "UPDATE imrec.file SET path = path || %(evil)s, relative_path = relative_path || %(raw)s",
            {"evil": EVIL, "raw": EVIL.encode()},
        )
        conn.execute(
            "UPDATE imrec.failure SET path = path || %(evil)s, error = error || %(evil)s", {"evil": EVIL}
        )
        conn.execute("UPDATE imrec.root SET name = name || %s", (EVIL,))
        conn.execute(
            "INSERT INTO imrec.worker (worker_id, host, pid, locked, expires_at) "
            "VALUES (gen_random_uuid(), %s, 1, false, clock_timestamp() + interval '1 hour')",
            (EVIL,),
        )


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["status"], 0),
        (["errors"], 0),
        (["errors", "--missing"], 0),
        (["root", "list"], 0),
        (["root", "rename", f"x{EVIL}", "y"], 2),
        (["search", "IMAGE", "--feature", "histogram", "--include-self"], 0),
        (["search", "IMAGE", "--feature", "histogram", "--include-self", "--json"], 0),
        (["search", "IMAGE", "--feature", "histogram", "--include-self", "--csv"], 0),
        (["search", "IMAGE", "--feature", "histogram", "--include-self", "--paths"], 0),
        (["search", f"/nowhere/{EVIL}.jpg", "--feature", "histogram"], 1),
        (["search", f"/nowhere/{EVIL}.jpg", "--feature", "histogram", "--debug"], 1),
        (["search", "IMAGE", f"--feature={EVIL}"], 2),
        (["ingest", f"/nowhere/{EVIL}"], 2),
        ([f"{EVIL}"], 2),
    ],
)
def test_no_command_hands_on_what_a_terminal_obeys(
    stored: tuple[Imrec, Path], arguments: list[str], code: int
) -> None:
    run, image = stored
    words: list[Argument] = [str(image) if word == "IMAGE" else word for word in arguments]
    out, ended = on_a_terminal(run, words)
    assert ended == code, out
    assert [trace for trace in TRACES if trace in out] == []


def on_a_terminal(run: Imrec, arguments: list[Argument]) -> tuple[str, int]:
    """Return all that the command writes to a terminal, and its exit code."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "imrec_pg", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
        env=clean_environ() | run.environ | {"TERM": "xterm", "COLUMNS": "200", "PYTHONUTF8": "1"},
        start_new_session=True,
    )
    os.close(follower)
    out = b""
    while True:
        try:
            chunk = os.read(leader, 65536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not chunk:
            break
        out += chunk
    os.close(leader)
    return out.decode("utf-8", "replace"), process.wait()
