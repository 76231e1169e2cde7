"""The server and the database as such: encoding, pgvector, own server, standby."""

import shutil
from collections import namedtuple
from pathlib import Path
from uuid import uuid4

import pytest
from integration.doctor.findings import INDEX, bad, findings, fix, not_ok, one, run
from psycopg.conninfo import make_conninfo
from support import settings_for

from imrec_pg.db import migrate
from imrec_pg.doctor import Level, examined
from imrec_pg.doctor import server as server_checks
from imrec_pg.embedded import EmbeddedServer
from imrec_pg.settings import Settings

Disk = namedtuple("Disk", "total used free")  # noqa: PYI024 - as shutil has it


def test_a_database_that_cannot_hold_all_names(server: EmbeddedServer) -> None:
    name = f"t_{uuid4().hex}"
    run(
        server.dsn,
        f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C'",
    )
    try:
        one(settings_for(make_conninfo(server.dsn, dbname=name)), "encoding", Level.WARNING, "LATIN1")
    finally:
        run(server.dsn, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize(
    ("version", "level", "says"),
    [
        ("0.8.1", Level.ERROR, "ALTER EXTENSION vector UPDATE; REINDEX INDEX"),
        ("0.8.3", Level.ERROR, f'REINDEX INDEX "imrec"."{INDEX}";'),
        ("0.8.4", Level.NOTICE, "ALTER EXTENSION vector UPDATE;"),
        ("99.0", Level.WARNING, "install pgvector 99.0 or newer on the server"),
    ],
)
def test_another_pgvector(large: Settings, large_dsn: str, version: str, level: Level, says: str) -> None:
    run(large_dsn, f"UPDATE pg_extension SET extversion = '{version}' WHERE extname = 'vector'")
    finding = one(large, "pgvector", level, version)
    assert says in finding.fix


def test_a_server_without_pgvector(empty_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretended: the extension would have another name."""
    monkeypatch.setattr(
        server_checks, "_EXTENSION", server_checks._EXTENSION.replace("'vector'", "'imrec_none'")
    )
    finding = one(settings_for(empty_dsn), "pgvector", Level.ERROR, "not in this database")
    assert "install pgvector 0.8.4 or newer on the server" in finding.fix


def test_an_older_postgresql(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_checks, "_TRIED_FROM", 99)
    one(settings, "postgresql", Level.NOTICE, "PostgreSQL 18.")


def test_pgvector_in_a_schema_that_is_not_searched(empty_dsn: str) -> None:
    run(empty_dsn, "CREATE SCHEMA extensions", "CREATE EXTENSION vector SCHEMA extensions")
    settings = settings_for(empty_dsn)
    fix(settings, one(settings, "pgvector", Level.ERROR, "in the schema extensions"))


def test_the_own_server(server: EmbeddedServer, template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its settings are changed in its own file, and its disk can be seen."""
    del template
    own = Settings(dsn=None, data_dir=server.data_dir, weights=None, dsn_source="default")
    (schema,) = bad(own, "schema")
    assert schema.fix == "imrec-pg db upgrade"
    (disk,) = findings(own, "disk")
    assert disk.level is Level.OK
    assert str(server.data_dir) in disk.what
    monkeypatch.setattr(examined.Examined, "hnsw", property(lambda _: [an_index(10**9)]))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(10**12, 10**12, 10**9))
    one(own, "disk", Level.WARNING, "too little to rebuild the largest index (1,000 MB)")
    run(server.dsn, "ALTER DATABASE imrec SET default_transaction_read_only = on")
    try:
        finding = one(own, "read-only", Level.NOTICE)
    finally:
        writable = "SET default_transaction_read_only = off"
        run(server.dsn, writable, "ALTER DATABASE imrec RESET default_transaction_read_only")
    file = f"{server.data_dir}/pg18/user.conf"
    assert finding.fix == (
        f"write default_transaction_read_only = 'off' into {file}, then run imrec-pg db stop"
    )


def test_a_standby_set_up_badly(server_folder: Path) -> None:
    second = EmbeddedServer(server_folder / "standby")
    own = Settings(dsn=None, data_dir=second.data_dir, weights=None, dsn_source="default")
    try:
        migrate.upgrade(own)
        assert not_ok(own) == []
        with (second.data_dir / "pg18" / "user.conf").open("a") as file:
            file.write("wal_level = replica\nautovacuum = off\n")
        second.stop()
        second.start()
        second.stop()
        (second.data_dir / "pg18" / "standby.signal").touch()
        found = {finding.check: finding for finding in not_ok(own)}
    finally:
        second.stop()
    assert found.keys() == {"read-only", "vacuum"}
    assert found["read-only"].what == "this server is a standby"
    assert found["vacuum"].what == "autovacuum is off"
    assert "into " in found["vacuum"].fix
    assert "/user.conf, then run imrec-pg db stop" in found["vacuum"].fix


def an_index(size: int) -> examined.Index:
    return examined.Index(
        1, INDEX, "embedding", "hnsw", "embedding", "vector_cosine_ops", False, True, size, None, False
    )
