"""Claims of running ingests to files: one works on a file at a time, and a dead one's come back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from psycopg import errors as pg

from imrec_pg.db.connection import Connection, translated
from imrec_pg.db.pooler import is_pooled
from imrec_pg.db.retry import split_on_timeout
from imrec_pg.db.rows import all_rows, one_row, value
from imrec_pg.records import FoundFile


@dataclass(frozen=True, slots=True)
class Worker:
    """A running ingest.

    Attributes:
        lease: for so long after its last sign of life nobody takes over what it claimed.
    """

    worker_id: UUID
    host: str
    pid: int
    lease: timedelta


def renew(conn: Connection, worker: Worker, *, locked: bool) -> None:
    """Say that the worker lives."""
    with translated(conn):
        conn.execute(
            "SELECT imrec_internal.renew(%s, %s, %s, %s, %s)",
            (worker.worker_id, worker.host, worker.pid, worker.lease, locked),
        )


def lock(conn: Connection, worker: Worker) -> bool:
    """Hold the lock by which others see at once when this process dies; return whether it is held.

    Through a pooler it never is: it would outlive this process, in a session of somebody else.
    """
    if is_pooled(conn):
        return False
    with translated(conn):
        return value(
            conn, bool, "SELECT pg_try_advisory_lock(imrec_internal.worker_lock(%s))", (worker.worker_id,)
        )


@dataclass(frozen=True, slots=True)
class _Claimed:
    file_id: UUID
    token: int


def claim(conn: Connection, worker: Worker, files: Sequence[FoundFile]) -> dict[UUID, int]:
    """Return the token for each file that the worker may work on, by file_id; others work on the rest."""

    def once(part: Sequence[FoundFile]) -> list[_Claimed]:
        return all_rows(
            conn,
            _Claimed,
            "SELECT file_id, token FROM imrec_internal.claim(%s, %s::uuid[], %s::uuid[])",
            (worker.worker_id, [file.file_id for file in part], [file.root_id for file in part]),
        )

    with translated(conn):
        try:
            parts = split_on_timeout(files, once)
        except pg.ForeignKeyViolation:
            # Stopped for so long that it was forgotten.
            renew(conn, worker, locked=False)
            parts = split_on_timeout(files, once)
    return {row.file_id: row.token for part in parts for row in part}


@dataclass(frozen=True, slots=True)
class Others:
    """What other running ingests work on.

    Attributes:
        files: how many; workers says who.
        token: of the last claim counted.
    """

    files: int
    workers: str
    token: int


def claimed_by_others(
    conn: Connection, worker: Worker, root_ids: Sequence[UUID], latest: int | None
) -> Others:
    """Return what others work on, of those files that were claimed up to a token; None: up to now."""
    with translated(conn):
        return one_row(
            conn,
            Others,
            "SELECT files, workers, token FROM imrec_internal.claimed_by_others(%s, %s::uuid[], %s)",
            (worker.worker_id, list(root_ids), latest),
        )


def give_back(conn: Connection, worker: Worker) -> None:
    """Give back what the worker claimed and has not written; it lives on."""
    with translated(conn):
        conn.execute("DELETE FROM imrec.claim WHERE worker_id = %s", (worker.worker_id,))


def release(conn: Connection, worker: Worker) -> None:
    """Forget the worker, which has ended, and what it claimed."""
    with translated(conn):
        conn.execute("DELETE FROM imrec.worker WHERE worker_id = %s", (worker.worker_id,))


@dataclass(frozen=True, slots=True)
class Running:
    """An ingest at work.

    Attributes:
        files: how many it has claimed and not written yet.
    """

    host: str
    pid: int
    started_at: datetime
    files: int


def running(conn: Connection) -> list[Running]:
    """Return the ingests at work, the longest at it first."""
    with translated(conn):
        return all_rows(
            conn,
            Running,
            "SELECT w.host, w.pid, w.started_at, count(c.file_id) AS files FROM imrec.worker AS w "
            "LEFT JOIN imrec.claim AS c ON c.worker_id = w.worker_id "
            "WHERE w.worker_id IN (SELECT l.worker_id FROM imrec_internal.live_workers() AS l) "
            "GROUP BY w.worker_id ORDER BY w.started_at",
        )
