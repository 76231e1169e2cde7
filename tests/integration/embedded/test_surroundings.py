"""The embedded server in hostile surroundings: environment, paths, starters."""

import os
import shutil
import signal
import stat
import subprocess
import sys
from contextlib import suppress

import pytest
from integration.embedded.servers import (
    ROOT,
    START,
    MakeServer,
    ask,
    pid_of,
)

from imrec_pg.embedded import EmbeddedServer
from imrec_pg.embedded.account import server_account


def test_environment_does_not_reach_the_server_nor_mislead_the_client(
    make_server: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.setenv(name, "xx_XX.UTF-8")
    monkeypatch.setenv("PGPORT", "6543")
    monkeypatch.setenv("PGHOST", "db.invalid")
    monkeypatch.setenv("PGHOSTADDR", "192.0.2.1")
    monkeypatch.setenv("PGDATA", "/nowhere")
    assert ask(make_server().start(), "SHOW lc_messages") == "C"


@pytest.mark.parametrize("name", ["x" * 120, "quotes ' \" and $HOME `id`"])
def test_long_and_odd_paths(make_server: MakeServer, name: str) -> None:
    embedded = make_server(name)
    assert ask(embedded.start()) == 1
    socket_dir = embedded.status().socket_dir
    assert socket_dir is not None
    if socket_dir.parent != embedded.data_dir:
        found = socket_dir.lstat()
        assert stat.S_IMODE(found.st_mode) == 0o700
        assert found.st_uid == server_account().uid
    embedded.stop()
    assert ask(embedded.start()) == 1
    embedded.stop()
    if socket_dir.parent != embedded.data_dir:
        socket_dir.rmdir()
        with suppress(OSError):  # other servers may have theirs beside it
            socket_dir.parent.rmdir()


def test_deleted_socket_folder_is_made_anew(running: EmbeddedServer) -> None:
    shutil.rmtree(running.data_dir / "run")  # what logging out does to XDG_RUNTIME_DIR
    assert not running.status().running
    assert ask(running.start()) == 1


def test_four_simultaneous_starts_make_one_server(make_server: MakeServer) -> None:
    embedded = make_server()
    command = [sys.executable, "-c", START, str(embedded.data_dir)]
    starters = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    said = [starter.communicate() for starter in starters]
    assert [error for _, error in said] == [""] * 4
    assert {out.strip() for out, _ in said} == {embedded.dsn}
    assert ask(embedded.dsn) == 1
    assert embedded.status().log.read_text().count("starting PostgreSQL") == 1


def test_server_outlives_its_starter_and_ctrl_c_and_holds_no_pipe(make_server: MakeServer) -> None:
    embedded = make_server()
    code = START + "; import time; time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(embedded.data_dir)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as starter:
        assert starter.stdout is not None
        dsn = starter.stdout.readline().strip()
        os.killpg(starter.pid, signal.SIGINT)
        starter.communicate()  # hangs as long as anyone holds the pipes
    assert ask(dsn) == 1
    assert os.getsid(pid_of(embedded)) not in {os.getsid(0), starter.pid}
