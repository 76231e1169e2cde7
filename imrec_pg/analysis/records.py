"""What clusters and maps are, as they are stored and handed out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from imrec_pg.errors import ImrecError
from imrec_pg.records import Feature

AUTO = "auto"
"""As k: the elbow of the curve."""


class Space(StrEnum):
    """Where clusters are looked for: among the features themselves, or among the points of a map."""

    FEATURE = "feature"
    MAP = "map"


@dataclass(frozen=True, slots=True)
class Cluster:
    """Images that are alike, as they were when the clusters were made.

    Attributes:
        cluster: its number, from 1; the largest has the lowest.
        size: how many images are in it.
        centre: float32, their mean: (512,) of features at unit length, or (2,) or (3,) of points.
        medoid: the image nearest to the centre.
        spread: the mean distance to the centre.
        folder: the deepest folder that holds nine in ten of its photos; None where that is no folder at all.
        year: in which nine in ten of its photos were taken.
        camera: that took nine in ten of its photos.
    """

    cluster: int
    size: int
    centre: NDArray[np.float32]
    medoid: UUID
    spread: float
    folder: str | None
    year: int | None
    camera: str | None


@dataclass(frozen=True, slots=True)
class Clustering:
    """All images that have a feature, in clusters.

    Attributes:
        map_id: of the map whose points were clustered; None for clusters by the feature.
        k: how many clusters there are.
        k_chosen: "auto", at the elbow of the curve, or "given".
        images: how many there were when it was made.
        silhouette: on a sample: -1 to 1, larger is clearer; None where there is one cluster alone.
        curve: the k that were tried, each with its inertia an image (the mean squared distance to the nearest
            centre), on a sample; empty where k was given.
        later: how many images were assigned since it was made.
        lacking: how many images have the feature and are in no cluster.
        html: what a notebook shows, made when it asks.
    """

    clustering_id: UUID
    feature: Feature
    space: Space
    map_id: UUID | None
    k: int
    k_chosen: str
    seed: int
    images: int
    silhouette: float | None
    curve: Sequence[tuple[int, float]]
    created_at: datetime
    later: int
    lacking: int
    clusters: Sequence[Cluster]
    html: Callable[[], str] | None = field(default=None, repr=False, compare=False)

    def _repr_html_(self) -> str | None:
        """Return what a notebook shows: the most typical photo of each cluster; None for the usual text."""
        return None if self.html is None else self.html()

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one dict a cluster, of plain values, without the centre; ids are text."""
        return [
            {
                each.name: str(value) if isinstance(value, UUID) else value
                for each in fields(one)
                if each.name != "centre"
                for value in [getattr(one, each.name)]
            }
            for one in self.clusters
        ]

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Hand the clusters to polars, pandas, DuckDB or pyarrow: polars.DataFrame(library.clusters()).

        Raises:
            ImrecError: pyarrow is not installed.
        """
        rows = self.to_dicts()
        names = [each.name for each in fields(Cluster) if each.name != "centre"]
        return _stream({name: [row[name] for row in rows] for name in names}, requested_schema)


@dataclass(frozen=True, slots=True)
class MapInfo:
    """A map of all images that have a feature: alike ones lie together.

    Attributes:
        dims: 2 or 3.
        neighbours: UMAP's n_neighbors.
        min_dist: UMAP's.
        images: how many were on it when it was made.
        landmarks: how many of them UMAP laid out; the others lie by their nearest landmarks.
        trustworthiness: of the 15 nearest on the map, on a sample: 1 is best.
        neighbour_preservation: the share of the 15 nearest by the feature that are so on the map too.
        agreement: the adjusted Rand index of the clusters found by the feature and on the map.
        later: how many images were placed since it was made.
        lacking: how many images have the feature and are not on the map.
    """

    map_id: UUID
    feature: Feature
    dims: int
    neighbours: int
    min_dist: float
    seed: int
    images: int
    landmarks: int
    trustworthiness: float | None
    neighbour_preservation: float | None
    agreement: float | None
    created_at: datetime
    later: int
    lacking: int


@dataclass(frozen=True, slots=True)
class MapPoints:
    """The points of a map; all arrays have the same length and order, that of image_id.

    Attributes:
        info: the map.
        image_ids: as 16 bytes each, dtype V16; uuids() makes UUIDs of them.
        points: float32 (images, dims).
        clusters: int32 (images,): by the feature, 0 where the image is in none.
        map_clusters: int32 (images,): found on the map, 0 likewise.
        landmark: bool (images,): whether UMAP laid it out.
        html: what a notebook shows, made when it asks.
    """

    info: MapInfo
    image_ids: NDArray[np.void]
    points: NDArray[np.float32]
    clusters: NDArray[np.int32]
    map_clusters: NDArray[np.int32]
    landmark: NDArray[np.bool_]
    html: Callable[[], str] | None = field(default=None, repr=False, compare=False)

    def _repr_html_(self) -> str | None:
        """Return what a notebook shows: a picture of the map; None for the usual text."""
        return None if self.html is None else self.html()

    def __len__(self) -> int:
        """Return how many images there are."""
        return len(self.points)

    def uuids(self) -> list[UUID]:
        """Return the ids."""
        return [UUID(bytes=key.tobytes()) for key in self.image_ids]

    def columns(self) -> dict[str, Any]:
        """Return image_id (as text), x, y, perhaps z, cluster, map_cluster and landmark, each a sequence."""
        return {
            "image_id": [str(key) for key in self.uuids()],
            **{name: self.points[:, axis] for axis, name in enumerate("xyz"[: self.info.dims])},
            "cluster": self.clusters,
            "map_cluster": self.map_clusters,
            "landmark": self.landmark,
        }

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Hand the points to polars, pandas, DuckDB or pyarrow: polars.DataFrame(points).

        Raises:
            ImrecError: pyarrow is not installed.
        """
        return _stream(self.columns(), requested_schema)


def _stream(columns: dict[str, Any], requested_schema: object) -> object:
    try:
        import pyarrow as pa
    except ImportError as error:
        raise ImrecError("a table needs pyarrow: pip install 'imrec-pg[parquet]'") from error
    return pa.table(columns).__arrow_c_stream__(requested_schema)
