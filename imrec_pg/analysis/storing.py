"""Store clusters and maps: what was there is replaced in one transaction, and photos that are gone are left out."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

import numpy as np
from psycopg.types.json import Jsonb

from imrec_pg.analysis.cells import Floats, Numbers
from imrec_pg.analysis.reading import Keys, write_columns
from imrec_pg.analysis.records import Space
from imrec_pg.db.connection import Connection
from imrec_pg.db.rows import all_rows
from imrec_pg.records import Feature

_SHARE = 0.9
"""Of the photos of a cluster, for which a folder, year or camera has to hold."""

_DELETE = "DELETE FROM imrec.clustering WHERE feature = %s AND map_id IS NOT DISTINCT FROM %s"
_INSERT = """
INSERT INTO imrec.clustering
    (clustering_id, feature, space, map_id, k, k_chosen, seed, images, silhouette, curve, created_at)
VALUES (%s, %s, %s, %s, 0, %s, %s, 0, %s, %s, clock_timestamp())
"""
_STAGE = """
CREATE TEMPORARY TABLE pg_temp.stage_member (image_id uuid, cluster integer, distance double precision)
"""
# The lock keeps an image from going between the two: its foreign key would fail all of it.
_MEMBERS = """
INSERT INTO imrec.cluster_member (image_id, clustering_id, cluster, distance)
SELECT s.image_id, %s, s.cluster, s.distance
FROM pg_temp.stage_member AS s INNER JOIN imrec.image AS i ON i.image_id = s.image_id
ORDER BY s.image_id
FOR KEY SHARE OF i
"""
_CLUSTER = """
INSERT INTO imrec.cluster (clustering_id, cluster, size, centre, medoid, spread)
SELECT
    m.clustering_id, m.cluster, count(*), %s,
    (array_agg(m.image_id ORDER BY m.distance, m.image_id))[1], avg(m.distance)
FROM imrec.cluster_member AS m
WHERE m.clustering_id = %s AND m.cluster = %s
GROUP BY m.clustering_id, m.cluster
"""
_TOTALS = """
UPDATE imrec.clustering SET
    k = (SELECT count(*) FROM imrec.cluster AS c WHERE c.clustering_id = clustering.clustering_id),
    images = (SELECT coalesce(sum(c.size), 0) FROM imrec.cluster AS c WHERE c.clustering_id = clustering.clustering_id)
WHERE clustering_id = %s
"""
_COMMON = """
SELECT
    m.cluster,
    regexp_replace(f.path, '/[^/]*$', '') AS folder,
    extract(year FROM i.taken_at)::integer AS year,
    CASE
        WHEN starts_with(lower(i.camera_model), lower(i.camera_make)) THEN i.camera_model
        ELSE nullif(concat_ws(' ', i.camera_make, i.camera_model), '')
    END AS camera,
    count(*) AS images
FROM imrec.cluster_member AS m
INNER JOIN imrec.image AS i ON i.image_id = m.image_id
INNER JOIN imrec_internal.image_file AS f ON f.image_id = m.image_id
WHERE m.clustering_id = %s
GROUP BY 1, 2, 3, 4
"""
_DESCRIBE = """
UPDATE imrec.cluster SET folder = %s, year = %s, camera = %s WHERE clustering_id = %s AND cluster = %s
"""


@dataclass(frozen=True, slots=True)
class Assigned:
    """All images that have a feature, in clusters.

    Attributes:
        labels: of each image, the number of its centre, from 0; the largest cluster first.
        distances: to that centre.
    """

    keys: Keys
    labels: Numbers
    distances: Floats
    centres: Floats


@dataclass(frozen=True, slots=True)
class Made:
    """A clustering that is to be stored; see Clustering."""

    feature: Feature
    space: Space
    map_id: UUID | None
    k_chosen: str
    seed: int
    silhouette: float | None
    curve: Sequence[tuple[int, float]]
    assigned: Assigned


@dataclass(frozen=True, slots=True)
class _Part:
    cluster: int
    folder: str
    year: int | None
    camera: str | None
    images: int


def by_size(keys: Keys, labels: Numbers, distances: Floats, centres: Floats) -> Assigned:
    """Return clusters numbered by their size, without those that have no members."""
    sizes = np.bincount(labels, minlength=len(centres))
    order = np.argsort(-sizes, kind="stable")[: int(np.count_nonzero(sizes))]
    numbers = np.zeros(len(centres), np.int32)
    numbers[order] = np.arange(len(order), dtype=np.int32)
    return Assigned(keys, numbers[labels], distances, centres[order])


def store_clustering(conn: Connection, made: Made) -> UUID:
    """Store a clustering in place of the one that is there, and return its id; call it in a transaction."""
    clustering_id, assigned = uuid4(), made.assigned
    conn.execute(_DELETE, (str(made.feature), made.map_id))
    curve = Jsonb([list(point) for point in made.curve]) if made.curve else None
    conn.execute(
        _INSERT,
        (
            *(clustering_id, str(made.feature), str(made.space), made.map_id),
            *(made.k_chosen, made.seed, made.silhouette, curve),
        ),
    )
    conn.execute(_STAGE)
    with conn.cursor() as cur:
        write_columns(
            cur,
            ("pg_temp", "stage_member"),
            {
                "image_id": ("uuid", assigned.keys),
                "cluster": ("int4", assigned.labels + 1),
                "distance": ("float8", assigned.distances),
            },
        )
    conn.execute("ANALYZE pg_temp.stage_member")
    conn.execute(_MEMBERS, (clustering_id,))
    conn.execute("DROP TABLE pg_temp.stage_member")
    _store_clusters(conn, clustering_id, assigned.centres)
    return clustering_id


def _store_clusters(conn: Connection, clustering_id: UUID, centres: Floats) -> None:
    with conn.cursor() as cur:
        cur.executemany(_CLUSTER, [(centre, clustering_id, n + 1) for n, centre in enumerate(centres)])
    conn.execute(_TOTALS, (clustering_id,))
    common = _common(all_rows(conn, _Part, _COMMON, (clustering_id,)))
    with conn.cursor() as cur:
        cur.executemany(_DESCRIBE, [(*said, clustering_id, cluster) for cluster, said in common.items()])


def _common(parts: Sequence[_Part]) -> dict[int, tuple[str | None, int | None, str | None]]:
    """Return folder, year and camera of each cluster, None for what does not hold for nine in ten photos."""
    grouped = defaultdict[int, list[_Part]](list)
    for part in parts:
        grouped[part.cluster].append(part)
    found = dict[int, tuple[str | None, int | None, str | None]]()
    for cluster, members in grouped.items():
        needed = _SHARE * sum(part.images for part in members)
        folders, years, cameras = Counter[str](), Counter[int](), Counter[str]()
        for part in members:
            for folder in _with_parents(part.folder):
                folders[folder] += part.images
            if part.year is not None:
                years[part.year] += part.images
            if part.camera is not None:
                cameras[part.camera] += part.images
        # Of those that hold enough, one lies within the other: the longest is the deepest.
        deepest = max((name for name, n in folders.items() if n >= needed), key=len, default=None)
        year = next((name for name, n in years.items() if n >= needed), None)
        camera = next((name for name, n in cameras.items() if n >= needed), None)
        found[cluster] = (deepest, year, camera)
    return found


def _with_parents(folder: str) -> list[str]:
    """Return a folder and those around it, but not the root of the file system, which holds everything."""
    parts = folder.split("/")
    return [path for n in range(1, len(parts) + 1) if (path := "/".join(parts[:n]))]
