"""Frozen records and array types that travel between stages."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

FloatRow: TypeAlias = NDArray[np.float32]
"""One feature vector: float32 (512,)."""

RgbArray: TypeAlias = NDArray[np.uint8]
"""Pixels: uint8 (H, W, 3), channels red, green, blue."""


class Feature(StrEnum):
    """What is compared: what a photo shows, its colours, or its brightness pattern."""

    EMBEDDING = "embedding"
    HISTOGRAM = "histogram"
    AVERAGE_HASH = "ahash"
    DIFFERENCE_HASH = "dhash"


class FeatureTable(StrEnum):
    """Features that are computed and stored together; named as their tables."""

    EMBEDDING = "embedding"
    HISTOGRAM = "histogram"
    HASH = "hash"


class Metric(StrEnum):
    """How two features are compared; smaller is nearer."""

    COSINE = "cosine"
    EUCLIDEAN = "euclidean"
    MANHATTAN = "manhattan"
    HAMMING = "hamming"


class Combine(StrEnum):
    """How several query images become one ranking.

    MEAN ranks by the distance to the mean of the queries' features; for hashes, whose mean is no hash, by
    the mean of the Hamming distances (docs/adr/0004). MIN ranks by the distance to the nearest query.
    """

    MEAN = "mean"
    MIN = "min"


VECTOR_METRICS = (Metric.COSINE, Metric.EUCLIDEAN, Metric.MANHATTAN)
METRICS: dict[Feature, tuple[Metric, ...]] = {
    Feature.EMBEDDING: VECTOR_METRICS,
    Feature.HISTOGRAM: VECTOR_METRICS,
    Feature.AVERAGE_HASH: (Metric.HAMMING,),
    Feature.DIFFERENCE_HASH: (Metric.HAMMING,),
}
"""The pairs that make sense, each feature's default metric first."""


FEATURE_TABLES: dict[Feature, FeatureTable] = {
    Feature.EMBEDDING: FeatureTable.EMBEDDING,
    Feature.HISTOGRAM: FeatureTable.HISTOGRAM,
    Feature.AVERAGE_HASH: FeatureTable.HASH,
    Feature.DIFFERENCE_HASH: FeatureTable.HASH,
}


@dataclass(frozen=True, slots=True)
class Root:
    """A folder below which files are known by their relative path.

    Attributes:
        root_id: made from the name, so that several hosts agree.
        name: the folder's path for display, unless it was named otherwise.
        raw_path: the folder as the file system spells it, absolute.
    """

    root_id: UUID
    name: str
    raw_path: bytes


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A candidate file met on the walk.

    Attributes:
        root_id: the root it belongs to.
        location_id: made from root and relative path.
        relative_path: raw bytes below the root, as the file system spells them.
        path: raw bytes of the absolute path.
        size: bytes.
        mtime_ns: nanoseconds since 1970, as stat gives them.
    """

    root_id: UUID
    location_id: UUID
    relative_path: bytes
    path: bytes
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What is known of an image beside its pixels; width and height are those shown, after EXIF rotation.

    Attributes:
        image_id: the first 128 bits of the SHA-256 of the content.
        size: bytes.
        format: Pillow's name, such as "JPEG".
        taken_at: EXIF's local time of the camera; no time zone is known.
    """

    image_id: UUID
    size: int
    width: int
    height: int
    format: str
    taken_at: datetime | None
    camera_make: str | None
    camera_model: str | None


@dataclass(frozen=True, slots=True)
class Features:
    """The features of one image; those not asked for are None.

    Attributes:
        embedding: float32 (512,).
        histogram: float32 (512,), non-negative, sum 1.
        average_hash: 8 bytes, row by row, the top left cell in the highest bit.
        difference_hash: likewise.
    """

    embedding: FloatRow | None = None
    histogram: FloatRow | None = None
    average_hash: bytes | None = None
    difference_hash: bytes | None = None


@dataclass(frozen=True, slots=True)
class StoredImage:
    """One image ready to be written, with all places it was seen at and the features that were missing.

    info is None when the image is stored already and only its places are new.
    """

    image_id: UUID
    info: ImageInfo | None
    files: tuple[FoundFile, ...]
    features: Features


NO_IMAGE = UUID(int=0)
"""The id of no image: what a file holds that is empty, too large, or in a format that is not read."""


@dataclass(frozen=True, slots=True)
class FailedFile:
    """A file that could not be read.

    Attributes:
        image_id: what its bytes are, or None when they could not be read at all; known bytes that are no
            image replace what the file held before. NO_IMAGE when they were only looked at.
        error_class: a short stable class, such as "Truncated".
        error: one line of explanation.
    """

    file: FoundFile
    image_id: UUID | None
    error_class: str
    error: str


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which model and which extraction made the embeddings of a database.

    Attributes:
        name: the architecture, such as "resnet18".
        weights_sha256: hex digest of the weight tensors, whatever file held them.
        extraction_version: counts changes of decoding, preprocessing or feature code that change results.
    """

    name: str
    weights_sha256: str
    extraction_version: int
