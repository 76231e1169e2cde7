"""The ways in which the embedded server dies, and comes back."""

import os
import signal
import subprocess
import sys
import threading

import psutil
import psycopg
import pytest
from integration.embedded.servers import ROOT, START, MakeServer, ask, execute, kill_9, use_lock, wait_until

from imrec_pg.embedded import EmbeddedServer, server
from imrec_pg.embedded.account import server_account
from imrec_pg.embedded.locks import is_held
from imrec_pg.errors import EmbeddedServerError


def test_start_after_kill_9(running: EmbeddedServer) -> None:
    execute(running.dsn, "CREATE TABLE after_kill AS SELECT 42 AS x")
    kill_9(running)
    assert ask(running.start(), "SELECT x FROM after_kill") == 42


@pytest.mark.parametrize("kind", ["zombie", "reused", "own", "empty"])
def test_start_after_kill_9_whatever_the_pid_file_says(running: EmbeddedServer, kind: str) -> None:
    kill_9(running)
    wait_until(lambda: not is_held(use_lock(running)))
    account = server_account()
    # The server's user owns the process, else postgres knows by itself that it is none of its own.
    user = account.uid if account.switch else None
    other = subprocess.Popen(["sleep", "600"], user=user)
    try:
        if kind == "zombie":
            other.kill()
            wait_until(lambda: psutil.Process(other.pid).status() == psutil.STATUS_ZOMBIE)
        pid = {"zombie": other.pid, "reused": other.pid, "own": os.getpid()}.get(kind)
        for name in ("pg18/postmaster.pid", "run/.s.PGSQL.5432.lock"):
            lines = (running.data_dir / name).read_text().splitlines(keepends=True)
            text = "" if pid is None else "".join([f"{pid}\n", *lines[1:]])
            (running.data_dir / name).write_text(text)
        assert not running.status().running
        assert not running.stop()
        assert ask(running.start()) == 1
    finally:
        other.kill()
        other.wait()


def test_backend_that_outlives_a_killed_server_is_ended(
    running: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_ORPHAN_SECONDS", 0.5)

    def compute_for_ever() -> None:
        with (
            pytest.raises(psycopg.OperationalError),
            psycopg.connect(running.dsn, application_name="busy") as conn,
        ):
            conn.execute("DO $$ BEGIN LOOP END LOOP; END $$")  # never looks whether its parent lives

    thread = threading.Thread(target=compute_for_ever)
    thread.start()
    busy = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'busy' AND state = 'active'"
    wait_until(lambda: ask(running.dsn, busy) == 1)
    kill_9(running)
    assert is_held(use_lock(running))
    assert ask(running.start()) == 1
    thread.join()


def test_stop_ends_orphans_too(running: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_ORPHAN_SECONDS", 0)
    kill_9(running)
    running.stop()
    assert not is_held(use_lock(running))


def test_slow_recovery_is_waited_for(expendable: EmbeddedServer, make_server: MakeServer) -> None:
    cluster = expendable.data_dir / "pg18"
    settings = "wal_level = replica\nhot_standby = off\nrestore_command = 'sleep 0.4; false'\n"
    (cluster / "user.conf").write_text(settings)
    expendable.start()
    expendable.stop()
    (cluster / "recovery.signal").touch()
    starts = expendable.status().log.read_text().count("starting PostgreSQL")
    with pytest.raises(EmbeddedServerError, match=r"needs longer than 0 s .*try again later"):
        make_server(timeout=0.2).start()
    assert is_held(use_lock(expendable))
    assert ask(expendable.start()) == 1
    assert expendable.status().log.read_text().count("starting PostgreSQL") == starts + 1


def test_initdb_killed_halfway_leaves_no_broken_folder(make_server: MakeServer) -> None:
    embedded = make_server()
    code = START.replace("print", "import imrec_pg.embedded.cluster as c, os, signal; print")
    code = code.replace(
        "print(",
        "run = c.Account.run; c.Account.run = lambda self, command, **k: "
        "(run(self, command, **k), os.kill(os.getpid(), 9)) if 'initdb' in str(command[0]) else "
        "run(self, command, **k); print(",
    )
    done = subprocess.run([sys.executable, "-c", code, embedded.data_dir], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert (embedded.data_dir / "pg18.unfinished").is_dir()
    assert ask(embedded.start()) == 1
    assert not (embedded.data_dir / "pg18.unfinished").exists()
