"""The clusters and maps that there are."""

from dataclasses import dataclass
from uuid import UUID

import numpy as np
from psycopg.rows import dict_row, tuple_row
from psycopg.sql import SQL, Literal

from imrec_pg.analysis.cells import Floats
from imrec_pg.analysis.reading import Keys, columns
from imrec_pg.analysis.records import Cluster, Clustering, MapInfo, MapPoints, Space
from imrec_pg.catalogue.roots import RootsHere
from imrec_pg.db.connection import Connection, translated
from imrec_pg.errors import NoClustersError, NoMapError
from imrec_pg.paths import slashed
from imrec_pg.records import Feature

_CLUSTERINGS = """
SELECT
    c.clustering_id, c.feature, c.space, c.map_id, c.k, c.k_chosen, c.seed, c.images, c.silhouette, c.curve,
    c.created_at, n.later, n.lacking
FROM imrec.clustering AS c
INNER JOIN imrec_internal.unplaced AS n ON n.id = c.clustering_id
ORDER BY c.feature, c.space, c.created_at
"""
_CLUSTERS = """
SELECT clustering_id, cluster, size, centre, medoid, spread, folder, year, camera FROM imrec.cluster
ORDER BY clustering_id, cluster
"""
_MAPS = """
SELECT
    m.map_id, m.feature, m.dims, m.neighbours, m.min_dist, m.seed, m.images, m.landmarks, m.trustworthiness,
    m.neighbour_preservation, m.agreement, m.created_at, n.later, n.lacking
FROM imrec.map AS m
INNER JOIN imrec_internal.unplaced AS n ON n.id = m.map_id
ORDER BY m.feature, m.dims
"""
_POINTS = SQL("""
SELECT
    p.image_id, p.x, p.y, coalesce(p.z, 0::real) AS z, p.landmark,
    coalesce(f.cluster, 0) AS cluster, coalesce(c.cluster, 0) AS map_cluster
FROM imrec.map_point AS p
INNER JOIN imrec.map AS m ON m.map_id = p.map_id
LEFT JOIN imrec.cluster_member AS f ON f.image_id = p.image_id AND f.clustering_id = (
    SELECT n.clustering_id FROM imrec.clustering AS n WHERE n.feature = m.feature AND n.map_id IS NULL
)
LEFT JOIN imrec.cluster_member AS c ON c.image_id = p.image_id AND c.clustering_id = (
    SELECT n.clustering_id FROM imrec.clustering AS n WHERE n.map_id = m.map_id
)
WHERE p.map_id = {} ORDER BY p.image_id
""")
_COORDINATES = SQL("""
SELECT p.image_id, p.x, p.y, coalesce(p.z, 0::real) AS z
FROM imrec.map_point AS p WHERE p.map_id = {} ORDER BY p.image_id
""")
_COORDINATE_TYPES = (("image_id", "uuid"), ("x", "float4"), ("y", "float4"), ("z", "float4"))
_POINT_TYPES = (*_COORDINATE_TYPES, ("landmark", "bool"), ("cluster", "int4"), ("map_cluster", "int4"))

_PATHS = "SELECT image_id, path FROM imrec_internal.image_file WHERE image_id = ANY (%s)"
_MEMBERS = """
SELECT n.cluster, n.distance, f.root_id, f.relative_path FROM (
    SELECT m.image_id, m.cluster, m.distance,
        row_number() OVER (PARTITION BY m.cluster ORDER BY m.distance, m.image_id) AS place
    FROM imrec.cluster_member AS m WHERE m.clustering_id = %(id)s
) AS n
INNER JOIN imrec_internal.image_file AS s ON s.image_id = n.image_id
INNER JOIN imrec.file AS f ON f.image_id = s.image_id AND f.file_id = s.file_id
WHERE n.place <= %(most)s ORDER BY n.cluster, n.place
"""
_DROP = """
DELETE FROM imrec.clustering AS c
WHERE c.feature = %(feature)s AND c.map_id IS NOT DISTINCT FROM (
    SELECT m.map_id FROM imrec.map AS m WHERE m.feature = %(feature)s AND m.dims = %(dims)s::smallint
) AND (c.map_id IS NULL) = (%(dims)s::smallint IS NULL)
"""
_FORGET_AGREEMENT = """
UPDATE imrec.map SET agreement = NULL
WHERE feature = %(feature)s AND dims = coalesce(%(dims)s::smallint, dims)
"""


def clusters(conn: Connection, feature: Feature, on_map: int | None = None) -> Clustering:
    """Return the clusters found by a feature, or on its map of so many dimensions.

    Raises:
        NoClustersError: none were made yet.
    """
    of_maps = {one.map_id: one.dims for one in maps(conn)}
    for one in clusterings(conn):
        if one.feature == feature and (of_maps.get(one.map_id) if one.map_id else None) == on_map:
            return one
    raise NoClustersError(feature, on_map)


