"""Photos in groups that lie far from each other by embedding, with what they have in common."""

from collections.abc import Sequence
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from support import AddImage

from imrec_pg.db.connection import Connection

GROUPS, EACH = 4, 25
TOTAL = GROUPS * EACH


def embedding(group: int, number: int, spread: float = 0.25) -> NDArray[np.float64]:
    """Return a vector near the axis of its group."""
    rng = np.random.default_rng([group, number])
    axis = np.zeros(512)
    axis[group * 100] = 1
    return np.asarray(axis + spread * rng.normal(size=512) / np.sqrt(512))


def add_groups(conn: Connection) -> list[UUID]:
    """Store GROUPS times EACH photos: group g in folder g, taken in 2000 + g by Camera g; return ids by group."""
    stored = AddImage(conn).many(
        {"name": f"trips/{g}/{n:02}.jpg", "embedding": embedding(g, n)}
        for g in range(GROUPS)
        for n in range(EACH)
    )
    conn.execute(
        "UPDATE imrec.image AS i SET taken_at = make_timestamp(2000 + g, 5, 1, 0, 0, 0), "
        "camera_make = 'Acme', camera_model = 'Acme C' || g "
        "FROM (SELECT image_id, split_part(path, '/', 4)::integer AS g FROM imrec.file) AS f "
        "WHERE f.image_id = i.image_id"
    )
    return [photo.image_id for photo in stored]


def group_of(ids: Sequence[UUID]) -> dict[UUID, int]:
    """Return the group of each id, as add_groups() returned them."""
    return {key: number // EACH for number, key in enumerate(ids)}
