"""An upgrade uses no schema that somebody else made, and nothing that was in one before."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier
from support import settings_for

from imrec_pg.backup import dump
from imrec_pg.db import migrate
from imrec_pg.db.session import open_session
from imrec_pg.errors import SchemaError

# A view of the lock's or the version's name runs as whoever asks it.
TRAP = """
CREATE FUNCTION public.trap() RETURNS text LANGUAGE plpgsql AS $$
BEGIN CREATE TABLE public.sprung AS SELECT current_user::text AS by; RETURN '0001'; END $$;
CREATE SCHEMA imrec_internal;
CREATE VIEW imrec_internal.lock AS SELECT public.trap() AS name;
CREATE SCHEMA imrec;
CREATE VIEW imrec.schema_version AS SELECT public.trap() AS version_num;
"""


@pytest.fixture
def mallory(empty_dsn: str) -> Iterator[str]:
    """Return a role that may create schemas in a database with pgvector, as that of another application."""
    name = f"mallory_{uuid4().hex}"
    with psycopg.connect(empty_dsn, autocommit=True) as admin:
        admin.execute("CREATE EXTENSION vector")
        admin.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(name)))
        parts = Identifier(admin.info.dbname), Identifier(name)
        admin.execute(SQL("GRANT CREATE ON DATABASE {} TO {}").format(*parts))
        admin.execute(SQL("GRANT CREATE ON SCHEMA public TO {}").format(Identifier(name)))
        yield name
        admin.execute(SQL("DROP OWNED BY {0} CASCADE; DROP ROLE {0}").format(Identifier(name)))


def run_as(dsn: str, role: str, statements: str) -> None:
    with psycopg.connect(make_conninfo(dsn, user=role)) as conn:
        conn.execute(statements.encode())


def sprung(dsn: str) -> bool:
    with psycopg.connect(dsn) as conn:
        return conn.execute("SELECT to_regclass('public.sprung')").fetchone() != (None,)


@pytest.mark.parametrize("schema", ["imrec", "imrec_internal"])
def test_a_schema_of_another_role_is_refused_though_it_is_empty(
    empty_dsn: str, mallory: str, schema: str
) -> None:
    run_as(empty_dsn, mallory, f"CREATE SCHEMA {schema}")
    with pytest.raises(SchemaError, match=f"the schema {schema} belongs to the role '{mallory}'"):
        migrate.upgrade(settings_for(empty_dsn))
    with psycopg.connect(empty_dsn) as conn:
        found = conn.execute("SELECT nspname::text FROM pg_namespace WHERE nspname LIKE 'imrec%'").fetchall()
        assert found == [(schema,)]
        conn.execute(f"DROP SCHEMA {schema} CASCADE".encode())
    migrate.upgrade(settings_for(empty_dsn))


def test_nothing_that_was_planted_is_run(empty_dsn: str, mallory: str) -> None:
    run_as(empty_dsn, mallory, TRAP)
    with pytest.raises(SchemaError, match="belongs to the role"):
        migrate.upgrade(settings_for(empty_dsn))
    assert not sprung(empty_dsn)


def test_a_member_of_the_owner_may_upgrade(empty_dsn: str, mallory: str) -> None:
    """As those whom db grant owner made; a superuser is a member of every role, and is refused all the same."""
    colleague = f"colleague_{uuid4().hex}"
    migrate.upgrade(settings_for(make_conninfo(empty_dsn, user=mallory)))
    with psycopg.connect(empty_dsn, autocommit=True) as admin:
        admin.execute(
            SQL("CREATE ROLE {} LOGIN IN ROLE {}").format(Identifier(colleague), Identifier(mallory))
        )
        try:
            migrate.upgrade(settings_for(make_conninfo(empty_dsn, user=colleague)))
            with pytest.raises(SchemaError, match="connect as that role"):
                migrate.upgrade(settings_for(empty_dsn))
        finally:
            admin.execute(SQL("DROP OWNED BY {0} CASCADE; DROP ROLE {0}").format(Identifier(colleague)))


@pytest.mark.parametrize(
    ("planted", "named"),
    [
        ("CREATE TABLE imrec.diary (x int)", "imrec.diary"),
        (
            "CREATE FUNCTION imrec.similar_to(x text) RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "imrec.similar_to",
        ),
        ("CREATE DOMAIN imrec.features AS text", "imrec.features"),
        ("CREATE TYPE imrec_internal.mood AS ENUM ('well')", "imrec_internal.mood"),
        ("CREATE OPERATOR imrec.<=> (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq)", "imrec.<=>"),
    ],
)
def test_what_was_there_before_the_first_upgrade_is_refused(empty_dsn: str, planted: str, named: str) -> None:
    with psycopg.connect(empty_dsn) as conn:
        conn.execute(b"CREATE SCHEMA imrec; CREATE SCHEMA imrec_internal; " + planted.encode())
    with pytest.raises(SchemaError, match="did not make is in its schemas") as refused:
        migrate.upgrade(settings_for(empty_dsn))
    assert named in str(refused.value)


def test_empty_schemas_of_ones_own_and_things_made_later_are_no_hindrance(empty_dsn: str) -> None:
    with psycopg.connect(empty_dsn) as conn:
        conn.execute("CREATE SCHEMA imrec; CREATE SCHEMA imrec_internal")
    migrate.upgrade(settings_for(empty_dsn))
    with psycopg.connect(empty_dsn) as conn:
        conn.execute("CREATE TABLE imrec.diary (x int)")
    migrate.upgrade(settings_for(empty_dsn))
    open_session(settings_for(empty_dsn)).close()


def test_a_dump_is_not_restored_over_a_schema_of_another_role(
    dsn: str, empty_dsn: str, mallory: str, tmp_path: Path
) -> None:
    dump.dump(settings_for(dsn), tmp_path / "file.dump")
    run_as(empty_dsn, mallory, TRAP)
    with pytest.raises(SchemaError, match="belongs to the role"):
        dump.restore(settings_for(empty_dsn), tmp_path / "file.dump")
    assert not sprung(empty_dsn)
