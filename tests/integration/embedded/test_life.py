"""The usual life of the embedded server."""

import json
import stat
import subprocess

import psutil
import psycopg
from integration.embedded.servers import (
    MakeServer,
    ask,
    execute,
    pid_of,
    use_lock,
)

from imrec_pg.embedded import EmbeddedServer, psql_path
from imrec_pg.embedded.account import server_account
from imrec_pg.embedded.locks import is_held


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


def test_dsn_is_one_string_for_every_client(running: EmbeddedServer) -> None:
    import sqlalchemy

    engine = sqlalchemy.create_engine(running.dsn.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as conn:
        assert conn.execute(sqlalchemy.text("SELECT 1")).scalar_one() == 1
    engine.dispose()
    assert json.dumps(running.dsn).isascii()
