"""Make a map: UMAP lays out landmarks, all other images lie by their nearest ones."""

from collections.abc import Callable
from uuid import UUID, uuid4

import numpy as np
from psycopg.sql import SQL, Literal

from imrec_pg.analysis import reading
from imrec_pg.analysis.agreement import renew_agreement
from imrec_pg.analysis.cells import Cells, Floats
from imrec_pg.analysis.checks import check_feature, check_seed, how_many, may_build, nothing
from imrec_pg.analysis.clusters import build as build_clusters
from imrec_pg.analysis.clusters import of_points
from imrec_pg.analysis.extras import check_extra
from imrec_pg.analysis.frame import Frame, framed, neighbours, stratified
from imrec_pg.analysis.layout import Shape, laid_out
from imrec_pg.analysis.map_storing import MadeMap, store_map
from imrec_pg.analysis.placing import Landmarks, place_lacking, positions
from imrec_pg.analysis.quality import AMONG, fidelity
from imrec_pg.analysis.records import AUTO
from imrec_pg.db.connection import Connection, translated
from imrec_pg.db.locks import held
from imrec_pg.db.retry import retry_conflicts
from imrec_pg.db.rows import value_or_none
from imrec_pg.errors import UsageError
from imrec_pg.records import Feature, OnProgress

LANDMARKS = 200_000
"""UMAP's time and memory grow with them: 1.6 million filled 32 GB."""

_MEMBERS = SQL("""
SELECT f.image_id, coalesce(m.cluster, 0) AS cluster FROM {} AS f
LEFT JOIN imrec.cluster_member AS m ON m.image_id = f.image_id AND m.clustering_id = {}
ORDER BY f.image_id
""")
_CLUSTERING = "SELECT clustering_id FROM imrec.clustering WHERE feature = %s AND map_id IS NULL"
_K = "SELECT k FROM imrec.clustering WHERE clustering_id = %s"


def check_shape(shape: Shape) -> None:
    """Return when a map can be laid out so.

    Raises:
        UsageError: a number is out of range.
    """
    if shape.dims not in {2, 3}:
        raise UsageError(f"a map has 2 or 3 dimensions, not {shape.dims}")
    if not 2 <= shape.neighbours <= 200:  # noqa: PLR2004 - as UMAP's documentation has it
        raise UsageError(f"a map looks at 2 to 200 neighbours, not {shape.neighbours}")
    if not 0 <= shape.min_dist <= 1:
        raise UsageError(f"the least distance on a map is between 0 and 1, not {shape.min_dist:g}")
    check_seed(shape.seed)


def build(
    conn: Connection,
    feature: Feature,
    shape: Shape,
    on_progress: OnProgress = nothing,
    on_wait: Callable[[], None] = lambda: None,
    *,
    landmarks: int = LANDMARKS,
) -> UUID:
    """Put all images that have a feature on a map, replace the one that was there, and return the id.

    Clusters by the feature are made first where there are none. As many are looked for on the map.

    Raises:
        UsageError: a number is out of range, or no image has the feature.
        PermissionDeniedError: only the schema's owner may.
        ImrecError: the extra is not installed, or UMAP failed.
    """
    check_extra()
    check_feature(feature)
    check_shape(shape)
    with translated(conn):
        may_build(conn)
        how_many(conn, feature, AUTO)
        if value_or_none(conn, UUID, _CLUSTERING, (str(feature),)) is None:
            build_clusters(conn, feature, AUTO, shape.seed, on_progress, on_wait)
        with held(conn, f"map of {feature}", on_wait):
            map_id = uuid4()
            made = _made(conn, feature, shape, map_id, landmarks, on_progress)
            on_progress("storing", 0, None)

            def once() -> None:
                with conn.transaction():
                    store_map(conn, feature, shape, map_id, made)

            retry_conflicts(once)
            renew_agreement(conn, feature)
            place_lacking(conn, feature)
    return map_id


