"""Find clusters: k from the elbow, centres from a sample, then passes over all images, streamed."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import numpy as np

from imrec_pg.analysis import reading
from imrec_pg.analysis.cells import Floats, nearest
from imrec_pg.analysis.checks import check_feature, check_k, check_seed, how_many, may_build, nothing
from imrec_pg.analysis.extras import check_extra
from imrec_pg.analysis.kmeans import candidates, centres_of, curve_of, elbow, moved, sums
from imrec_pg.analysis.quality import silhouette
from imrec_pg.analysis.records import AUTO, Space
from imrec_pg.analysis.storing import Made, by_size, store_clustering
from imrec_pg.db.connection import Connection, translated
from imrec_pg.db.locks import held
from imrec_pg.db.retry import retry_conflicts
from imrec_pg.db.rows import value_or_none
from imrec_pg.errors import NoMapError, UsageError
from imrec_pg.records import Feature, OnProgress

_SAMPLE = 100_000
"""Images that centres are found on: 200 MB."""
_CURVE_SAMPLE = 20_000
_MAP = """
SELECT map_id FROM imrec.map WHERE feature = %s AND dims = coalesce(%s, dims) ORDER BY dims DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Chosen:
    """How many clusters there are to be.

    Attributes:
        chosen: "auto" or "given".
        curve: what "auto" looked at.
    """

    k: int
    chosen: str
    curve: list[tuple[int, float]]


def choose(vectors: Floats, images: int, k: int | str, seed: int, on_progress: OnProgress) -> Chosen:
    """Return k as it was given, or that at the elbow."""
    if isinstance(k, int):
        return Chosen(k, "given", [])
    sampled = vectors[:_CURVE_SAMPLE]
    tried = candidates(images, len(sampled))
    curve = curve_of(sampled, tried, seed, lambda done: on_progress("trying k", done, len(tried)))
    return Chosen(elbow(curve), AUTO, curve)


def build(
    conn: Connection,
    feature: Feature,
    k: int | str = AUTO,
    seed: int = 42,
    on_progress: OnProgress = nothing,
    on_wait: Callable[[], None] = lambda: None,
) -> UUID:
    """Put all images that have a feature into clusters, replace those that were there, and return the id.

    Raises:
        UsageError: k makes no sense, or no image has the feature.
        PermissionDeniedError: only the schema's owner may.
        ImrecError: the extra is not installed.
    """
    _check(feature, k, seed)
    with translated(conn):
        may_build(conn)
        with held(conn, f"clusters of {feature}", on_wait):
            return _replace(conn, found(conn, feature, k, seed, on_progress), on_progress)


def _check(feature: Feature, k: int | str, seed: int) -> None:
    check_extra()
    check_feature(feature)
    check_k(k)
    check_seed(seed)


def _replace(conn: Connection, made: Made, on_progress: OnProgress) -> UUID:
    """Store clusters in place of those that were there, with what came meanwhile, and return their id."""
    from imrec_pg.analysis.agreement import renew_agreement
    from imrec_pg.analysis.placing import place_lacking

    on_progress("storing", 0, None)

    def once() -> UUID:
        with conn.transaction():
            return store_clustering(conn, made)

    clustering_id = retry_conflicts(once)
    renew_agreement(conn, made.feature)
    place_lacking(conn, made.feature)
    return clustering_id


