"""Embedded servers: one that all share, new ones, and copies to break."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from integration.embedded.servers import AS_ROOT, MakeServer

from imrec_pg.embedded import EmbeddedServer


@contextmanager
def reachable_folder() -> Iterator[Path]:
    """Yield a folder with a short path that the server's user can enter; pytest's own is closed to it."""
    path = Path(tempfile.mkdtemp(prefix="imrec-pg-test-", dir="/tmp"))
    if AS_ROOT:
        path.chmod(0o711)
    try:
        yield path
    finally:
        shutil.rmtree(path)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for one test."""
    with reachable_folder() as path:
        yield path


@pytest.fixture(scope="session")
def shared() -> Iterator[EmbeddedServer]:
    """One initialised server for all tests that leave it sound; creating each anew would take 1 to 2 s."""
    with reachable_folder() as path:
        yield EmbeddedServer(path / "db", timeout=60)


@pytest.fixture
def running(shared: EmbeddedServer) -> Iterator[EmbeddedServer]:
    """The shared server, running."""
    shared.start()
    yield shared
    shared.stop()


@pytest.fixture
def make_server(folder: Path) -> Iterator[MakeServer]:
    """Make servers that are stopped afterwards."""
    made: list[EmbeddedServer] = []

    def make(name: str = "db", timeout: float = 60) -> EmbeddedServer:
        made.append(EmbeddedServer(folder / name, timeout=timeout))
        return made[-1]

    yield make
    for each in made:
        if each.data_dir.is_dir():
            each.timeout = 60
            each.stop()


@pytest.fixture
def expendable(make_server: MakeServer, running: EmbeddedServer) -> EmbeddedServer:
    """A stopped copy, for tests that break it."""
    running.stop()
    made = make_server()
    subprocess.run(["cp", "-a", running.data_dir, made.data_dir], check=True)
    return made
