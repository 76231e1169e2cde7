"""Store a map: what it is, where each image lies on it, and what places later ones."""

from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from imrec_pg.analysis import reading
from imrec_pg.analysis.cells import Floats
from imrec_pg.analysis.layout import Shape
from imrec_pg.analysis.placing import Landmarks, Projection
from imrec_pg.analysis.quality import Fidelity
from imrec_pg.analysis.storing import Made, store_clustering
from imrec_pg.db.connection import Connection
from imrec_pg.records import Feature

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
class MadeMap:
    """A map that is not stored yet.

    Attributes:
        keys: of all images, sorted.
        points: of each, float32 (n, dims).
        landmark: whether each is one.
        cells: the landmarks of each cell.
        clusters: of the points.
    """

    keys: reading.Keys
    points: Floats
    landmark: NDArray[np.bool_]
    cells: dict[int, Landmarks]
    projection: Projection
    fidelity: Fidelity | None
    clusters: Made


def store_map(conn: Connection, feature: Feature, shape: Shape, map_id: UUID, made: MadeMap) -> None:
    """Put a map in the place of the one of the same feature and dimensions, with its clusters."""
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
            ("pg_temp", "stage_point"),
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