def clusterings(conn: Connection) -> list[Clustering]:
    """Return the clusterings that there are, with their clusters."""
    with translated(conn), conn.cursor(row_factory=dict_row) as cur:
        of_each: dict[UUID, list[Cluster]] = {}
        for row in cur.execute(_CLUSTERS, binary=True).fetchall():
            centre = row["centre"]
            row["centre"] = np.asarray(
                centre.to_numpy() if hasattr(centre, "to_numpy") else centre, dtype=np.float32
            )
            of_each.setdefault(row.pop("clustering_id"), []).append(Cluster(**row))
        return [
            Clustering(
                **row
                | {
                    "feature": Feature(row["feature"]),
                    "space": Space(row["space"]),
                    "curve": tuple((int(k), float(inertia)) for k, inertia in row["curve"] or ()),
                    "clusters": tuple(of_each.get(row["clustering_id"], ())),
                }
            )
            for row in cur.execute(_CLUSTERINGS).fetchall()
        ]


def maps(conn: Connection) -> list[MapInfo]:
    """Return the maps that there are."""
    with translated(conn), conn.cursor(row_factory=dict_row) as cur:
        return [
            MapInfo(**row | {"feature": Feature(row["feature"])}) for row in cur.execute(_MAPS).fetchall()
        ]


def map_info(conn: Connection, feature: Feature, dims: int | None = None) -> MapInfo:
    """Return the map by a feature, of so many dimensions; of more rather than fewer where dims is None.

    Raises:
        NoMapError: there is no such map.
    """
    for one in reversed(maps(conn)):
        if one.feature == feature and dims in {None, one.dims}:
            return one
    raise NoMapError(feature, dims)


def medoid_paths(conn: Connection, clustering: Clustering) -> dict[UUID, str]:
    """Return the path by which each medoid is shown, by its id; none of an image that is gone."""
    with translated(conn), conn.cursor(row_factory=tuple_row) as cur:
        medoids = [one.medoid for one in clustering.clusters]
        return dict(cur.execute(_PATHS, (medoids,)).fetchall())


@dataclass(frozen=True, slots=True)
class Member:
    """A photo of a cluster.

    Attributes:
        path: of its file on this host, as the file system spells it.
        distance: to the centre.
    """

    path: bytes
    distance: float


def members(conn: Connection, clustering: Clustering, most: int, here: RootsHere) -> dict[int, list[Member]]:
    """Return of each cluster the photos nearest to its centre, at most so many."""
    folders = {root.root_id: slashed(root.here) for root in here.all}
    found: dict[int, list[Member]] = {}
    with translated(conn), conn.cursor(row_factory=tuple_row) as cur:
        for cluster, distance, root_id, relative_path in cur.execute(
            _MEMBERS, {"id": clustering.clustering_id, "most": most}
        ):
            path = folders.get(root_id, b"/") + bytes(relative_path)
            found.setdefault(cluster, []).append(Member(path, distance))
    return found


def map_points(conn: Connection, feature: Feature, dims: int | None = None) -> MapPoints:
    """Return the points of a map, with the clusters that they are in.

    dims is 2 or 3; None for the one that there is, of three dimensions rather than two.

    Raises:
        NoMapError: there is no such map.
    """
    info = map_info(conn, feature, dims)
    with translated(conn):
        rows = columns(conn, _POINTS.format(Literal(info.map_id)), _POINT_TYPES)
    points = np.stack([rows["x"], rows["y"], rows["z"]][: info.dims], axis=1)
    return MapPoints(
        info=info,
        image_ids=rows["image_id"],
        points=points,
        clusters=rows["cluster"],
        map_clusters=rows["map_cluster"],
        landmark=rows["landmark"],
    )


def map_coordinates(conn: Connection, map_id: UUID) -> tuple[Keys, Floats]:
    """Return ids and points of a map, float32 (n, dims)."""
    rows = columns(conn, _COORDINATES.format(Literal(map_id)), _COORDINATE_TYPES)
    dims = next(one.dims for one in maps(conn) if one.map_id == map_id)
    return rows["image_id"], np.stack([rows["x"], rows["y"], rows["z"]][:dims], axis=1)


def drop_clusters(conn: Connection, feature: Feature, on_map: int | None = None) -> bool:
    """Forget the clusters by a feature, or those on its map of so many dimensions; False when there were none."""
    with translated(conn), conn.transaction():
        deleted = conn.execute(_DROP, {"feature": str(feature), "dims": on_map})
        conn.execute(_FORGET_AGREEMENT, {"feature": str(feature), "dims": on_map})
    return deleted.rowcount > 0


def drop_map(conn: Connection, feature: Feature, dims: int) -> bool:
    """Forget a map and the clusters found on it; False when there was none."""
    with translated(conn):
        deleted = conn.execute("DELETE FROM imrec.map WHERE feature = %s AND dims = %s", (str(feature), dims))
    return deleted.rowcount > 0
