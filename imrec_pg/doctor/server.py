"""The server: versions of PostgreSQL, pgvector and the schema; encoding, disk space, standby."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from psycopg.sql import SQL, Identifier

from imrec_pg._version import __version__
from imrec_pg.db.connection import MIN_PGVECTOR, version_tuple
from imrec_pg.db.session import HEAD, state_of
from imrec_pg.doctor.examined import Examined
from imrec_pg.doctor.finding import Finding, error, megabytes, notice, ok, warning

_TRIED_FROM = 16
# An HNSW index of 512 floats takes 1,172 MB for 450,000 rows.
_INDEX_BYTES_PER_ROW = 2_600
_MIN = ".".join(map(str, MIN_PGVECTOR))
_EXTENSION = """
SELECT
    e.extversion AS installed,
    n.nspname AS schema,
    (SELECT a.default_version FROM pg_catalog.pg_available_extensions AS a WHERE a.name = 'vector')
        AS available,
    to_regtype('vector') IS NOT NULL AS found
FROM (SELECT 1) AS one
LEFT JOIN pg_catalog.pg_extension AS e ON e.extname = 'vector'
LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
"""


@dataclass(frozen=True, slots=True)
class _Extension:
    """The extension vector.

    Attributes:
        installed: its version in this database.
        available: the version of the server's files.
        found: whether its type is found without its schema's name.
    """

    installed: str | None
    schema: str | None
    available: str | None
    found: bool


def postgresql(examined: Examined) -> Iterator[Finding]:
    """Yield whether imrec-pg is tested on this version of PostgreSQL."""
    number = examined.conn.info.server_version
    version = f"PostgreSQL {number // 10_000}.{number % 10_000}"
    if number < _TRIED_FROM * 10_000:
        yield notice(version, "imrec-pg is tested on PostgreSQL 16 and 18.", "update the server")
    else:
        yield ok(version)


def encoding(examined: Examined) -> Iterator[Finding]:
    """Yield whether the database can store any path."""
    name = examined.setting("server_encoding")
    if name == "UTF8":
        yield ok("the encoding is UTF8")
    else:
        yield warning(
            f"the database's encoding is {name}",
            "It cannot store files whose names have letters outside that encoding.",
            "CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8'; and ingest into that one",
        )


def pgvector(examined: Examined) -> Iterator[Finding]:
    """Yield whether pgvector is installed, free of known faults, and as new as the server's files."""
    (found,) = examined.records(_Extension, _EXTENSION)
    if found.installed is None:
        yield error("pgvector is not in this database", "imrec-pg cannot work without it.", _create(found))
        return
    if version_tuple(found.installed) < MIN_PGVECTOR:
        yield error(
            f"pgvector {found.installed} has known faults",
            "Up to 0.8.1 it has a vulnerability (CVE-2026-3172), up to 0.8.3 VACUUM may corrupt HNSW "
            "indexes. imrec-pg refuses to work with it.",
            _update(found, examined),
        )
        return
    yield _compared(found)
    if not found.found:
        yield error(
            f"pgvector is in the schema {found.schema}, which is not on this role's search_path",
            "Queries do not find its type and operators.",
            examined.sql(
                SQL("ALTER DATABASE {} SET search_path = public, {};").format(
                    Identifier(examined.conn.info.dbname), Identifier(found.schema or "")
                )
            ),
        )


def schema(examined: Examined) -> Iterator[Finding]:
    """Yield whether the schema, with its functions, has the version that this imrec-pg needs."""
    if examined.schema is None:
        yield error("there is no schema imrec", "Nothing can be stored yet.", "imrec-pg db upgrade")
        return
    state = state_of(examined.conn)
    if state.newer:
        yield error(
            f"the schema is at {state.schema}, made by imrec-pg {state.imrec_version}; this one is "
            f"{__version__} and knows {HEAD}",
            "All other commands refuse to work with it.",
            "pip install --upgrade imrec-pg",
        )
    elif state.outdated:
        what = f"the schema is at {state.schema}, this imrec-pg needs {HEAD}"
        if state.schema == HEAD:
            what = "the functions in the database are not those of this imrec-pg"
        if examined.settings.embedded:
            yield notice(what, "The next command upgrades it.", "imrec-pg db upgrade")
        else:
            yield error(what, "All other commands refuse to work with it.", "imrec-pg db upgrade")
    else:
        yield ok(f"the schema is at {state.schema}")


def read_only(examined: Examined) -> Iterator[Finding]:
    """Yield whether this server or this session refuses changes."""
    if examined.standby:
        yield notice(
            "this server is a standby",
            "Searches work. Storing photos and building indexes does not.",
            "use the primary server for those",
        )
    elif examined.setting("default_transaction_read_only") == "on":
        yield notice(
            "default_transaction_read_only is on",
            "Searches work. Storing photos and building indexes does not.",
            examined.set_database("default_transaction_read_only", "off"),
        )
    else:
        yield ok("this server accepts changes")


def disk(examined: Examined) -> Iterator[Finding]:
    """Yield whether the disk has room to rebuild the largest index; of another server, just the size."""
    database = examined.number("SELECT pg_catalog.pg_database_size(current_database())")
    if not examined.settings.embedded:
        yield ok(f"the database takes {megabytes(database)} on the server's disk")
        return
    rows = examined.tables["embedding"].rows if "embedding" in examined.tables else 0
    largest = max([rows * _INDEX_BYTES_PER_ROW, *(index.bytes for index in examined.hnsw)])
    folder = examined.settings.data_dir
    free = shutil.disk_usage(folder).free
    found = f"the database takes {megabytes(database)}, and {megabytes(free)} are free in {folder}"
    if free < 2 * largest:
        yield warning(
            f"{found}: too little to rebuild the largest index ({megabytes(largest)})",
            "The new index is written, and logged, beside the old one.",
            "free some space, or move the folder: imrec-pg db stop, then --data",
        )
    else:
        yield ok(found)


def _compared(found: _Extension) -> Finding:
    installed, available = found.installed or "", found.available
    if available is None or version_tuple(installed) == version_tuple(available):
        return ok(f"pgvector {installed}")
    if version_tuple(installed) < version_tuple(available):
        return notice(
            f"the database uses pgvector {installed}, and the server has {available}",
            "The database gets the new version only by an update.",
            "ALTER EXTENSION vector UPDATE;",
        )
    return warning(
        f"the database uses pgvector {installed}, and the server's files are of {available}",
        "The server's package is older than the database: functions may be missing, and old faults are back.",
        f"install pgvector {installed} or newer on the server",
    )


def _create(found: _Extension) -> str:
    if found.available is None:
        return (
            f"install pgvector {_MIN} or newer on the server (Debian: postgresql-NN-pgvector; managed "
            "services: allow the extension vector), then run imrec-pg db upgrade"
        )
    return "imrec-pg db upgrade, or as an administrator: CREATE EXTENSION vector;"


def _update(found: _Extension, examined: Examined) -> str:
    rebuild = " ".join(
        examined.sql(SQL("REINDEX INDEX {};").format(Identifier("imrec", index.name)))
        for index in examined.indexes
        if index.method == "hnsw"
    )
    update = f"ALTER EXTENSION vector UPDATE; {rebuild}".strip()
    if found.available is not None and version_tuple(found.available) >= MIN_PGVECTOR:
        return update
    return f"install pgvector {_MIN} or newer on the server, then: {update}"
