"""Make a map: UMAP lays out landmarks, all other images lie by their nearest ones."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID, uuid4

import numpy as np
from numpy.typing import NDArray
from psycopg.sql import SQL, Literal

from imrec_pg.analysis import reading
from imrec_pg.analysis.agreement import renew_agreement
from imrec_pg.analysis.cells import Cells, Floats, Numbers, nearest
from imrec_pg.analysis.clusters import build as build_clusters
from imrec_pg.analysis.clusters import check_feature, check_seed, how_many, may_build, nothing, of_points
from imrec_pg.analysis.extras import check_extra
from imrec_pg.analysis.kmeans import centres_of
from imrec_pg.analysis.layout import Shape, laid_out
from imrec_pg.analysis.placing import Landmarks, Projection, place_lacking, positions
from imrec_pg.analysis.quality import AMONG, Fidelity, fidelity
from imrec_pg.analysis.records import AUTO
from imrec_pg.analysis.storing import Made, store_clustering
from imrec_pg.db.connection import Connection, translated
from imrec_pg.db.locks import held
from imrec_pg.db.retry import retry_conflicts
from imrec_pg.db.rows import value_or_none
from imrec_pg.errors import UsageError
from imrec_pg.records import Feature, OnProgress

LANDMARKS = 200_000
"""UMAP's time and memory grow with them: 1.6 million filled 32 GB."""

# Of the variance of generated embeddings they keep 80 %; a landmark then takes 192 bytes.
_COMPONENTS = 96
# Cells compared with for the neighbours of a landmark: 0.996 of the true ones were found.
_PROBES = 8
# Up to so many landmarks each is compared with all.
_EXACT = 10_000
_CELL_STEPS = 5
_MEMBERS = SQL("""
SELECT f.image_id, coalesce(m.cluster, 0) AS cluster FROM {} AS f
LEFT JOIN imrec.cluster_member AS m ON m.image_id = f.image_id AND m.clustering_id = {}
ORDER BY f.image_id
""")
_CLUSTERING = "SELECT clustering_id FROM imrec.clustering WHERE feature = %s AND map_id IS NULL"
_K = "SELECT k FROM imrec.clustering WHERE clustering_id = %s"
_DELETE = "DELETE FROM imrec.map WHERE feature = %s AND dims = %s"
_INSERT = """
INSERT INTO imrec.map (
    map_id, feature, dims, neighbours, min_dist, seed, images, landmarks, trustworthiness, neighbour_preservation,
    created_at
) VALUES (%s, %s, %s, %s, %s, %s, 0, 0, %s, %s, clock_timestamp())
"""
_STAGE = (
    "CREATE TEMPORARY TABLE pg_temp.stage_point (image_id uuid, x real, y real, z real, landmark boolean)"
)
# The lock keeps an image from going between the two: its foreign key would fail all of it.
_POINTS = """
INSERT INTO imrec.map_point (image_id, map_id, x, y, z, landmark)
SELECT s.image_id, %s, s.x, s.y, CASE WHEN %s = 3 THEN s.z END, s.landmark
FROM pg_temp.stage_point AS s INNER JOIN imrec.image AS i ON i.image_id = s.image_id
ORDER BY s.image_id
FOR KEY SHARE OF i
"""
_TOTALS = """
UPDATE imrec.map SET (images, landmarks) = (
    SELECT count(*), count(*) FILTER (WHERE p.landmark) FROM imrec.map_point AS p WHERE p.map_id = map.map_id
) WHERE map_id = %s
"""


