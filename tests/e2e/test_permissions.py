"""Folders and files that may not be read; root may read all, and so gives up that right for these tests."""

import os
import shutil
import socket
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from e2e.command import Imrec
from e2e.database import counts, query
from e2e.photos import save_scenes
from psycopg.conninfo import conninfo_to_dict, make_conninfo

LIGHT = ("--features", "histogram,average_hash,difference_hash")
_LIKE_ANYBODY = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all")


class Relay(socketserver.ThreadingUnixStreamServer):
    """Hands connections on to another socket, which lies in a folder closed to whoever connects."""

    daemon_threads = True

    def __init__(self, path: Path, target: str) -> None:
        super().__init__(str(path), _Pass)
        self.target = target


class _Pass(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Relay)
        with socket.socket(socket.AF_UNIX) as there:
            there.connect(self.server.target)
            back = threading.Thread(target=_pump, args=(there, self.request))
            back.start()
            _pump(self.request, there)
            back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):  # the other side hung up
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def anybody(imrec: Imrec, dsn: str, tmp_path: Path) -> Iterator[Imrec]:
    """Yield the command without root's right to read everything."""
    if os.geteuid() != 0:
        yield imrec.on(dsn)
        return
    program = shutil.which(_LIKE_ANYBODY[0])
    if program is None or subprocess.run([*_LIKE_ANYBODY, "true"], check=False).returncode != 0:
        pytest.skip("root may read everything here, and setpriv cannot take that right away")
    host = conninfo_to_dict(dsn)["host"]
    # In the same spelling that libpq makes of a folder and a port.
    with Relay(tmp_path / ".s.PGSQL.5432", f"{host}/.s.PGSQL.5432") as relay:
        thread = threading.Thread(target=relay.serve_forever)
        thread.start()
        yield replace(imrec.on(make_conninfo(dsn, host=str(tmp_path))), wrapper=_LIKE_ANYBODY)
        relay.shutdown()
        thread.join()


def test_what_may_not_be_read_is_reported_and_the_rest_is_stored(
    anybody: Imrec, dsn: str, folder: Path
) -> None:
    open_, closed = save_scenes(folder, [1, 2])
    save_scenes(folder / "closed", [3])
    save_scenes(folder / "open", [4])
    closed.chmod(0)
    (folder / "closed").chmod(0)
    try:
        done = anybody("ingest", folder, *LIGHT, "--json", code=3)
        assert (done.json["new"], done.json["failed"], done.json["unreadable"]) == (2, 1, 1)
        assert done.err.splitlines() == [f"imrec-pg: {folder}/closed: Permission denied"]
        (failure,) = anybody("errors", "--json").json
        assert (failure["path"], failure["error_class"]) == (str(closed), "Unreadable")
        assert "Permission denied" in anybody("search", closed, "--feature", "average_hash", code=1).message
        # The walk cannot tell whether what lies in there has gone: nothing of it is forgotten.
        query(dsn, "UPDATE imrec.file SET path = path")
        again = anybody("ingest", folder, *LIGHT, "--json", code=3).json
        assert (again["unchanged"], again["known_failures"], again["unreadable"]) == (2, 1, 1)
        assert (
            str(open_)
            in anybody("search", open_, "--include-self", "--feature", "average_hash", "--paths").out
        )
    finally:
        closed.chmod(0o644)
        (folder / "closed").chmod(0o755)
    # chmod changes neither size nor modification time, so only a retry finds out.
    assert anybody("ingest", folder, *LIGHT, "--json").json["known_failures"] == 1
    assert anybody("ingest", "--retry", *LIGHT, "--json").json["new"] == 1
    assert (counts(dsn)["image"], counts(dsn)["failure"]) == (4, 0)


def test_a_plot_that_may_not_be_written_is_one_line(anybody: Imrec, folder: Path) -> None:
    image, _ = save_scenes(folder / "photos", [1, 2])
    anybody("ingest", folder / "photos", *LIGHT)
    (folder / "closed").mkdir()
    (folder / "closed").chmod(0o555)
    target = folder / "closed" / "sheet.png"
    refused = anybody("search", image, "--feature", "average_hash", "--plot", target, code=1)
    assert "cannot write the plot" in refused.message
    assert not list((folder / "closed").iterdir())
