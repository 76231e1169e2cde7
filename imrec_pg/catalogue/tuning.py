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

LEAST_EF_SEARCH = 100
"""Mean recall may be high with less, while photos far from all others are not found at all (docs/adr/0013)."""

# Each step takes about as much longer as it finds more; hnsw.ef_search ends at 1,000.
_LADDER = (10, 15, 20, 30, 40, 60, 80, 100, 150, 200, 300, 400, 600, 800, 1000)
# float32 sums of another order differ in the last digits: what is as near as the k-th is as good.
_TIE = 1e-6

OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Tuning:
    """What was measured of an index.

    Attributes:
        ef_search: the smallest of those tried that reached what was wanted, or the largest.
        wanted: the recall asked for, and the least share of images that find themselves.
        recall: the share of the k nearest images that the index found; mean over the queries.
        worst_decile: the same, of the tenth of the queries that the index answered worst.
        self_found: the share of images that the index finds when it is asked for what is most like them.
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
    worst_decile: float
    self_found: float
    p50_ms: float
    queries: int
    images: int
    measured_at: datetime


def summary(tuning: Tuning | None) -> str:
    """Return what was measured of an index, or how to measure it, in a few words."""
    if tuning is None:
        return "recall not measured: imrec-pg tune"
    return (
        f"recall@{tuning.k} {tuning.recall:.3f}, of the worst tenth {tuning.worst_decile:.3f}, "
        f"{tuning.self_found:.1%} find themselves; measured on {tuning.queries} of your images on "
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
    least: int = LEAST_EF_SEARCH,
    on_progress: OnProgress = lambda _step, _done, _total: None,
) -> Tuning:
    """Measure the index of a pair on the user's own images, and store what searches are to use.

    No ef_search below least is tried. on_progress gets the step, and how many of how many queries of it are done.

    Raises:
        UsageError: a number is out of range, no usable index, or too few images.
    """
    operator_class(conn, feature, metric)
    if not 0 < wanted <= 1 or not 1 <= k <= 100 or queries < 1 or not 1 <= least <= _LADDER[-1]:  # noqa: PLR2004
        raise UsageError(
            "recall must be above 0 and at most 1, k between 1 and 100, queries at least 1, and ef_search between "
            f"1 and {_LADDER[-1]:,}"
        )
    if valid_index(conn, feature, metric) is None:
        raise NoIndexError(feature, metric)
    sample = sample_of(conn, feature, queries)
    if len(sample) <= k:
        raise UsageError(f"only {len(sample)} images have this feature: recall@{k} needs more than {k}")
    question = _Question(conn, feature, metric, k)
    truth = []
    for number, image in enumerate(sample):
        on_progress("exact", number, len(sample))
        truth.append(question.exact(image)[1])
    for ef_search in sorted({least, *(ef for ef in _LADDER if ef >= max(k, least))}):
        recalls, found_selves, times = [], [], []
        for number, image in enumerate(sample):
            on_progress(f"ef_search {ef_search}", number, len(sample))
            started = time.perf_counter()
            found_self, found = question.approximate(image, ef_search)
            times.append(time.perf_counter() - started)
            recalls.append(_recall(found, truth[number]))
            found_selves.append(found_self)
        recall, self_found = float(np.mean(recalls)), float(np.mean(found_selves))
        if min(recall, self_found) >= wanted:
            break
    worst = float(np.mean(sorted(recalls)[: max(1, len(recalls) // 10)]))
    measured = (ef_search, k, wanted, recall, worst, self_found, 1000 * median(times), len(sample))
    return _store(conn, feature, metric, measured)


class _Question:
    """Searches for stored images by one feature and metric."""

    def __init__(self, conn: Connection, feature: Feature, metric: Metric, k: int) -> None:
        self._conn, self._feature, self._metric, self._k = conn, feature, metric, k

    def exact(self, image: UUID) -> tuple[bool, list[float]]:
        """Return whether an image finds itself, or one as near, and the distances of the k nearest others."""
        return self._answer(image, "exact")

    def approximate(self, image: UUID, ef_search: int) -> tuple[bool, list[float]]:
        with translated(self._conn), self._conn.transaction():
            for name, value in (("imrec.ef_search", ef_search), ("imrec.min_index_rows", 0)):
                self._conn.execute("SELECT set_config(%s, %s, true)", (name, str(value)))
            return self._answer(image, "approximate")

    def _answer(self, image: UUID, method: str) -> tuple[bool, list[float]]:
        with translated(self._conn):
            rows = all_rows(
                self._conn,
                _Found,
                _SEARCH,
                (image, self._k + 1, str(self._feature), str(self._metric), method),
            )
        others = [row.distance for row in rows if row.image_id != image]
        return len(others) < len(rows) or bool(rows and rows[0].distance <= _TIE), others[: self._k]


@dataclass(frozen=True, slots=True)
class _Found:
    image_id: UUID
    distance: float


# By its features, so that it is not left out itself.
_SEARCH = """
SELECT image_id, distance FROM imrec.recommend(
    imrec_internal.stored_features(ARRAY[%s::uuid]), '{}', %s, %s, %s, method => %s
)
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
    conn: Connection,
    feature: Feature,
    metric: Metric,
    measured: tuple[int, int, float, float, float, float, float, int],
) -> Tuning:
    with translated(conn):
        return one_row(conn, Tuning, _UPSERT, (str(feature), str(metric), *measured))


_UPSERT = """
INSERT INTO imrec.tuning AS t
    (feature, metric, ef_search, k, wanted, recall, worst_decile, self_found, p50_ms, queries, images, measured_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, (SELECT count(*) FROM imrec.image), clock_timestamp())
ON CONFLICT (feature, metric) DO UPDATE SET
    ef_search = excluded.ef_search, k = excluded.k, wanted = excluded.wanted, recall = excluded.recall,
    worst_decile = excluded.worst_decile, self_found = excluded.self_found, p50_ms = excluded.p50_ms,
    queries = excluded.queries, images = excluded.images, measured_at = excluded.measured_at
RETURNING *
"""
