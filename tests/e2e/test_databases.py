"""Databases that are not as they should be: one line that names the way out, and nothing half done."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from e2e.command import Album, Argument, Imrec, url_of
from e2e.database import counts, one, query, row_versions
from e2e.photos import save_scenes
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier, Literal

from imrec_pg.embedded import EmbeddedServer

LIGHT = ("--features", "histogram,average_hash,difference_hash")
MakeRole = Callable[..., str]


@pytest.fixture
def make_role(server: EmbeddedServer) -> MakeRole:
    """Return a function that makes a role without rights; all go with the server at the end."""

    def make(password: str | None = None) -> str:
        name = f"role_{uuid4().hex}"
        with psycopg.connect(server.dsn, autocommit=True) as conn:
            conn.execute(SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(Identifier(name), Literal(password)))
        return name

    return make


def as_role(dsn: str, role: str, **more: str) -> str:
    return make_conninfo(dsn, user=role, **more)


@pytest.mark.parametrize(
    ("dsn", "says"),
    [
        ("postgresql://localhost:1/photos", "Connection refused"),
        ("host=/nowhere port=1", "No such file or directory"),
        ("postgresql://nobody:secret@no-such-host.invalid/x", "no-such-host.invalid"),
        ("nonsense", "write postgresql://user@host:5432/database"),
        ("host=localhost prot=1", "write postgresql://user@host:5432/database"),
    ],
)
def test_no_server_or_a_wrong_dsn_exits_with_4(dsn: str, says: str, imrec: Imrec) -> None:
    by_option, by_variable = imrec("--dsn", dsn, "status", code=4), imrec.on(dsn)("status", code=4)
    for done, source in ((by_option, "--dsn"), (by_variable, "IMREC_DATABASE_URL")):
        assert says in done.message
        assert source in done.message
        assert "secret" not in done.message
        assert not done.raw_out


def test_every_command_exits_with_4_without_a_server(imrec: Imrec, folder: Path) -> None:
    (image,) = save_scenes(folder, [1])
    commands: list[list[Argument]] = [["ingest", folder], ["search", image], ["errors"], ["doctor"]]
    commands += [["db", "upgrade"], ["index", "list"], ["index", "build", "histogram", "cosine"]]
    for done in imrec.on("host=/nowhere").all(commands, code=4):
        assert "no connection" in done.message


def test_a_database_or_role_that_does_not_exist_exits_with_4(imrec: Imrec, dsn: str) -> None:
    for wrong in ({"dbname": "no_such_database"}, {"user": "no_such_role"}):
        done = imrec("--dsn", make_conninfo(dsn, **wrong), "status", code=4)
        assert "does not exist" in done.message


@pytest.fixture
def asks_for_password(server: EmbeddedServer, make_role: MakeRole) -> Iterator[str]:
    """Yield a role that the server lets in by its password only."""
    role = make_role("right")
    (rules,) = server.data_dir.glob("pg*/pg_hba.conf")
    before = rules.read_text()
    rules.write_text(f"local all {role} scram-sha-256\n{before}")
    query(server.dsn, "SELECT pg_reload_conf()")
    yield role
    rules.write_text(before)
    query(server.dsn, "SELECT pg_reload_conf()")


def test_a_wrong_password_exits_with_4_and_is_not_shown(
    imrec: Imrec, dsn: str, asks_for_password: str
) -> None:
    for wrong in ({"password": "wrong"}, {}):
        done = imrec("--dsn", as_role(dsn, asks_for_password, **wrong), "status", code=4)
        assert "password" in done.message
        assert "wrong" not in done.message
    query(dsn, f"GRANT USAGE ON SCHEMA imrec TO {asks_for_password}")
    query(dsn, f"GRANT SELECT ON ALL TABLES IN SCHEMA imrec TO {asks_for_password}")
    assert imrec("--dsn", as_role(dsn, asks_for_password, password="right"), "status").out  # noqa: S106


def test_another_server_without_the_schema_is_refused_with_the_command(
    imrec: Imrec, empty_dsn: str, folder: Path
) -> None:
    save_scenes(folder, [1])
    run = imrec.on(url_of(empty_dsn))
    for arguments in (["status"], ["ingest", folder, *LIGHT], ["search", folder / "0001.jpg"], ["errors"]):
        assert "run imrec-pg db upgrade" in run(*arguments, code=1).message
    assert "imrec-pg db upgrade --dsn" in imrec("status", "--dsn", empty_dsn, code=1).message
    assert one(empty_dsn, "SELECT count(*) FROM pg_namespace WHERE nspname = 'imrec'") == 0
    upgraded = run("db", "upgrade")
    assert not upgraded.raw_out
    assert "the schema imrec is at " in upgraded.err
    assert run("ingest", folder, *LIGHT, "--json").json["new"] == 1


def test_an_older_or_newer_schema_is_refused(run: Imrec, dsn: str, folder: Path) -> None:
    (image,) = save_scenes(folder, [1])
    for version, says in [("0000", "run imrec-pg db upgrade"), ("9999", "pip install --upgrade imrec-pg")]:
        query(dsn, "UPDATE imrec.schema_version SET version_num = %s", version)
        for arguments in (["status"], ["search", image], ["ingest", folder, *LIGHT]):
            refused = run(*arguments, code=1).message
            assert version in refused
            assert says in refused
        assert "update imrec-pg" in run("db", "upgrade", code=1).message
    assert counts(dsn)["root"] == 0


def test_two_upgrades_at_once(imrec: Imrec, empty_dsn: str) -> None:
    run = imrec.on(url_of(empty_dsn))
    started = [run.start("db", "upgrade") for _ in range(4)]
    assert [process.wait().code for process in started] == [0, 0, 0, 0]
    assert run("status", "--json").json["images"] == 0
    assert one(empty_dsn, "SELECT count(*) FROM imrec.schema_version") == 1


def test_a_database_where_the_role_may_not_create_the_extension(
    imrec: Imrec, empty_dsn: str, make_role: MakeRole
) -> None:
    role = make_role()
    refused = imrec("--dsn", as_role(empty_dsn, role), "db", "upgrade", code=1)
    assert "have an administrator run CREATE EXTENSION vector" in refused.message
    query(empty_dsn, "CREATE EXTENSION vector")
    refused = imrec("--dsn", as_role(empty_dsn, role), "db", "upgrade", code=1)
    assert "permission denied for database" in refused.message
    assert one(empty_dsn, "SELECT count(*) FROM pg_namespace WHERE nspname = 'imrec'") == 0


def test_nothing_else_needs_a_superuser(
    imrec: Imrec, empty_dsn: str, make_role: MakeRole, album: Album
) -> None:
    role = make_role()
    query(empty_dsn, "CREATE EXTENSION vector")
    database = one(empty_dsn, "SELECT current_database()")
    query(empty_dsn, f"GRANT CREATE ON DATABASE {database} TO {role}")
    run = imrec.on(as_role(empty_dsn, role))
    run("db", "upgrade")
    images = album.folder / "orientations"
    assert run("ingest", images, "--json").json["index_built"]
    run("index", "build", "histogram", "cosine")
    run("index", "drop", "histogram", "cosine")
    assert len(run("search", images / "orientation_1.jpg", "--json").json["neighbours"]) == 5
    assert "pgvector" in run("status").out


def test_an_old_pgvector_is_refused(run: Imrec, dsn: str) -> None:
    query(dsn, "UPDATE pg_extension SET extversion = '0.8.1' WHERE extname = 'vector'")
    assert "install 0.8.4 or newer" in run("status", code=1).message
    assert "install 0.8.4 or newer" in run("db", "upgrade", code=1).message


def test_a_role_that_may_only_read(
    imrec: Imrec, copied_album: Album, make_role: MakeRole, folder: Path
) -> None:
    dsn, role = copied_album.dsn, make_role()
    save_scenes(folder, [5000])
    run = imrec.on(as_role(dsn, role))
    assert "connect as the owner" in run("status", code=1).message
    query(dsn, f"GRANT USAGE ON SCHEMA imrec TO {role}")
    query(dsn, f"GRANT SELECT ON ALL TABLES IN SCHEMA imrec TO {role}")
    before = row_versions(dsn)
    images = [copied_album.folder / "original.png", folder / "5000.jpg"]
    stored, unknown = run.all([["search", image, "--json"] for image in images])
    assert len(stored.json["neighbours"]) == len(unknown.json["neighbours"]) == 5
    assert run("status", "--json").json["images"] == copied_album.images
    # All is known there, so there is nothing to write.
    assert run("ingest", copied_album.folder, "--json").json["unchanged"] == copied_album.images
    for arguments in (
        ["ingest", folder, *LIGHT],
        ["ingest", folder],
        ["index", "build", "histogram", "cosine"],
        ["index", "drop", "embedding", "cosine"],
    ):
        assert "connect as the owner of the schema imrec" in run(*arguments, code=1).message
    assert row_versions(dsn) == before


def test_a_read_only_database(copied_album: Album, folder: Path) -> None:
    run, dsn = copied_album.run, copied_album.dsn
    (image,) = save_scenes(folder, [5000])
    database = one(dsn, "SELECT current_database()")
    query(dsn, f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    before = row_versions(dsn)
    assert len(run("search", image, "--feature", "histogram", "--json").json["neighbours"]) == 5
    for arguments in (
        ["ingest", folder, *LIGHT],
        ["ingest", folder],
        ["index", "build", "histogram", "cosine"],
    ):
        assert "read-only" in run(*arguments, code=1).message
    assert row_versions(dsn) == before
