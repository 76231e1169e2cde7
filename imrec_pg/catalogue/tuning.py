"""How far an HNSW index has to search on the user's own images for the recall that is wanted."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from uuid import UUID

import numpy as np
from psycopg.sql import SQL, Identifier

from imrec_pg.catalogue.index import operator_class, valid_index
from imrec_pg.db.connection import Connection, translated
from imrec_pg.db.privileges import is_restricted
from imrec_pg.db.rows import all_rows, one_row, values
from imrec_pg.errors import NoIndexError, UsageError
from imrec_pg.records import Feature, Metric

# Each step takes about as much longer as it finds more; hnsw.ef_search ends at 1,000.
_LADDER = (10, 15, 20, 30, 40, 60, 80, 100, 150, 200, 300, 400, 600, 800, 1000)
# float32 sums of another order differ in the last digits: what is as near as the k-th is as good.
_TIE = 1e-6

OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Tuning:
    """What was measured of an index.

    Attributes:
        ef_search: the smallest of those tried that reached the recall wanted, or the largest.
        wanted: the recall asked for.
        recall: the share of the k nearest images that the index found; mean over the queries.
        p50_ms: the median time of a search, its round trip to the server included.
        queries: how many of the stored images were searched for.
        images: how many there were.
    """

    feature: str
    metric: str
    ef_search: int
    k: int
    wanted: float
    recall: float
    p50_ms: float
    queries: int
    images: int
    measured_at: datetime


def summary(tuning: Tuning | None) -> str:
    """Return what was measured of an index, or how to measure it, in a few words."""
    if tuning is None:
        return "recall not measured: imrec-pg tune"
    return (
        f"recall@{tuning.k} {tuning.recall:.3f} measured on {tuning.queries} of your images on "
        f"{tuning.measured_at:%Y-%m-%d}"
    )


def tuning(conn: Connection, feature: Feature, metric: Metric) -> Tuning | None:
    """Return what was measured of the index of a pair."""
    return next((t for t in tunings(conn) if (t.feature, t.metric) == (feature, metric)), None)


def tunings(conn: Connection) -> list[Tuning]:
    """Return what was measured of each index; nothing to a reader of some roots, as it counts all images."""
    if is_restricted(conn):
        return []
    with translated(conn):
        return all_rows(conn, Tuning, "SELECT * FROM imrec.tuning ORDER BY feature, metric")


def tune(
    conn: Connection,
    feature: Feature,
    metric: Metric,
    *,
    k: int = 10,
    wanted: float = 0.99,
    queries: int = 500,
    on_progress: OnProgress = lambda _step, _done, _total: None,
) -> Tuning:
    """Measure the index of a pair on the user's own images, and store what searches are to use.

    on_progress gets the step, and how many of how many queries of it are done.

    Raises:
        UsageError: a number is out of range, no usable index, or too few images.
    """
    operator_class(conn, feature, metric)
    if not 0 < wanted <= 1 or not 1 <= k <= 100 or queries < 1:  # noqa: PLR2004
        raise UsageError("recall must be above 0 and at most 1, k between 1 and 100, and queries at least 1")
    if valid_index(conn, feature, metric) is None:
        raise NoIndexError(feature, metric)
    sample = sample_of(conn, feature, queries)
    if len(sample) <= k:
        raise UsageError(f"only {len(sample)} images have this feature: recall@{k} needs more than {k}")
    question = _Question(conn, feature, metric, k)
    truth = []
    for number, image in enumerate(sample):
        on_progress("exact", number, len(sample))
        truth.append(question.exact(image))
    for ef_search in (ef for ef in _LADDER if ef >= k):
        found, times = [], []
        for number, image in enumerate(sample):
            on_progress(f"ef_search {ef_search}", number, len(sample))
            started = time.perf_counter()
            found.append(question.approximate(image, ef_search))
            times.append(time.perf_counter() - started)
        recall = float(np.mean([_recall(*pair) for pair in zip(found, truth, strict=True)]))
        if recall >= wanted:
            break
    return _store(conn, feature, metric, (ef_search, k, wanted, recall, 1000 * median(times), len(sample)))


class _Question:
    """Searches for stored images by one feature and metric."""

    def __init__(self, conn: Connection, feature: Feature, metric: Metric, k: int) -> None:
        self._conn, self._feature, self._metric, self._k = conn, feature, metric, k

    def exact(self, image: UUID) -> list[float]:
        return self._distances(image, "exact")

    def approximate(self, image: UUID, ef_search: int) -> list[float]:
        with translated(self._conn), self._conn.transaction():
            for name, value in (("imrec.ef_search", ef_search), ("imrec.min_index_rows", 0)):
                self._conn.execute("SELECT set_config(%s, %s, true)", (name, str(value)))
            return self._distances(image, "approximate")

    def _distances(self, image: UUID, method: str) -> list[float]:
        with translated(self._conn):
            return values(
                self._conn,
                float,
                _SEARCH,
                (image, self._k, str(self._feature), str(self._metric), method),
            )


_SEARCH = """
SELECT distance FROM imrec.similar_to(%s::uuid, %s, %s, %s, method => %s)
"""


def _recall(found: Sequence[float], truth: Sequence[float]) -> float:
    """Return the share of true neighbours found; as near as the last of them counts as one of them."""
    bound = truth[-1] + _TIE * max(1.0, abs(truth[-1]))
    return sum(distance <= bound for distance in found) / len(truth)


def sample_of(conn: Connection, feature: Feature, number: int) -> list[UUID]:
    """Return so many of the images that have the feature, at random, or all when there are fewer."""
    table = Identifier("imrec", feature)
    first = SQL("SELECT image_id FROM {} ORDER BY image_id LIMIT %s").format(table)
    # Ids come from SHA-256: the next one after a random id is a random one, and found by the key.
    following = SQL("SELECT image_id FROM {} WHERE image_id >= %s ORDER BY image_id LIMIT 1").format(table)
    rng = np.random.default_rng()
    with translated(conn):
        some = values(conn, UUID, first, (number + 1,))
        if len(some) <= number:
            return some
        found: set[UUID] = set()
        for start in (UUID(bytes=rng.bytes(16)) for _ in range(2 * number)):
            found |= set(values(conn, UUID, following, (start,)))
            if len(found) == number:
                break
    return [*found, *(image for image in some if image not in found)][:number]


def _store(
    conn: Connection, feature: Feature, metric: Metric, measured: tuple[int, int, float, float, float, int]
) -> Tuning:
    with translated(conn):
        return one_row(conn, Tuning, _UPSERT, (str(feature), str(metric), *measured))


_UPSERT = """
INSERT INTO imrec.tuning AS t
    (feature, metric, ef_search, k, wanted, recall, p50_ms, queries, images, measured_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, (SELECT count(*) FROM imrec.image), clock_timestamp())
ON CONFLICT (feature, metric) DO UPDATE SET
    ef_search = excluded.ef_search, k = excluded.k, wanted = excluded.wanted, recall = excluded.recall,
    p50_ms = excluded.p50_ms, queries = excluded.queries, images = excluded.images,
    measured_at = excluded.measured_at
RETURNING *
"""
