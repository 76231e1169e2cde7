"""Embedded servers under test."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from imrec_pg.embedded import EmbeddedServer

ROOT = Path(__file__).parents[3]


AS_ROOT = os.geteuid() == 0


root_only = pytest.mark.skipif(not AS_ROOT, reason="only root switches users and mounts")


START = (
    "import sys; from pathlib import Path; from imrec_pg.embedded import EmbeddedServer; "
    "print(EmbeddedServer(Path(sys.argv[1])).start(), flush=True)"
)
"""A program that starts a server in the folder of its argument and prints the dsn."""

MakeServer = Callable[..., EmbeddedServer]


def ask(dsn: str, query: LiteralString = "SELECT 1") -> object:
    with psycopg.connect(dsn, autocommit=True) as conn:
        row = conn.execute(query).fetchone()
    return row[0] if row else None


def execute(dsn: str, statement: LiteralString) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(statement)


def pid_of(embedded: EmbeddedServer) -> int:
    pid = embedded.status().pid
    assert pid is not None
    return pid


def kill_9(embedded: EmbeddedServer) -> None:
    """Kill the first process; the others notice and end by themselves."""
    os.kill(pid_of(embedded), signal.SIGKILL)


def use_lock(embedded: EmbeddedServer) -> Path:
    return embedded.data_dir / "use.lock"


def wait_until(condition: Callable[[], bool]) -> None:
    while not condition():  # pytest-timeout is the limit
        time.sleep(0.02)
