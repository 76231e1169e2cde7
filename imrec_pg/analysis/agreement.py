"""How well the clusters found by a feature and those found on its maps agree."""

from dataclasses import dataclass
from uuid import UUID

import numpy as np

from imrec_pg.analysis.quality import agreement
from imrec_pg.db.connection import Connection
from imrec_pg.db.rows import all_rows, values
from imrec_pg.records import Feature

_TABLE = """
SELECT f.cluster AS one, m.cluster AS other, count(*) AS images
FROM imrec.cluster_member AS f
INNER JOIN imrec.cluster_member AS m ON m.image_id = f.image_id
INNER JOIN imrec.clustering AS cf ON cf.clustering_id = f.clustering_id
INNER JOIN imrec.clustering AS cm ON cm.clustering_id = m.clustering_id
WHERE cf.feature = %s AND cf.map_id IS NULL AND cm.map_id = %s
GROUP BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class _Shared:
    one: int
    other: int
    images: int


def renew_agreement(conn: Connection, feature: Feature) -> None:
    """Compare the clusters by a feature with those on each of its maps, and store how well they agree."""
    for map_id in values(conn, UUID, "SELECT map_id FROM imrec.map WHERE feature = %s", (str(feature),)):
        rows = all_rows(conn, _Shared, _TABLE, (str(feature), map_id))
        sizes = [row.images for row in rows]
        one, other = (np.repeat([getattr(row, side) for row in rows], sizes) for side in ("one", "other"))
        found = agreement(one, other) if rows else None
        conn.execute("UPDATE imrec.map SET agreement = %s WHERE map_id = %s", (found, map_id))
