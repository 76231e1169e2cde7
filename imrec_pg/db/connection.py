"""Connections to the database in use, checked before anything else is done on them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from imrec_pg.db.pooler import ServerConnection
from imrec_pg.db.rows import all_rows, value, value_or_none
from imrec_pg.db.sqlstate import ENCODE, connection_error, error_of, lacks_password
from imrec_pg.embedded import EmbeddedServer, no_variables, parameters, program_environment
from imrec_pg.errors import DatabaseUnreachableError, LoginRefusedError, SchemaError
from imrec_pg.settings import Settings

Connection = psycopg.Connection[tuple[object, ...]]

# 0.6.0 to 0.8.1 have CVE-2026-3172, and HNSW vacuum corrupted indexes until 0.8.3.
MIN_PGVECTOR = (0, 8, 4)
_PGVECTOR = "SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'vector'"
_HAS_SCHEMA = "SELECT to_regclass('imrec.schema_version') IS NOT NULL"
# A superuser is a member of every role, and could be made to run what another one has planted.
_FOREIGN_SCHEMAS = """
SELECT n.nspname::text AS name, o.rolname::text AS owner FROM pg_catalog.pg_namespace AS n
INNER JOIN pg_catalog.pg_roles AS o ON o.oid = n.nspowner
INNER JOIN pg_catalog.pg_roles AS u ON u.rolname = current_user
WHERE n.nspname IN ('imrec', 'imrec_internal') AND n.nspowner <> u.oid
AND (u.rolsuper OR NOT pg_catalog.pg_has_role(n.nspowner, 'USAGE'))
ORDER BY n.nspname
"""
_DEVELOPMENT_SCHEMA = "SELECT to_regclass('imrec.alembic_version') IS NOT NULL"

# Of a network that goes silent, the system itself would tell after two hours. In seconds and, the last one,
# milliseconds; what the user's own connection string says goes before.
_DEFAULTS: dict[str, int | str | None] = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}


@dataclass(frozen=True, slots=True)
class _ForeignSchema:
    name: str
    owner: str


def connect(settings: Settings, *, again: bool = False) -> ServerConnection:
    """Return a connection in autocommit mode, starting the embedded server when that is the one in use.

    Names in its statements mean those of pg_catalog, unless they are qualified: the search_path is pinned.
    Nothing is checked; what needs the schema opens a session (db.session). With again, an embedded server
    that somebody has stopped meanwhile stays so.

    Raises:
        DatabaseUnreachableError: no server, or a wrong DSN.
        LoginRefusedError: the server does not let the role into the database.
    """
    dsn = dsn_of(settings, again=again)
    parts = _parts(dsn, settings)
    if settings.embedded:
        parts = parameters(dsn) | parts
    try:
        with no_variables() if settings.embedded else nullcontext():
            conn = ServerConnection.connect(
                make_conninfo("", **(_DEFAULTS | parts)),
                autocommit=True,
                fallback_application_name="imrec-pg",
                # A database in SQL_ASCII would hand out bytes where all others hand out text.
                client_encoding="utf8",
            )
    except psycopg.OperationalError as error:
        # None: the text of the cause may quote the password, and a traceback would show it.
        raise connection_error(error, settings.dsn_source, parts) from None
    try:
        with translated():
            conn.pin()
            conn.another = partial(connect, settings, again=True)
    except BaseException:
        conn.close()
        raise
    return conn


def another(conn: psycopg.Connection[Any]) -> ServerConnection:
    """Return a second connection, by the same role to the same database."""
    assert isinstance(conn, ServerConnection)
    return conn.another()


def psql_call(settings: Settings) -> tuple[list[str], dict[str, str]]:
    """Return arguments and environment, as a whole, of psql and other programs for the database in use.

    What of the connection string a variable can say is in the environment: arguments are shown to all users
    by ps, and a password that is not encoded may be part of any of them.

    Raises:
        DatabaseUnreachableError: a wrong DSN.
    """
    dsn = dsn_of(settings)
    environment = program_environment() if settings.embedded else dict(os.environ)
    variables = {
        option.keyword.decode(): option.envvar.decode()
        for option in psycopg.pq.Conninfo.get_defaults()
        if option.envvar
    }
    rest = {}
    for name, given in _parts(dsn, settings).items():
        if given is None:
            continue
        if name in variables:
            environment[variables[name]] = str(given)
        else:
            rest[name] = str(given)
    return (["--dbname", make_conninfo(**rest)] if rest else []), environment


def check_reachable(settings: Settings) -> None:
    """Return when the database can be connected to, perhaps by a password that is still to be asked for.

    psql would answer with the parts of a connection string that went wrong, and these may be of a password.

    Raises:
        DatabaseUnreachableError: it cannot, or the connection string is wrong.
    """
    try:
        connect(settings).close()
    except LoginRefusedError as error:
        if not lacks_password(error):
            raise


def _parts(dsn: str, settings: Settings) -> dict[str, Any]:
    try:
        return conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        # Without what libpq says, which quotes the part that it does not understand: of a password, perhaps.
        raise DatabaseUnreachableError(
            f"{settings.dsn_source} is no connection string that PostgreSQL knows",
            f"write postgresql://user@host:5432/database; {ENCODE}",
        ) from None


def dsn_of(settings: Settings, *, again: bool = False) -> str:
    """Return the connection string of the database in use; starts the embedded server when it is that."""
    return EmbeddedServer(settings.data_dir).start(again=again) if settings.dsn is None else settings.dsn


def check_pgvector(conn: Connection) -> None:
    """Return when the extension is there and new enough.

    Raises:
        SchemaError: it is not.
    """
    version = value_or_none(conn, str, _PGVECTOR)
    if version is None:
        raise SchemaError(
            "this database has no pgvector: run imrec-pg db upgrade, or have an administrator run "
            "CREATE EXTENSION vector in it"
        )
    if version_tuple(version) < MIN_PGVECTOR:
        raise SchemaError(
            f"pgvector {version} has known faults: install 0.8.4 or newer on the server, then run "
            "ALTER EXTENSION vector UPDATE, and REINDEX indexes that the old one built"
        )


def vector_schema(conn: psycopg.Connection[Any]) -> str:
    """Return the schema of pgvector, quoted; "public", in which nothing is found, where there is none."""
    found = value_or_none(
        conn,
        str,
        "SELECT quote_ident(n.nspname) FROM pg_catalog.pg_extension AS e "
        "INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'vector'",
    )
    return found or "public"


def schema_version(conn: Connection) -> str | None:
    """Return the migration the database stands at, or None when the schema is not there.

    Raises:
        PermissionDeniedError: the role may not read the schema.
    """
    if not value(conn, bool, _HAS_SCHEMA):
        return None
    return value_or_none(conn, str, "SELECT version_num FROM imrec.schema_version")


def refuse_development_schema(conn: psycopg.Connection[Any]) -> None:
    """Return unless the database was made by a development version, before 0.1.0.

    Raises:
        SchemaError: it was; the text says how to move.
    """
    if conn.execute(_DEVELOPMENT_SCHEMA).fetchone() == (True,):
        raise SchemaError(
            "a development version of imrec-pg made this database: write an export with that version "
            "(imrec-pg export DIR), then read it into another database with this one (imrec-pg import DIR)"
        )


def refuse_foreign_schema(conn: psycopg.Connection[Any]) -> None:
    """Return unless another role owns one of our schemas: what is in it may be made to run as this role.

    Raises:
        SchemaError: one does.
    """
    for schema in all_rows(conn, _ForeignSchema, _FOREIGN_SCHEMAS):
        raise SchemaError(
            f"the schema {schema.name} belongs to the role {schema.owner!r}, who can change everything in it: "
            f"connect as that role, or if it is none that you trust, DROP SCHEMA {schema.name} CASCADE"
        )


def version_tuple(version: str) -> tuple[int, ...]:
    """Return "0.8.5" as (0, 8, 5), to compare."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())


@contextmanager
def translated(conn: psycopg.Connection[Any] | None = None) -> Iterator[None]:
    """Turn psycopg's errors into ours.

    Args:
        conn: the connection used; without it, an error without SQLSTATE counts as a lost connection.

    Raises:
        PermissionDeniedError: the role may not do this, or the server is read-only.
        DatabaseUnreachableError: the connection was lost, or the server has no space, memory or slot left.
        LoginRefusedError: the database was dropped, or the role is not let in any more.
        ConflictError: another transaction was in the way.
        StoreError: anything else the database refused.
    """
    try:
        yield
    except psycopg.Error as error:
        raise error_of(error, connected=conn is not None and not conn.closed) from error


@contextmanager
def snapshot(conn: psycopg.Connection[Any]) -> Iterator[None]:
    """Hold a transaction that reads all tables as they are at one moment, though an ingest goes on meanwhile."""
    conn.isolation_level, conn.read_only = psycopg.IsolationLevel.REPEATABLE_READ, True
    try:
        with conn.transaction():
            yield
    finally:
        if conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
            conn.isolation_level = conn.read_only = None
        else:  # Ctrl-C in the middle of a statement: it would hide that by an error of its own
            conn.close()
