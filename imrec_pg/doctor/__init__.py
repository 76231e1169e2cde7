"""Check a database: what is wrong, what it means, and how to fix it.

Each check is a function that yields findings. A check that cannot finish, for lack of a privilege or of time,
says so, and the other checks still run. Nothing is changed.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import psycopg
from psycopg import errors as pg

from imrec_pg.db.connection import connect, translated
from imrec_pg.db.pooler import set_for_session
from imrec_pg.db.privileges import is_restricted
from imrec_pg.doctor import (
    contents,
    indexes,
    objects,
    plans,
    privileges,
    server,
    upkeep,
)
from imrec_pg.doctor.examined import Examined
from imrec_pg.doctor.finding import Finding, Level, notice
from imrec_pg.settings import Settings

__all__ = ["Finding", "Level", "examine"]

Check = Callable[[Examined], Iterator[Finding]]

CHECKS: dict[str, Check] = {
    "postgresql": server.postgresql,
    "encoding": server.encoding,
    "pgvector": server.pgvector,
    "schema": server.schema,
    "objects": objects.objects,
    "storage": objects.storage,
    "privileges": privileges.privileges,
    "search-path": privileges.search_path,
    "read-only": server.read_only,
    "features": contents.features,
    "files": contents.files,
    "roots": contents.roots,
    "model": contents.model,
    "vectors": contents.vectors,
    "reduced-vectors": contents.reduced_vectors,
    "failures": contents.failures,
    "indexes": indexes.indexes,
    "index-builder": indexes.builder,
    "index-memory": indexes.memory,
    "recall": indexes.recall,
    "equal-vectors": indexes.equal_vectors,
    "plans": plans.plans,
    "psql": plans.psql,
    "statistics": upkeep.statistics,
    "dead-rows": upkeep.dead_rows,
    "vacuum": upkeep.vacuum,
    "disk": server.disk,
}
_FOR_READERS_OF_SOME_ROOTS = (
    *("postgresql", "encoding", "pgvector", "schema"),
    *("privileges", "search-path", "read-only"),
)


def examine(settings: Settings, *, full: bool = False) -> list[Finding]:
    """Return the findings of all checks, in their order, even if the schema is missing, old or not readable.

    Args:
        settings: which database; the embedded server is started if necessary.
        full: read all rows, however long that takes; else a sample of large tables.

    Raises:
        DatabaseUnreachableError: no server, wrong DSN or password, or the connection was lost.
    """
    with connect(settings) as conn, translated():
        _limit_time(conn, full=full)
        examined = Examined(conn, settings, full=full)
        # A reader of some roots may not see what the other checks look at.
        named = _FOR_READERS_OF_SOME_ROOTS if is_restricted(conn) else CHECKS
        return [finding for name in named for finding in _run(name, CHECKS[name], examined)]


def _limit_time(conn: psycopg.Connection[tuple[object, ...]], *, full: bool) -> None:
    """Don't wait for locks, nor, unless all rows are read, longer than a minute for one statement."""
    for name, limit in [("lock_timeout", "1s")] + ([] if full else [("statement_timeout", "1min")]):
        if conn.execute("SELECT current_setting(%s) = '0'", (name,)).fetchone() == (True,):
            set_for_session(conn, name, limit)


def _run(name: str, check: Check, examined: Examined) -> list[Finding]:
    found = []
    try:
        for finding in check(examined):
            found.append(replace(finding, check=name))  # noqa: PERF401 - findings before an error stay
    except (psycopg.Error, OSError) as error:
        if examined.conn.closed:
            raise
        found.append(replace(_unchecked(error), check=name))
    return found


def _unchecked(error: psycopg.Error | OSError) -> Finding:
    text = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    what = f"could not be checked: {' '.join((text or str(error)).split())}"
    if isinstance(error, pg.InsufficientPrivilege):
        return notice(what, "This role lacks a privilege.", "see the finding on privileges, or be the owner")
    if isinstance(error, pg.LockNotAvailable):
        return notice(what, "Another session has locked it.", "run imrec-pg doctor again later")
    if isinstance(error, pg.QueryCanceled):
        return notice(what, "It took too long.", "imrec-pg doctor --full")
    return notice(what, "The other checks were made.")
