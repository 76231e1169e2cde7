"""Maps of given points, as pictures and the page take them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from imrec_pg.analysis.records import MapInfo, MapPoints
from imrec_pg.pictures.shown import Colour, ShownMap
from imrec_pg.records import Feature

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def shown(
    points: Sequence[Sequence[float]] | NDArray[np.float32],
    clusters: Sequence[int] | NDArray[np.int32] = (),
    paths: Sequence[bytes | None] | None = None,
    medoids: dict[int, int] | None = None,
    years: Sequence[int] = (),
) -> ShownMap:
    """Return a map of these points; image n has the id n."""
    placed = np.asarray(points, dtype=np.float32)
    count = len(placed)
    in_clusters = np.asarray(clusters if len(clusters) else np.ones(count), dtype=np.int32)
    info = MapInfo(
        UUID(int=7), Feature.EMBEDDING, placed.shape[1], 15, 0.1, 42, count, count, 0.9, 0.5, None, NOW, 0, 0
    )
    ids = np.frombuffer(b"".join(UUID(int=n).bytes for n in range(count)), dtype="V16")
    return ShownMap(
        points=MapPoints(info, ids, placed, in_clusters, in_clusters, np.ones(count, bool)),
        paths=list(paths) if paths is not None else [b"/p/%d.jpg" % n for n in range(count)],
        years=np.asarray(years if len(years) else np.zeros(count), dtype=np.int32),
        medoids={Colour.CLUSTER: {c: UUID(int=n) for c, n in (medoids or {}).items()}},
    )
