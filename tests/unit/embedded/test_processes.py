"""What the pid file and the log say."""

import os
from pathlib import Path

import pytest

from imrec_pg.embedded import (
    processes,
)
from imrec_pg.embedded.folders import Layout

PID_FILE = "4242\n/data/pg18\n1700000000\n5432\n/data/run\n\n 123 456\n{status}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PID_FILE.format(status="ready   "), processes.PidFile(4242, Path("/data/run"))),
        (PID_FILE.format(status="starting"), processes.PidFile(4242, None)),
        ("4242\n/data/pg18\n1700000000\n5432\n/data/run\n", processes.PidFile(4242, None)),
        ("-4242\n/data/pg18\n", processes.PidFile(4242, None)),
        ("", None),
        ("garbage", None),
    ],
)
def test_pid_file_is_read_however_much_of_it_is_there(
    tmp_path: Path, text: str, expected: processes.PidFile | None
) -> None:
    (tmp_path / "pg18").mkdir()
    (tmp_path / "pg18" / "postmaster.pid").write_text(text)
    assert processes.read_pid_file(Layout(tmp_path)) == expected


def test_no_pid_file_is_no_server(tmp_path: Path) -> None:
    assert processes.read_pid_file(Layout(tmp_path)) is None
    assert processes.postmaster(Layout(tmp_path)) is None


def test_an_unrelated_process_is_no_server(tmp_path: Path) -> None:
    (tmp_path / "pg18").mkdir()
    (tmp_path / "pg18" / "postmaster.pid").write_text(f"{os.getpid()}\n")
    assert processes.postmaster(Layout(tmp_path)) is None


def test_log_tail_is_the_errors_without_their_prefix(tmp_path: Path) -> None:
    old = "2026-01-01 00:00:00.000 UTC [1] FATAL:  old\n"
    new = (
        "2026-01-01 00:00:00.000 UTC [2] LOG:  starting\n"
        "2026-01-01 00:00:00.000 UTC [2] FATAL:  could not\n"
        "2026-01-01 00:00:00.000 UTC [2] HINT:  Is it there?\n"
        "2026-01-01 00:00:00.000 UTC [2] LOG:  database system is shut down\n"
    )
    (tmp_path / "server.log").write_text(old + new)
    assert processes.log_tail(Layout(tmp_path), len(old)) == "FATAL: could not; HINT: Is it there?"
    assert processes.log_tail(Layout(tmp_path), len(old + new)) == ""


def test_large_log_is_set_aside(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.log.write_bytes(b"x" * 4_000_000)
    processes.rotate_log(layout)
    assert layout.log.exists()
    layout.log.write_bytes(b"x" * 6_000_000)
    processes.rotate_log(layout)
    assert not layout.log.exists()
    assert layout.old_log.stat().st_size == 6_000_000
