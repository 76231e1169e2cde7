"""Locks: rows of a table of our own, waited for briefly, and who holds what is waited for (docs/adr/0017).

A row of imrec_internal.lock can only be locked by those who may write to that table. The number of an advisory
lock is free for every role that may connect.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, Literal, TypeVar

import psycopg
from psycopg import errors as pg

from imrec_pg.db.connection import another
from imrec_pg.db.retry import wait_until
from imrec_pg.db.rows import all_rows, value
from imrec_pg.errors import BlockedError, Blocker

T = TypeVar("T")
Name = Literal["upgrade", "access"]

# Shorter than deadlock_timeout (1 s), and than a search would mind: whoever waits for a lock on a table holds up
# all who come later.
_TRY, _TRY_FOR_S = "300ms", 15
_LOOK_S = 0.05
_ADD = "INSERT INTO imrec_internal.lock (name) VALUES (%s) ON CONFLICT DO NOTHING"
_LOCK = "SELECT FROM imrec_internal.lock WHERE name = %s FOR UPDATE"
_NO_TIMEOUTS = (
    "SELECT set_config(s.name, '0', true) FROM pg_catalog.pg_settings AS s "
    "WHERE s.name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')"
)
_BLOCKERS = """
SELECT b.pid, a.usename::text AS role, coalesce(a.application_name, '') AS application, a.xact_start AS since
FROM (SELECT DISTINCT n.pid FROM unnest(pg_catalog.pg_blocking_pids(%s)) AS n (pid)) AS b
LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = b.pid
ORDER BY a.xact_start, b.pid
"""


def lock(conn: psycopg.Connection[Any], name: Name) -> None:
    """Hold the row of that name until the end of the transaction.

    "upgrade" is for what changes the schema, "access" for grants: two of them would undo each other's half.
    """
    conn.execute(_ADD, (name,))
    conn.execute(_LOCK, (name,))


@contextmanager
def held(conn: psycopg.Connection[Any], name: str, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the row of that name, on a connection of its own, for as long as the block takes.

    It is waited for without end, but in no statement and no transaction: CREATE INDEX CONCURRENTLY waits for
    all that run, and both would wait for ever.
    """
    with closing(another(conn)) as holder:
        holder.execute(_ADD, (name,))
        waiting = False

        def locked() -> bool:
            nonlocal waiting
            holder.execute_alone("BEGIN ISOLATION LEVEL READ COMMITTED")  # else it keeps a snapshot
            holder.set_for_transaction()
            # The holder is idle in its transaction for as long as the work takes, an hour for an index.
            holder.execute(_NO_TIMEOUTS)
            if holder.execute(f"{_LOCK} SKIP LOCKED", (name,)).rowcount:
                # Without parameters, so that it ends the portal of the statement before, which keeps a snapshot.
                holder.execute("SELECT")
                return True
            holder.execute("ROLLBACK")
            if not waiting:
                waiting = True
                on_wait()
            return False

        wait_until(locked)
        yield


def in_tries(
    conn: psycopg.Connection[Any],
    action: Callable[[], T],
    for_s: float | None = None,
    *,
    when_blocked: Callable[[], None] = lambda: None,
) -> T:
    """Return what action returns; it is one transaction, tried again while others hold locks that it needs.

    What it has locked is released before the next try. when_blocked is called once, after the first try.

    Raises:
        BlockedError: they held them for longer than for_s; nothing has changed.
    """
    try:
        return _once(conn, action)
    except psycopg.Error as error:
        if not _passes(error):
            raise
    when_blocked()
    results: list[T] = []

    def tried() -> bool:
        try:
            results.append(_once(conn, action))
        except psycopg.Error as error:
            if not _passes(error):
                raise
        return bool(results)

    with _blockers(conn) as blockers:
        if not wait_until(tried, _TRY_FOR_S if for_s is None else for_s):
            raise BlockedError(blockers)
    return results[0]


@contextmanager
def bounded(conn: psycopg.Connection[Any], timeout: str) -> Iterator[None]:
    """Let each statement of a transaction, which is open already, wait for locks for so long at most.

    Raises:
        BlockedError: others held one for longer.
    """
    limit(conn, timeout)
    with _blockers(conn) as blockers:
        try:
            yield
        except pg.LockNotAvailable as error:
            raise BlockedError(blockers) from error


def limit(conn: psycopg.Connection[Any], timeout: str) -> None:
    """Let each further statement of this transaction wait for locks for so long at most."""
    conn.execute("SELECT pg_catalog.set_config('lock_timeout', %s, true)", (timeout,))


def _once(conn: psycopg.Connection[Any], action: Callable[[], T]) -> T:
    with conn.transaction():
        limit(conn, _TRY)
        return action()


def _passes(error: psycopg.Error) -> bool:
    """Return whether the error is of a lock, or of the row of a privilege that another has just written."""
    if isinstance(error, (pg.LockNotAvailable, pg.DeadlockDetected)):
        return True
    return isinstance(error, pg.InternalError_) and "concurrently" in str(error)


@contextmanager
def _blockers(conn: psycopg.Connection[Any]) -> Iterator[list[Blocker]]:
    """Yield a list in which those stand for whom the connection has waited last."""
    # Asked of the server: behind a pooler the connection's own number is another one.
    pid, found, ended = (
        value(conn, int, "SELECT pg_catalog.pg_backend_pid()"),
        list[Blocker](),
        threading.Event(),
    )
    try:
        watcher = another(conn)
    except psycopg.Error:  # such as no connection left: then nobody is named
        yield found
        return

    def look() -> None:
        while not ended.wait(_LOOK_S):
            try:
                seen = all_rows(watcher, Blocker, _BLOCKERS, (pid,))
            except psycopg.Error:
                return
            if seen:
                found[:] = seen

    thread = threading.Thread(target=look, name="imrec-blockers", daemon=True)
    with watcher:
        thread.start()
        try:
            yield found
        finally:
            ended.set()
            thread.join()
