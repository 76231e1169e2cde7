"""Keep the reduced vectors of a library: find the directions, reduce what is stored, and measure what it gains."""

import time
from collections.abc import Callable
from statistics import median
from uuid import UUID

import numpy as np
from psycopg.sql import SQL, Identifier

from imrec_pg.analysis import blocks, reading
from imrec_pg.analysis.cells import Floats
from imrec_pg.analysis.checks import nothing
from imrec_pg.analysis.reduction import Axes, Choice, choose, metrics_of
from imrec_pg.db.connection import Connection, translated
from imrec_pg.db.locks import held, in_tries
from imrec_pg.db.pooler import execute_alone
from imrec_pg.db.rows import value, value_or_none, values
from imrec_pg.records import Feature, OnProgress

MIN_IMAGES = 5_000
"""Fewer are all compared in a few milliseconds."""

_SAMPLE = 50_000
_PAGES = 8192  # 64 MiB
_GOOD_S = 0.06
_FEATURES = (Feature.EMBEDDING, Feature.HISTOGRAM)

_MAY = "SELECT pg_catalog.has_table_privilege('imrec.reduction', 'INSERT, DELETE')"
# What is twice as much as it was has other directions, and half of what is half as much is of images that are gone.
_COMPLETE_NOW = """
SELECT r.complete FROM imrec.reduction AS r
WHERE r.feature = %(feature)s AND r.images BETWEEN %(images)s / 2 + 1 AND 2 * %(images)s
"""
_DELETE = "DELETE FROM imrec.reduction WHERE feature = %s"
_INSERT = """
INSERT INTO imrec.reduction (feature, metrics, dims, images, candidates, growth, passing, block_images)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""
_AXIS = "INSERT INTO imrec.reduction_axis (feature, kind, axis, direction) VALUES (%s, %s, %s, %s)"
_PAGES_OF = "SELECT pg_catalog.pg_relation_size(%s::regclass) / current_setting('block_size')::integer"
_COMPLETE = "UPDATE imrec.reduction SET complete = true WHERE feature = %s"
_MEASURED = "UPDATE imrec.reduction SET exact_images = %s WHERE feature = %s"
_SEARCH = "SELECT count(*) FROM imrec.similar_to(%s::uuid, 10, %s, 'cosine', method => 'exact')"


def reduce_all(
    conn: Connection,
    on_progress: OnProgress = nothing,
    on_wait: Callable[[], None] = lambda: None,
    *,
    least: int = MIN_IMAGES,
) -> list[Feature]:
    """Reduce the vectors of each feature where that is not done, or the library has doubled; return which ones.

    Does nothing for fewer images than least, and nothing when this role is not the owner's.
    """
    done = []
    with translated(conn):
        if not value(conn, bool, _MAY):
            return []
        for feature in _FEATURES:
            images = reading.count(conn, feature)
            if images < least:
                continue
            with held(conn, f"reduction of {feature}", on_wait):
                if _is_complete(conn, feature, images):
                    axes = _axes(conn, feature)
                    blocks.merge(conn, feature, len(axes.components) + 1, len(axes.sums))
                else:
                    _reduce(conn, feature, images, on_progress)
                    done.append(feature)
    return done


def _is_complete(conn: Connection, feature: Feature, images: int) -> bool | None:
    """Return whether all is reduced, by directions that fit the library; None where there are no such directions."""
    return value_or_none(conn, bool, _COMPLETE_NOW, {"feature": str(feature), "images": images})


def _reduce(conn: Connection, feature: Feature, images: int, on_progress: OnProgress) -> None:
    step = f"reducing {feature}s"
    if _is_complete(conn, feature, images) is None:
        on_progress(step, 0, images)
        _, sample = reading.sample(conn, feature, _SAMPLE)
        _begin(conn, feature, images, choose(feature, sample, images))
    else:  # it broke off: how far it came is not known
        conn.execute(SQL("DELETE FROM {}").format(Identifier("imrec", f"{feature}_block")))
    # Else each search would read the pages of those that were there before.
    _vacuum(conn, feature)
    # Whoever began to write before the directions were stored does not know of them, and ends first.
    in_tries(
        conn,
        lambda: conn.execute(SQL("LOCK TABLE {} IN SHARE MODE").format(Identifier("imrec", feature))),
        60,
    )
    axes = _axes(conn, feature)
    for begin in range(0, value(conn, int, _PAGES_OF, (f"imrec.{feature}",)), _PAGES):
        keys, vectors = reading.pages(conn, feature, begin, begin + _PAGES)
        if len(keys):
            _store(conn, feature, axes, keys, vectors)
        on_progress(step, min(images, begin // _PAGES * len(keys) + len(keys)), images)
    # What has no bounds, was left over, and what vacuum or an update has moved meanwhile.
    conn.execute("SELECT imrec_internal.reduce_images(NULL)")
    blocks.merge(conn, feature, len(axes.components) + 1, len(axes.sums), least=0)
    _vacuum(conn, feature)
    conn.execute(_COMPLETE, (str(feature),))
    conn.execute(_MEASURED, (_exact_images(conn, feature, images), str(feature)))


def _vacuum(conn: Connection, feature: Feature) -> None:
    for table in ("reduced", "block"):
        execute_alone(conn, SQL("VACUUM (ANALYZE) {}").format(Identifier("imrec", f"{feature}_{table}")))


def _begin(conn: Connection, feature: Feature, images: int, choice: Choice) -> None:
    """Store the directions; from now on whatever is written is reduced as well."""
    axes, name = choice.axes, str(feature)
    rows = [("mean", axes.mean[None]), ("component", axes.components), ("sum", axes.sums)]
    with conn.transaction(), conn.cursor() as cur:
        cur.execute(_DELETE, (name,))
        for table in ("reduced", "block"):
            cur.execute(SQL("DELETE FROM {}").format(Identifier("imrec", f"{feature}_{table}")))
        dims = len(axes.components) + 1
        cur.execute(
            _INSERT,
            (
                *(name, metrics_of(feature), dims, images, choice.candidates, choice.growth, choice.passing),
                blocks.size_for(dims, len(axes.sums)),
            ),
        )
        cur.executemany(
            _AXIS,
            [
                (name, kind, number, direction.astype(np.float32))
                for kind, directions in rows
                for number, direction in enumerate(directions)
            ],
        )


def _axes(conn: Connection, feature: Feature) -> Axes:
    """Return the directions as they are stored: in single precision, which both ways of reducing have to use."""
    query = (
        "SELECT a.direction::real[] FROM imrec.reduction_axis AS a WHERE a.feature = %s AND a.kind = %s "
        "ORDER BY a.axis"
    )
    found = {
        kind: np.array(values(conn, list, query, (str(feature), kind)), np.float64)
        for kind in ("mean", "component", "sum")
    }
    return Axes(found["mean"][0], found["component"], found["sum"].reshape(-1, len(found["mean"][0])))


def _store(conn: Connection, feature: Feature, axes: Axes, keys: reading.Keys, vectors: Floats) -> None:
    fine = axes.bounded(vectors)
    reduced, norms, sums = axes.reduce(vectors[fine])
    size = blocks.size_for(reduced.shape[1], sums.shape[1])
    blocks.write(conn, feature, blocks.Reduced(keys[fine], reduced, norms, sums), size)


def _exact_images(conn: Connection, feature: Feature, images: int) -> int:
    """Return how many images are compared in 60 ms, by the time that some searches of all take."""
    query = SQL("SELECT image_id FROM {} ORDER BY image_id LIMIT 6").format(Identifier("imrec", feature))
    times = []
    for image in values(conn, UUID, query):
        started = time.perf_counter()
        conn.execute(_SEARCH, (image, str(feature)))
        times.append(time.perf_counter() - started)
    return max(MIN_IMAGES, int(_GOOD_S / median(times[1:]) * images))
