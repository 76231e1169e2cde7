"""The server around the database: room, connections, and whether it takes changes at all."""

import shutil
from collections.abc import Iterator

from imrec_pg.doctor.examined import Examined
from imrec_pg.doctor.finding import Finding, megabytes, notice, ok, warning

# An HNSW index of 512 floats takes 1,172 MB for 450,000 rows.
_INDEX_BYTES_A_ROW = 2_600
_NEARLY_FULL, _FULL = 0.75, 0.9
# Sessions of all databases; any role may know their number.
_SESSIONS = "SELECT coalesce(sum(numbackends), 0) FROM pg_catalog.pg_stat_database"
# PostgreSQL 16 has the second kind.
_RESERVED = """
SELECT coalesce(sum(setting::integer), 0) FROM pg_catalog.pg_settings
WHERE name IN ('superuser_reserved_connections', 'reserved_connections')
"""


def read_only(examined: Examined) -> Iterator[Finding]:
    """Yield whether this server, or this session, takes no changes."""
    if examined.standby:
        yield notice(
            "this server is a standby",
            "Searches work. Storing photos and building indexes does not.",
            "for those, the primary server",
        )
    elif examined.setting("default_transaction_read_only") == "on":
        yield notice(
            "default_transaction_read_only is on",
            "Searches work. Storing photos and building indexes does not.",
            examined.set_database("default_transaction_read_only", "off"),
        )
    else:
        yield ok("this server takes changes")


def connections(examined: Examined) -> Iterator[Finding]:
    """Yield whether there is room for more connections."""
    limit = int(examined.setting("max_connections")) - examined.number(_RESERVED)
    used = examined.number(_SESSIONS)
    if used < _NEARLY_FULL * limit:
        yield ok(f"{used} of {limit} connections are in use")
        return
    tell = warning if used >= _FULL * limit else notice
    yield tell(
        f"{used} of {limit} connections are in use",
        'When none is left, commands fail with "too many clients already".',
        f"end programs that hold them idle, or {examined.set_server('max_connections', str(2 * limit))}",
    )


def disk(examined: Examined) -> Iterator[Finding]:
    """Yield whether the disk has room to build the largest index anew; elsewhere just how much is stored."""
    database = examined.number("SELECT pg_catalog.pg_database_size(current_database())")
    if not examined.settings.embedded:
        yield ok(f"the database takes {megabytes(database)} on its server's disk")
        return
    rows = examined.tables["embedding"].rows if "embedding" in examined.tables else 0
    largest = max([rows * _INDEX_BYTES_A_ROW, *(index.bytes for index in examined.hnsw)])
    folder = examined.settings.data_dir
    free = shutil.disk_usage(folder).free
    found = f"the database takes {megabytes(database)}, and {megabytes(free)} are free in {folder}"
    if free < 2 * largest:
        yield warning(
            f"{found}: too little to build the largest index anew ({megabytes(largest)})",
            "A new one is written, and logged, beside the old one.",
            "free some, or move the folder: imrec-pg db stop, then --data",
        )
    else:
        yield ok(found)
