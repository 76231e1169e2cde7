"""Look a database over: what is wrong, what follows from it, and what mends it.

One check is one function that yields its findings. A check that fails, for want of a privilege or of time,
says so, and the others go on. Nothing is changed.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import psycopg
from psycopg import errors as pg

from imrec_pg.db.connection import connect, translated
from imrec_pg.doctor import (
    contents,
    indexes,
    memory,
    objects,
    planning,
    plans,
    privileges,
    server,
    upkeep,
    versions,
)
from imrec_pg.doctor.examined import Examined
from imrec_pg.doctor.finding import Finding, Level, notice
from imrec_pg.settings import Settings

__all__ = ["Finding", "Level", "examine"]

Check = Callable[[Examined], Iterator[Finding]]

CHECKS: dict[str, Check] = {
    "postgresql": versions.postgresql,
    "encoding": versions.encoding,
    "pgvector": versions.pgvector,
    "schema": versions.schema,
    "objects": objects.objects,
    "storage": objects.storage,
    "privileges": privileges.privileges,
    "read-only": server.read_only,
    "features": contents.features,
    "files": contents.files,
    "model": contents.model,
    "vectors": contents.vectors,
    "failures": contents.failures,
    "indexes": indexes.indexes,
    "index-builder": indexes.builder,
    "plans": plans.plans,
    "psql": planning.psql,
    "statistics": upkeep.statistics,
    "dead-rows": upkeep.dead_rows,
    "vacuum": upkeep.vacuum,
    "visibility": upkeep.visibility,
    "transactions": upkeep.transactions,
    "shared-buffers": memory.shared_buffers,
    "index-memory": memory.index_memory,
    "shared-memory": memory.shared_memory,
    "work-memory": memory.work_memory,
    "parallel": planning.parallel,
    "costs": planning.costs,
    "jit": planning.jit,
    "connections": server.connections,
    "disk": server.disk,
}


def examine(settings: Settings, *, full: bool = False) -> list[Finding]:
    """Return what all checks found, in their order; also where the schema is missing, old or closed.

    Args:
        settings: which database; an embedded server is started, and otherwise left as it is.
        full: look at all rows, however long that takes; else at a sample of large tables.

    Raises:
        DatabaseUnreachableError: no server, wrong DSN or password; or the connection was lost.
    """
    with connect(settings) as conn, translated():
        _limit_time(conn, full=full)
        examined = Examined(conn, settings, full=full)
        return [finding for name, check in CHECKS.items() for finding in _run(name, check, examined)]


def _limit_time(conn: psycopg.Connection[tuple[object, ...]], *, full: bool) -> None:
    """Wait for nobody's lock, and for no single answer longer than a minute, unless all is to be read."""
    conn.execute("SELECT set_config('lock_timeout', '1s', false) WHERE current_setting('lock_timeout') = '0'")
    if not full:
        conn.execute(
            "SELECT set_config('statement_timeout', '1min', false) "
            "WHERE current_setting('statement_timeout') = '0'"
        )


def _run(name: str, check: Check, examined: Examined) -> list[Finding]:
    found = []
    try:
        for finding in check(examined):
            found.append(replace(finding, check=name))  # noqa: PERF401 - what was found before an error stays
    except (psycopg.Error, OSError) as error:
        if examined.conn.closed:
            raise
        found.append(replace(_unchecked(error), check=name))
    return found


def _unchecked(error: psycopg.Error | OSError) -> Finding:
    text = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    what = f"could not be checked: {' '.join((text or str(error)).split())}"
    if isinstance(error, pg.InsufficientPrivilege):
        return notice(what, "This role lacks a privilege.", "see the finding on privileges, or use the owner")
    if isinstance(error, pg.LockNotAvailable):
        return notice(what, "Another session holds it locked.", "imrec-pg doctor, later")
    if isinstance(error, pg.QueryCanceled):
        return notice(what, "It took too long.", "imrec-pg doctor --full")
    return notice(what, "The rest was checked all the same.")
