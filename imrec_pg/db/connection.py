"""Connections to the database in use, checked before anything else is done on them."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors as pg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from imrec_pg.embedded import EmbeddedServer
from imrec_pg.errors import (
    ConflictError,
    DatabaseUnreachableError,
    PermissionDeniedError,
    SchemaError,
    StoreError,
)
from imrec_pg.settings import Settings

Connection = psycopg.Connection[tuple[object, ...]]

# 0.6.0 to 0.8.1 have CVE-2026-3172, and HNSW vacuum corrupted indexes until 0.8.3.
MIN_PGVECTOR = (0, 8, 4)
_STATE = """
SELECT
    (SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'vector') AS pgvector,
    to_regclass('imrec.schema_version') IS NOT NULL AS has_schema
"""


# Of a network that goes silent, the system itself would tell after two hours. In seconds and, the last one,
# milliseconds; what the user's own connection string says goes before.
_DEFAULTS: dict[str, int | str | None] = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}


def connect(settings: Settings, *, again: bool = False) -> Connection:
    """Return a connection in autocommit mode, starting the embedded server when that is the one in use.

    Nothing is checked; what needs the schema opens a session (store.session). With again, an embedded server
    that somebody has stopped meanwhile stays so.

    Raises:
        DatabaseUnreachableError: no server, wrong DSN or password.
    """
    dsn = dsn_of(settings, again=again)
    try:
        return psycopg.connect(
            make_conninfo("", **(_DEFAULTS | conninfo_to_dict(dsn))),
            autocommit=True,
            fallback_application_name="imrec-pg",
            # A database in SQL_ASCII would hand out bytes where all others hand out text.
            client_encoding="utf8",
        )
    except psycopg.ProgrammingError as error:
        raise DatabaseUnreachableError(
            f"{settings.dsn_source} is no connection string that PostgreSQL knows: {_line(error)}; "
            "write postgresql://user@host:5432/database"
        ) from error
    except psycopg.OperationalError as error:
        raise DatabaseUnreachableError(
            f"no connection to the database named by {settings.dsn_source}: {_line(error)}"
        ) from error


def psql_call(settings: Settings) -> tuple[list[str], dict[str, str]]:
    """Return psql's arguments and extra environment for the database in use.

    The password goes into the environment: arguments are shown to all users by ps.
    """
    dsn = dsn_of(settings)
    if not dsn:
        return [], {}
    parts = conninfo_to_dict(dsn)
    password = parts.pop("password", None)
    environment = {"PGPASSWORD": str(password)} if password is not None else {}
    return [
        "--dbname",
        make_conninfo(**{name: str(value) for name, value in parts.items() if value is not None}),
    ], environment


def dsn_of(settings: Settings, *, again: bool = False) -> str:
    """Return the connection string of the database in use; starts the embedded server when it is that."""
    return EmbeddedServer(settings.data_dir).start(again=again) if settings.dsn is None else settings.dsn


def check_pgvector(conn: Connection) -> None:
    """Return when the extension is there and new enough.

    Raises:
        SchemaError: it is not.
    """
    row = conn.execute(_STATE).fetchone()
    version = row[0] if row else None
    if version is None:
        raise SchemaError(
            "this database has no pgvector: run imrec-pg db upgrade, or have an administrator run "
            "CREATE EXTENSION vector in it"
        )
    if version_tuple(str(version)) < MIN_PGVECTOR:
        raise SchemaError(
            f"pgvector {version} has known faults: install 0.8.4 or newer on the server, then run "
            "ALTER EXTENSION vector UPDATE, and REINDEX indexes that the old one built"
        )


def schema_version(conn: Connection) -> str | None:
    """Return the migration the database stands at, or None when the schema is not there.

    Raises:
        PermissionDeniedError: the role may not read the schema.
    """
    row = conn.execute(_STATE).fetchone()
    if row is None or not row[1]:
        return None
    found = conn.execute("SELECT version_num FROM imrec.schema_version").fetchone()
    return str(found[0]) if found else None


def version_tuple(version: str) -> tuple[int, ...]:
    """Return "0.8.5" as (0, 8, 5), to compare."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())


@contextmanager
def translated() -> Iterator[None]:
    """Turn psycopg's errors into ours.

    Raises:
        PermissionDeniedError: the role may not do this, or the server is read-only.
        DatabaseUnreachableError: the connection was lost, or the server has no space, memory or slot left.
        ConflictError: another transaction was in the way.
        StoreError: anything else the database refused.
    """
    try:
        yield
    except pg.ReadOnlySqlTransaction as error:
        raise PermissionDeniedError(
            f"this database is read-only ({_line(error)}): connect to the primary server, "
            "or turn default_transaction_read_only off"
        ) from error
    except pg.InsufficientPrivilege as error:
        raise PermissionDeniedError(
            f"this database role may not do that ({_line(error)}): connect as the owner of the schema imrec, "
            "or have it granted"
        ) from error
    except pg.QueryCanceled as error:
        # It may have waited for another one's lock.
        raise ConflictError(f"the server cancelled the statement ({_line(error)})") from error
    except (pg.DeadlockDetected, pg.SerializationFailure, pg.LockNotAvailable) as error:
        raise ConflictError(
            f"another program got in the way ({_line(error)}): run the command again"
        ) from error
    except pg.DiskFull as error:
        raise DatabaseUnreachableError(
            f"the database's disk is full ({_line(error)}): free some space there and run the command again; "
            "what was acknowledged is stored"
        ) from error
    except (psycopg.OperationalError, pg.IdleInTransactionSessionTimeout) as error:
        raise DatabaseUnreachableError(
            f"lost the database ({_line(error)}): what was acknowledged is stored; run the command again"
        ) from error
    except psycopg.Error as error:
        raise StoreError(f"the database refused a statement: {_line(error)}") from error


def _line(error: psycopg.Error) -> str:
    text = str(error.diag.message_primary or error).strip()
    return " ".join(text.split()) or type(error).__name__
