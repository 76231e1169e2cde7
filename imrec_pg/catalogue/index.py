"""List, build and drop the HNSW indexes."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial

from psycopg.sql import SQL, Composed, Identifier, Literal

from imrec_pg.db.connection import Connection, translated, vector_schema
from imrec_pg.db.locks import held, in_tries
from imrec_pg.db.pooler import execute_alone
from imrec_pg.db.rows import all_rows, value, value_or_none
from imrec_pg.errors import BlockedError, UsageError
from imrec_pg.records import Feature, Metric

logger = logging.getLogger(__name__)

# Half as much again as pgvector's defaults, and twice: 99 % recall then takes an ef_search of 100 instead of
# 600, on 450,000 rows 2.5 times as fast; the size is the same (docs/adr/0013).
_M, _EF_CONSTRUCTION = 24, 128

_PROGRESS = """
SELECT
    phase,
    greatest(tuples_done, blocks_done) AS done,
    greatest(tuples_total, blocks_total) AS total
FROM pg_catalog.pg_stat_progress_create_index WHERE pid = %s
"""


@dataclass(frozen=True, slots=True)
class IndexState:
    """What serves one (feature, metric) pair.

    Attributes:
        name: the index, or None when the pair is answered by an exact scan.
        valid: False when a build broke off; such an index is never used.
        size: in bytes.
    """

    feature: Feature
    metric: Metric
    name: str | None
    valid: bool
    size: int


def index_name(feature: Feature, metric: Metric) -> str:
    """Return the name of the index of a pair, as in imrec_internal.hnsw_index."""
    return f"{feature}_{metric}_hnsw"


@dataclass(frozen=True, slots=True)
class _IndexRow:
    feature: str
    metric: str
    name: str
    valid: bool | None
    size: int | None


def index_states(conn: Connection) -> list[IndexState]:
    """Return every pair of feature and metric with its index, if it has one."""
    with translated(conn):
        rows = all_rows(
            conn, _IndexRow, "SELECT feature, metric, name, valid, size FROM imrec_internal.hnsw_index"
        )
    return [
        IndexState(
            Feature(row.feature),
            Metric(row.metric),
            None if row.valid is None else row.name,
            bool(row.valid),
            row.size or 0,
        )
        for row in rows
    ]


def operator_class(conn: Connection, feature: Feature, metric: Metric) -> str:
    """Return pgvector's operator class for the index of a pair.

    Raises:
        UsageError: no HNSW index can serve the pair.
    """
    with translated(conn):
        found = value_or_none(
            conn,
            str,
            "SELECT operator_class FROM imrec_internal.hnsw_index "
            "WHERE feature = %s AND metric = %s AND operator_class IS NOT NULL",
            (str(feature), str(metric)),
        )
    if found is not None:
        return found
    if feature.is_hash:
        # HNSW on bit hashes missed a row at distance 0 (pgvector issue 972).
        raise UsageError(f"{feature} is always searched exactly: HNSW misses identical hashes")
    raise UsageError(f"{feature} has no {metric} distance, so no index for it")


def valid_index(conn: Connection, feature: Feature, metric: Metric) -> str | None:
    """Return the usable index of a pair, or None."""
    with translated(conn):
        return value_or_none(
            conn,
            str,
            "SELECT name FROM imrec_internal.hnsw_index WHERE feature = %s AND metric = %s AND valid",
            (str(feature), str(metric)),
        )


def build_index(conn: Connection, feature: Feature, metric: Metric) -> bool:
    """Build the HNSW index of a pair, without blocking writers; return False when it was there already.

    Of several that build it at once, on any number of hosts, one does and the others wait for it.

    An index left invalid by a build that broke off is built anew. The version of pgvector that built it goes
    into the index's comment, since nothing else tells later (the doctor reads it).

    Raises:
        UsageError: no HNSW index can serve the pair.
        BlockedError: an invalid one is in the way, and others use the table without a pause.
    """
    name, operators = index_name(feature, metric), operator_class(conn, feature, metric)
    # The lock below is for the owner alone; an ingester need not be refused what is there.
    if valid_index(conn, feature, metric):
        return False
    waiting = partial(logger.warning, "waiting for another session that builds %s", name)
    with translated(conn), held(conn, name, waiting):
        if valid_index(conn, feature, metric):
            return False
        _drop(conn, name)
        with _removed_on_error(conn, name):
            execute_alone(
                conn,
                SQL(
                    "CREATE INDEX CONCURRENTLY {} ON {} USING hnsw ({} {}) "
                    "WITH (m = {}, ef_construction = {})"
                ).format(
                    Identifier(name),
                    Identifier("imrec", feature),
                    Identifier(feature),
                    _operators(conn, operators),
                    Literal(_M),
                    Literal(_EF_CONSTRUCTION),
                ),
            )
        conn.execute(_comment(conn, name))
    return True


def drop_index(conn: Connection, feature: Feature, metric: Metric) -> bool:
    """Drop the index of a pair; return False when there was none.

    Raises:
        BlockedError: others use the table without a pause.
    """
    operator_class(conn, feature, metric)
    name = index_name(feature, metric)
    existed = any(state.name == name for state in index_states(conn))
    with translated(conn):
        _drop(conn, name)
        # What was measured of it says nothing of the next one.
        conn.execute(
            "DELETE FROM imrec.tuning WHERE feature = %s AND metric = %s", (str(feature), str(metric))
        )
    return existed


@dataclass(frozen=True, slots=True)
class _Progress:
    phase: str
    done: int
    total: int


@contextmanager
def watched(
    watcher: Connection, builder: Connection, on_progress: Callable[[str, int, int], None]
) -> Iterator[None]:
    """Report what PostgreSQL says of the index build on the builder's connection, until it ends.

    on_progress is called from another thread with the phase, what is done of it, and the whole of it. An
    error in it, or on the watcher's connection, ends the reports but not the build.
    """
    ended = threading.Event()
    pid = builder.info.backend_pid

    def watch() -> None:
        try:
            while not ended.wait(0.2):
                for row in all_rows(watcher, _Progress, _PROGRESS, (pid,)):
                    on_progress(row.phase, row.done, row.total)
        except Exception as error:  # noqa: BLE001 - the build is worth more than its progress bar
            logger.debug("the progress of the index build is no longer reported: %s", error)

    thread = threading.Thread(target=watch, name="imrec-index-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _operators(conn: Connection, name: str) -> Composed:
    """Return an operator class of pgvector with its schema, which need not be on the search path."""
    return SQL("{}.{}").format(SQL(vector_schema(conn)), Identifier(name))


def _comment(conn: Connection, name: str) -> Composed:
    version = value(conn, str, "SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'vector'")
    return SQL("COMMENT ON INDEX {} IS {}").format(
        Identifier("imrec", name), Literal(f"Built by pgvector {version}.")
    )


def _drop(conn: Connection, name: str) -> None:
    # DROP INDEX keeps everybody out of the table; while it waits, it would hold up all that come later.
    in_tries(conn, lambda: conn.execute(SQL("DROP INDEX IF EXISTS {}").format(Identifier("imrec", name))))


@contextmanager
def _removed_on_error(conn: Connection, name: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        # A broken CREATE INDEX CONCURRENTLY leaves an invalid index behind, which writers keep filling.
        if not conn.closed:
            with suppress(BlockedError):
                _drop(conn, name)
        raise