@dataclass(frozen=True, slots=True)
class _Frame:
    """Landmarks in their cells, each with its point; all that places other images.

    Attributes:
        keys: of the landmarks, sorted.
        vectors: at unit length, float32 (n, 512), in the order of keys.
        order: of the landmarks, cell by cell.
        starts: of each cell, in that order, and the end.
    """

    keys: reading.Keys
    vectors: Floats
    projection: Projection
    order: NDArray[np.intp]
    starts: NDArray[np.intp]

    def members(self, cell: int) -> NDArray[np.intp]:
        """Return the landmarks in a cell."""
        return self.order[self.starts[cell] : self.starts[cell + 1]]

    def landmarks(self, points: Floats) -> dict[int, Landmarks]:
        """Return the landmarks of each cell as they are stored."""
        found = dict[int, Landmarks]()
        for cell in range(len(self.starts) - 1):
            here = self.members(cell)
            found[cell] = self.projection.of(self.vectors[here]).astype("<f2"), points[here]
        return found


@dataclass(frozen=True, slots=True)
class _Map:
    keys: reading.Keys
    points: Floats
    landmark: NDArray[np.bool_]
    cells: dict[int, Landmarks]
    projection: Projection
    fidelity: Fidelity | None
    clusters: Made


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
                    _store(conn, feature, shape, map_id, made)

            retry_conflicts(once)
            renew_agreement(conn, feature)
            place_lacking(conn, feature)
    return map_id


def _made(
    conn: Connection, feature: Feature, shape: Shape, map_id: UUID, landmarks: int, on_progress: OnProgress
) -> _Map:
    clustering = value_or_none(conn, UUID, _CLUSTERING, (str(feature),))
    k = value_or_none(conn, int, _K, (clustering,))
    members = reading.columns(
        conn,
        _MEMBERS.format(SQL(f"imrec.{feature}"), Literal(clustering)),
        (("image_id", "uuid"), ("cluster", "int4")),
    )
    chosen = members["image_id"][_stratified(members["cluster"], landmarks, shape.seed)]
    frame = _frame(conn, feature, chosen, shape.seed, len(members), on_progress)
    near, distances = _neighbours(frame, min(shape.neighbours, len(frame.keys)), on_progress)
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
    return _Map(
        keys=keys,
        points=all_points,
        landmark=is_landmark,
        cells=cells,
        projection=frame.projection,
        fidelity=fidelity(*sampled, shape.seed),
        clusters=clusters,
    )