def _made(
    conn: Connection, feature: Feature, shape: Shape, map_id: UUID, landmarks: int, on_progress: OnProgress
) -> MadeMap:
    clustering = value_or_none(conn, UUID, _CLUSTERING, (str(feature),))
    k = value_or_none(conn, int, _K, (clustering,))
    members = reading.columns(
        conn,
        _MEMBERS.format(SQL(f"imrec.{feature}"), Literal(clustering)),
        (("image_id", "uuid"), ("cluster", "int4")),
    )
    chosen = members["image_id"][stratified(members["cluster"], landmarks, shape.seed)]
    frame = framed(conn, feature, chosen, shape.seed, len(members), on_progress)
    near, distances = neighbours(frame, min(shape.neighbours, len(frame.keys)), on_progress)
    start = np.zeros((len(frame.keys), shape.dims), np.float32)
    depth = min(shape.dims, len(frame.projection.components))
    start[:, :depth] = frame.projection.of(frame.vectors)[:, :depth]
    on_progress("laying out", 0, None)
    points = laid_out(
        start, near, distances, shape, lambda done, total: on_progress("laying out", done, total)
    )
    cells = frame.landmarks(points)
    keys, all_points, sampled = _all_points(
        conn, feature, frame, points, cells, lambda done: on_progress("placing", done, len(members))
    )
    on_progress("measuring", 0, None)
    where = np.searchsorted(keys.view("S16"), frame.keys.view("S16"))
    is_landmark = np.zeros(len(keys), np.bool_)
    is_landmark[where] = True
    clusters = of_points(
        feature, map_id, (keys, all_points), min(k or 1, len(all_points)), shape.seed, on_progress
    )
    return MadeMap(
        keys=keys,
        points=all_points,
        landmark=is_landmark,
        cells=cells,
        projection=frame.projection,
        fidelity=fidelity(*sampled, shape.seed),
        clusters=clusters,
    )


def _all_points(
    conn: Connection,
    feature: Feature,
    frame: Frame,
    points: Floats,
    cells: dict[int, Landmarks],
    on_progress: Callable[[int], None],
) -> tuple[reading.Keys, Floats, tuple[Floats, Floats]]:
    """Return all images by id, their points, and a sample of features and points to measure by."""
    index = Cells(frame.projection.centres, lambda cell: cells[cell][0])
    keys, found, sampled = list[reading.Keys](), list[Floats](), list[tuple[reading.Keys, Floats, Floats]]()
    done = 0
    sample_end = _bound(conn, feature)
    with reading.in_order(conn):
        for chunk, rows in reading.chunks(conn, feature):
            on_progress(done)
            here = np.empty((len(chunk), points.shape[1]), np.float32)
            places = np.minimum(
                np.searchsorted(frame.keys.view("S16"), chunk.view("S16")), len(frame.keys) - 1
            )
            known = frame.keys[places] == chunk
            here[known] = points[places[known]]
            if not known.all():
                here[~known] = positions(index, cells, frame.projection.of(rows[~known]), points.shape[1])
            keys.append(chunk)
            found.append(here)
            wanted = chunk.view("S16") <= sample_end
            sampled.append((chunk[wanted], rows[wanted], here[wanted]))
            done += len(chunk)
    all_keys, all_points = np.concatenate(keys), np.concatenate(found)
    order = np.argsort(all_keys.view("S16"), kind="stable")
    vectors = np.concatenate([part[1] for part in sampled])
    sample = vectors[:AMONG], np.concatenate([part[2] for part in sampled])[:AMONG]
    return all_keys[order], all_points[order], sample


def _bound(conn: Connection, feature: Feature) -> np.bytes_:
    """Return the id up to which as many images lie as are measured: ids are parts of hashes, so any are as good."""
    query = SQL("SELECT image_id FROM {} ORDER BY image_id OFFSET %s LIMIT 1").format(SQL(f"imrec.{feature}"))
    last = value_or_none(conn, UUID, query, (AMONG - 1,))
    return np.bytes_(b"\xff" * 16 if last is None else last.bytes)
