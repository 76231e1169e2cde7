"""Put new images into the clusters and on the maps that are there: by the nearest centre, by the nearest landmarks.

NumPy alone does it, and of the landmarks only the cells are read that a new image falls into, some 100 kB each: an
ingest of one photo must not wait for all of them.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from psycopg import errors as pg
from psycopg.rows import tuple_row
from psycopg.sql import SQL, Identifier

from imrec_pg.analysis.cells import Cells, Floats, nearest, unit
from imrec_pg.db.connection import Connection, translated
from imrec_pg.db.retry import retry_conflicts
from imrec_pg.db.rows import all_rows, values
from imrec_pg.errors import PermissionDeniedError
from imrec_pg.records import Feature

logger = logging.getLogger(__name__)
Landmarks: TypeAlias = tuple[NDArray[np.floating], Floats]
"""Of one cell: by the principal components (n, d), and where they lie on the map (n, dims)."""

# More of them blur what is between two groups; fewer, and one odd landmark decides.
NEAREST = 5
PROBES = 4
_PAGE = 2048
_LIVE = """
SELECT c.clustering_id AS key, c.feature, c.map_id, 0 AS dims FROM imrec.clustering AS c
UNION ALL
SELECT m.map_id, m.feature, m.map_id, m.dims FROM imrec.map AS m
"""
_CENTRES = "SELECT cluster, centre FROM imrec.cluster WHERE clustering_id = %s ORDER BY cluster"
_PROJECTION = "SELECT mean, components, centres FROM imrec.map_projection WHERE map_id = %s"
_CELL = "SELECT landmarks, points FROM imrec.map_cell WHERE map_id = %s AND cell = %s"
# The lock keeps an image from going between the two: its foreign key would fail all of it.
_ASSIGN = """
INSERT INTO imrec.cluster_member AS m (image_id, clustering_id, cluster, distance, later)
SELECT n.image_id, %s, n.cluster, n.distance, true
FROM unnest(%s::uuid[], %s::integer[], %s::double precision[]) AS n (image_id, cluster, distance)
INNER JOIN imrec.image AS i ON i.image_id = n.image_id
ORDER BY n.image_id
FOR KEY SHARE OF i
ON CONFLICT (image_id, clustering_id) DO UPDATE
    SET cluster = excluded.cluster, distance = excluded.distance, later = excluded.later
"""
_PLACE = """
INSERT INTO imrec.map_point AS p (image_id, map_id, x, y, z, landmark, later)
SELECT n.image_id, %s, n.x, n.y, n.z, false, true
FROM unnest(%s::uuid[], %s::real[], %s::real[], %s::real[]) AS n (image_id, x, y, z)
INNER JOIN imrec.image AS i ON i.image_id = n.image_id
ORDER BY n.image_id
FOR KEY SHARE OF i
ON CONFLICT (image_id, map_id) DO UPDATE
    SET x = excluded.x, y = excluded.y, z = excluded.z, landmark = excluded.landmark, later = excluded.later