def found(conn: Connection, feature: Feature, k: int | str, seed: int, on_progress: OnProgress) -> Made:
    """Return clusters of all images that have a feature.

    Raises:
        UsageError: there are too few.
    """
    images = how_many(conn, feature, k)
    on_progress("reading a sample", 0, None)
    _, vectors = reading.sample(conn, feature, max(_SAMPLE, 4 * k if isinstance(k, int) else 0))
    chosen = choose(vectors, images, k, seed, on_progress)
    on_progress("finding centres", 0, None)
    centres = centres_of(vectors, chosen.k, seed)
    if images > len(vectors):
        centres = _stepped(conn, feature, centres, images, on_progress)
    keys, labels, distances = [], [], []
    done = 0
    with reading.in_order(conn):
        for chunk, rows in reading.chunks(conn, feature):
            on_progress("assigning", done, images)
            label, distance = nearest(rows, centres)
            keys.append(chunk)
            labels.append(label)
            distances.append(distance)
            done += len(chunk)
    assigned = by_size(np.concatenate(keys), np.concatenate(labels), np.concatenate(distances), centres)
    sample_labels, _ = nearest(vectors, assigned.centres)
    return Made(
        feature=feature,
        space=Space.FEATURE,
        map_id=None,
        k_chosen=chosen.chosen,
        seed=seed,
        silhouette=silhouette(vectors, sample_labels),
        curve=chosen.curve,
        assigned=assigned,
    )


def _stepped(
    conn: Connection, feature: Feature, centres: Floats, images: int, on_progress: OnProgress
) -> Floats:
    """Return the centres after one of Lloyd's steps over all images."""
    totals = np.zeros(centres.shape)
    counts = np.zeros(len(centres), dtype=np.int64)
    done = 0
    with reading.in_order(conn):
        for _, rows in reading.chunks(conn, feature):
            on_progress("moving centres", done, images)
            labels, _ = nearest(rows, centres)
            total, count = sums(rows, labels, len(centres))
            totals += total
            counts += count
            done += len(rows)
    return moved(centres, totals, counts)


def build_on_map(
    conn: Connection,
    feature: Feature,
    dims: int | None = None,
    k: int | str = AUTO,
    seed: int = 42,
    on_progress: OnProgress = nothing,
    on_wait: Callable[[], None] = lambda: None,
) -> UUID:
    """Put the points of a map into clusters, replace those that were there, and return the id.

    Of the map of so many dimensions; where dims is None of the one that there is, the larger of two.

    Raises:
        UsageError: k makes no sense, or there is no such map.
        PermissionDeniedError: only the schema's owner may.
        ImrecError: the extra is not installed.
    """
    from imrec_pg.analysis.stored import map_coordinates

    _check(feature, k, seed)
    with translated(conn):
        may_build(conn)
        with held(conn, f"clusters of {feature}", on_wait):
            map_id = value_or_none(
                conn,
                UUID,
                _MAP,
                (str(feature), dims),
            )
            if map_id is None:
                raise NoMapError(feature, dims)
            keys, points = map_coordinates(conn, map_id)
            made = of_points(feature, map_id, (keys, points), k, seed, on_progress)
            return _replace(conn, made, on_progress)


def of_points(
    feature: Feature,
    map_id: UUID,
    rows: tuple[reading.Keys, Floats],
    k: int | str,
    seed: int,
    on_progress: OnProgress,
) -> Made:
    """Return clusters of the points of a map.

    Raises:
        UsageError: there are too few.
    """
    keys, points = rows
    if isinstance(k, int) and k > len(points):
        raise UsageError(
            f"{k:,} clusters cannot be made of {len(points):,} photos: ask for fewer, or for auto"
        )
    drawn = np.random.default_rng(seed).permutation(len(points))
    sampled = points[drawn[:_SAMPLE]]
    chosen = choose(sampled, len(points), k, seed, on_progress)
    on_progress("finding clusters on the map", 0, None)
    centres = centres_of(sampled, chosen.k, seed)
    labels, distances = nearest(points, centres)
    assigned = by_size(keys, labels, distances, centres)
    sample_labels, _ = nearest(sampled, assigned.centres)
    return Made(
        feature=feature,
        space=Space.MAP,
        map_id=map_id,
        k_chosen=chosen.chosen,
        seed=seed,
        silhouette=silhouette(sampled, sample_labels),
        curve=chosen.curve,
        assigned=assigned,
    )