def _stratified(clusters: Numbers, number: int, seed: int) -> NDArray[np.intp]:
    """Return which images are landmarks: so many at most, of each cluster its share, and one at least."""
    if len(clusters) <= number:
        return np.arange(len(clusters))
    rng = np.random.default_rng(seed)
    chosen = []
    for cluster in np.unique(clusters):
        here = np.flatnonzero(clusters == cluster)
        chosen.append(rng.permutation(here)[: max(1, len(here) * number // len(clusters))])
    return np.sort(np.concatenate(chosen))


def _frame(
    conn: Connection, feature: Feature, keys: reading.Keys, seed: int, total: int, on_progress: OnProgress
) -> _Frame:
    """Return the landmarks of these keys, but those that are gone by now."""
    vectors, found, done = np.empty((0, 0), np.float32), np.zeros(len(keys), np.bool_), 0
    wanted = keys.view("S16")
    with reading.in_order(conn):
        for chunk, rows in reading.chunks(conn, feature):
            on_progress("reading landmarks", done, total)
            if not vectors.size:
                vectors = np.zeros((len(keys), rows.shape[1]), np.float32)
            places = np.minimum(np.searchsorted(wanted, chunk.view("S16")), len(keys) - 1)
            here = keys[places] == chunk
            vectors[places[here]] = rows[here]
            found[places[here]] = True
            done += len(chunk)
    if not found.any():
        raise UsageError(f"no photo has this feature any more: {feature}")
    if not found.all():
        keys, vectors = keys[found], vectors[found]
    on_progress("principal components", 0, None)
    mean = vectors.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((vectors.shape[1], vectors.shape[1]))
    for begin in range(0, len(vectors), 8192):
        centred = vectors[begin : begin + 8192] - mean
        covariance += centred.T @ centred
    _, axes = np.linalg.eigh(covariance)
    # The sign of an axis is arbitrary: that of its largest value.
    components = axes[:, ::-1][:, : min(_COMPONENTS, len(keys))].T
    largest = np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1)
    projection = Projection(
        mean.astype(np.float32),
        (components * np.sign(largest)).astype(np.float32),
        np.empty((0, 0), np.float32),
    )
    projected = projection.of(vectors)
    number = max(1, int(np.sqrt(len(keys))))
    drawn = np.random.default_rng(seed).permutation(len(keys))[: 50 * number]
    centres = centres_of(projected[drawn], number, seed, steps=_CELL_STEPS)
    labels, _ = nearest(projected, centres)
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(len(centres) + 1))
    return _Frame(keys, vectors, Projection(projection.mean, projection.components, centres), order, starts)


def _neighbours(frame: _Frame, k: int, on_progress: OnProgress) -> tuple[Numbers, Floats]:
    """Return the k nearest landmarks of each, itself first, and the distances, by all dimensions."""
    total = len(frame.keys)
    near, distances = np.empty((total, k), np.int32), np.empty((total, k), np.float32)
    # The cells are those of the components; their means stand for them here.
    means = np.stack(
        [frame.vectors[frame.members(cell)].mean(axis=0) for cell in range(len(frame.starts) - 1)]
    )
    cells = Cells(means, lambda cell: frame.vectors[frame.members(cell)])
    done, probes = 0, len(means) if total <= _EXACT else _PROBES
    for rows, found in cells.search(frame.vectors, k, probes):
        on_progress("neighbours", done, total)
        near[rows] = frame.order[frame.starts[found.cell] + found.position]
        distances[rows] = found.distance
        done += len(rows)
    # Among equal ones any may come first.
    itself = np.arange(total, dtype=np.int32)
    for row in np.flatnonzero(near[:, 0] != itself):
        place = np.flatnonzero(near[row] == row)
        where = int(place[0]) if len(place) else k - 1
        near[row, 1 : where + 1] = near[row, :where]
        distances[row, 1 : where + 1] = distances[row, :where]
    near[:, 0], distances[:, 0] = itself, 0
    return near, distances


def _all_points(
    conn: Connection,
    feature: Feature,
    frame: _Frame,
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


def _store(conn: Connection, feature: Feature, shape: Shape, map_id: UUID, made: _Map) -> None:
    conn.execute(_DELETE, (str(feature), shape.dims))
    true = made.fidelity
    conn.execute(
        _INSERT,
        (
            *(map_id, str(feature), shape.dims, shape.neighbours, shape.min_dist, shape.seed),
            *(true and true.trustworthiness, true and true.preservation),
        ),
    )
    conn.execute(_STAGE)
    axes = [made.points[:, axis] for axis in range(shape.dims)]
    if len(axes) == 2:  # noqa: PLR2004 - dimensions
        axes.append(np.zeros(len(made.keys), np.float32))
    with conn.cursor() as cur:
        reading.write_columns(
            cur,
            "stage_point",
            {
                "image_id": ("uuid", made.keys),
                **{name: ("float4", values) for name, values in zip("xyz", axes, strict=True)},
                "landmark": ("bool", made.landmark),
            },
        )
        conn.execute("ANALYZE pg_temp.stage_point")
        conn.execute(_POINTS, (map_id, shape.dims))
        conn.execute("DROP TABLE pg_temp.stage_point")
        conn.execute(_TOTALS, (map_id,))
        projection = made.projection
        parts = (projection.mean, projection.components, projection.centres)
        conn.execute(
            "INSERT INTO imrec.map_projection (map_id, mean, components, centres) VALUES (%s, %s, %s, %s)",
            (map_id, *(part.astype("<f4").tobytes() for part in parts)),
        )
        cur.executemany(
            "INSERT INTO imrec.map_cell (map_id, cell, landmarks, points) VALUES (%s, %s, %s, %s)",
            [
                (map_id, cell, vectors.astype("<f2").tobytes(), points.astype("<f4").tobytes())
                for cell, (vectors, points) in made.cells.items()
            ],
        )
    store_clustering(conn, made.clusters)