"""


@dataclass(frozen=True, slots=True)
class _Live:
    """A clustering (dims is 0), or a map."""

    key: UUID
    feature: str
    map_id: UUID | None
    dims: int


@dataclass(frozen=True, slots=True)
class Projection:
    """What a map's landmarks are compared by: principal components of features at unit length.

    Attributes:
        mean: float32 (512,).
        components: float32 (d, 512).
        centres: of the cells, float32 (cells, d).
    """

    mean: Floats
    components: Floats
    centres: Floats

    def of(self, vectors: Floats) -> Floats:
        """Return vectors by these components, float32 (n, d)."""
        return np.ascontiguousarray((vectors - self.mean) @ self.components.T)


def positions(cells: Cells, landmarks: Mapping[int, Landmarks], queries: Floats, dims: int) -> Floats:
    """Return where queries lie on a map, float32 (n, dims): the weighted mean of their nearest landmarks' points.

    Weights fall as UMAP's do, by the distance beyond the nearest, relative to the mean of these.
    """
    points = np.empty((len(queries), dims), np.float32)
    for rows, found in cells.search(queries, NEAREST, PROBES):
        beyond = found.distance - found.distance[:, :1]
        scale = beyond.mean(axis=1, keepdims=True)
        weights = np.exp(-beyond / np.where(scale > 0, scale, 1))
        near = np.empty((*found.cell.shape, dims), np.float32)
        for cell in np.unique(found.cell):
            here = found.cell == cell
            near[here] = landmarks[int(cell)][1][found.position[here]]
        points[rows] = (near * (weights / weights.sum(axis=1, keepdims=True))[:, :, None]).sum(axis=1)
    return points


class _Cells(dict[int, Landmarks]):
    """The cells of a map, read when they are needed."""

    def __init__(self, conn: Connection, map_id: UUID, depth: int, dims: int) -> None:
        super().__init__()
        self._conn, self._map_id, self._depth, self._dims = conn, map_id, depth, dims

    def __missing__(self, cell: int) -> Landmarks:
        with self._conn.cursor(row_factory=tuple_row) as cur:
            row = cur.execute(_CELL, (self._map_id, cell), binary=True).fetchone()
        vectors, points = row or (b"", b"")
        found = (
            np.frombuffer(vectors, "<f2").reshape(-1, self._depth),
            np.frombuffer(points, "<f4").reshape(-1, self._dims),
        )
        self[cell] = found
        return found


class Placer:
    """Places images by what it has read of clusters and maps; one of these serves an ingest."""

    def __init__(self) -> None:
        self._centres: dict[UUID, tuple[NDArray[np.int32], Floats]] = {}
        self._projections: dict[UUID, Projection] = {}
        self._cells: dict[UUID, dict[int, Landmarks]] = {}
        self._denied = False

    def place(self, conn: Connection, images: Mapping[Feature, Sequence[UUID]]) -> None:
        """Put images, of which these features are new, into all clusters and on all maps by these features.

        Raises:
            DatabaseUnreachableError: the connection was lost; doing it again is all right.
        """
        if self._denied or not any(images.values()):
            return
        try:
            with translated(conn):
                retry_conflicts(lambda: self._place(conn, images))
        except PermissionDeniedError as error:
            # A role that somebody has put together by hand. The photos are stored, which matters more.
            self._denied = True
            logger.warning("new photos are not put into clusters and on maps: %s", error)

    def _place(self, conn: Connection, images: Mapping[Feature, Sequence[UUID]]) -> None:
        live = all_rows(conn, _Live, _LIVE)
        by_feature = defaultdict[Feature, list[_Live]](list)
        for one in live:
            by_feature[Feature(one.feature)].append(one)
        for feature, ones in by_feature.items():
            wanted = images.get(feature, ())
            for start in range(0, len(wanted), _PAGE):
                self._place_by(conn, feature, ones, wanted[start : start + _PAGE])

    def _place_by(
        self, conn: Connection, feature: Feature, live: Sequence[_Live], wanted: Sequence[UUID]
    ) -> None:
        query = SQL("SELECT image_id, {} FROM {} WHERE image_id = ANY (%s)").format(
            Identifier(feature), Identifier("imrec", feature)
        )
        with conn.cursor(row_factory=tuple_row) as cur:
            rows = cur.execute(query, (list(wanted),), binary=True).fetchall()
        if not rows:
            return
        ids = [key for key, _ in rows]
        vectors = unit(np.stack([_array(vector) for _, vector in rows]))
        with conn.transaction():
            points = {one.key: self._put_on_map(conn, one, ids, vectors) for one in live if one.dims}
            for one in live:
                if not one.dims:
                    self._assign(conn, one.key, ids, vectors if one.map_id is None else points[one.map_id])

    def _put_on_map(self, conn: Connection, one: _Live, ids: Sequence[UUID], vectors: Floats) -> Floats:
        if one.key not in self._projections:
            self._projections[one.key] = _projection(conn, one.key, vectors.shape[1])
        projection = self._projections[one.key]
        landmarks = _Cells(conn, one.key, len(projection.components), one.dims)
        landmarks.update(self._cells.get(one.key, {}))
        cells = Cells(projection.centres, lambda cell: landmarks[cell][0])
        found = positions(cells, landmarks, projection.of(vectors), one.dims)
        self._cells[one.key] = dict(landmarks)
        x, y = (found[:, axis].tolist() for axis in (0, 1))
        z = found[:, 2].tolist() if one.dims == 3 else [None] * len(ids)  # noqa: PLR2004 - dimensions
        conn.execute(_PLACE, (one.key, ids, x, y, z))
        return found

    def _assign(self, conn: Connection, clustering: UUID, ids: Sequence[UUID], rows: Floats) -> None:
        if clustering not in self._centres:
            with conn.cursor(row_factory=tuple_row) as cur:
                found = cur.execute(_CENTRES, (clustering,), binary=True).fetchall()
            if not found:
                return
            numbers = np.array([number for number, _ in found], np.int32)
            self._centres[clustering] = numbers, np.stack([_array(centre) for _, centre in found])
        numbers, centres = self._centres[clustering]
        labels, distances = nearest(rows, centres)
        conn.execute(_ASSIGN, (clustering, ids, numbers[labels].tolist(), distances.tolist()))


def place_lacking(conn: Connection, *features: Feature) -> None:
    """Place all images that are in no cluster or on no map of the features yet, such as those of an import.

    Raises:
        DatabaseUnreachableError: the connection was lost; doing it again is all right.
    """
    placer = Placer()
    for feature in features or Feature:
        try:
            with translated(conn):
                live = [one for one in all_rows(conn, _Live, _LIVE) if one.feature == feature]
                lacking = {key for one in live for key in _lacking(conn, feature, one)}
        except PermissionDeniedError:
            return  # place() has said so to whoever stores photos
        placer.place(conn, {feature: sorted(lacking)})


def _lacking(conn: Connection, feature: Feature, one: _Live) -> Iterable[UUID]:
    table, key = ("map_point", "map_id") if one.dims else ("cluster_member", "clustering_id")
    query = SQL(
        "SELECT f.image_id FROM {feature} AS f "
        "LEFT JOIN {table} AS t ON t.image_id = f.image_id AND t.{key} = %s WHERE t.image_id IS NULL"
    ).format(feature=Identifier("imrec", feature), table=Identifier("imrec", table), key=Identifier(key))
    return values(conn, UUID, query, (one.key,))


def _projection(conn: Connection, map_id: UUID, width: int) -> Projection:
    with conn.cursor(row_factory=tuple_row) as cur:
        row = cur.execute(_PROJECTION, (map_id,), binary=True).fetchone()
    if row is None:
        # Another map has taken its place since: the next try asks again which there are.
        raise pg.ForeignKeyViolation("the map is gone")
    mean, components, centres = (np.frombuffer(data, "<f4") for data in row)
    components = components.reshape(-1, width)
    return Projection(mean, components, centres.reshape(-1, len(components)))


def _array(vector: object) -> Floats:
    """Return a vector as it comes, which depends on the connection."""
    return np.asarray(vector.to_numpy() if hasattr(vector, "to_numpy") else vector, dtype=np.float32)
