"""Frozen records and array types that travel between stages."""

from collections.abc import Callable
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

OnProgress: TypeAlias = Callable[[str, int, int | None], None]
"""Called with what is being done, how much of it is done, and of how much, where that is known."""


class Feature(StrEnum):
    """What is compared: what a photo shows, its colours, or its brightness pattern."""

    EMBEDDING = "embedding"
    HISTOGRAM = "histogram"
    AVERAGE_HASH = "average_hash"
    DIFFERENCE_HASH = "difference_hash"


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


class GrantedRole(StrEnum):
    """What a PostgreSQL role is allowed: to search; to store photos as well; to change the schema as well."""

    READER = "reader"
    INGESTER = "ingester"
    OWNER = "owner"


class Certainty(StrEnum):
    """What an answer is worth.

    EXACT: certainly the nearest. APPROXIMATE: found by an index, which may miss one now and then.
    TRUNCATED: an index alone was asked, and ended before there were enough.
    """

    EXACT = "exact"
    APPROXIMATE = "approximate"
    TRUNCATED = "truncated"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which images may be in an answer; None does not matter. As imrec.filter in SQL.

    Attributes:
        under: a folder of this host, as its path is displayed.
        root: the name of a root.
        after: taken then or later, by the camera's clock; images without a date are left out.
        before: taken earlier.
        min_size: size of the file; max_size likewise.
        min_width: pixels, as shown; min_height likewise.
        camera: a part of make and model, in small letters or capitals.
        format: such as "JPEG".
    """

    under: str | None = None
    root: str | None = None
    after: datetime | None = None
    before: datetime | None = None
    min_size: int | None = None
    max_size: int | None = None
    min_width: int | None = None
    min_height: int | None = None
    camera: str | None = None
    format: str | None = None


NO_FILTER = Filter()
"""Lets every image through."""


@dataclass(frozen=True, slots=True)
class Root:
    """A folder below which files are known by their relative path.

    Attributes:
        root_id: made from its first name, so that several hosts agree.
        name: the folder's path for display, unless it was named otherwise.
        raw_path: its canonical path, by which SQL knows the files; as the file system spells it, absolute.
        mounted: where it lies on this host, if that was said.
        elsewhere: the other hosts for which it was said.
    """

    root_id: UUID
    name: str
    raw_path: bytes
    mounted: bytes | None = None
    elsewhere: tuple[str, ...] = ()

    @property
    def here(self) -> bytes:
        """Where it lies on this host: at the canonical path, unless something else was said."""
        return self.raw_path if self.mounted is None else self.mounted


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A candidate file met on the walk.

    Attributes:
        root_id: the root it belongs to.
        file_id: made from root and relative path.
        relative_path: raw bytes below the root, as they are stored (paths.stored_path).
        path: raw bytes of the absolute path on this host.
        size: bytes.
        mtime_ns: nanoseconds since 1970, as stat gives them.
        known_as: raw bytes of the absolute path by which SQL knows it, where that is another.
        token: of this ingest's claim to the file; 0 where nobody else can be at work on it.
    """

    root_id: UUID
    file_id: UUID
    relative_path: bytes
    path: bytes
    size: int
    mtime_ns: int
    known_as: bytes | None = None
    token: int = 0


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

    @classmethod
    def of(cls, feature: Feature, value: FloatRow | bytes) -> "Features":
        """Return one feature alone."""
        if isinstance(value, bytes):
            return cls(
                average_hash=value if feature is Feature.AVERAGE_HASH else None,
                difference_hash=value if feature is Feature.DIFFERENCE_HASH else None,
            )
        return cls(
            embedding=value if feature is Feature.EMBEDDING else None,
            histogram=value if feature is Feature.HISTOGRAM else None,
        )

    def get(self, feature: Feature) -> FloatRow | bytes | None:
        """Return one of them, if it is there."""
        match feature:
            case Feature.EMBEDDING:
                return self.embedding
            case Feature.HISTOGRAM:
                return self.histogram
            case Feature.AVERAGE_HASH:
                return self.average_hash
            case Feature.DIFFERENCE_HASH:
                return self.difference_hash

    def literal(self, feature: Feature) -> str:
        """Return one of them, which must be there, as PostgreSQL reads a vector or a bit(64)."""
        value = self.get(feature)
        if isinstance(value, bytes):
            return "".join(f"{byte:08b}" for byte in value)
        assert value is not None, f"{feature} was not extracted"
        # The fewest digits that make the same float32.
        return "[" + ",".join(np.format_float_positional(x, trim="-") for x in value) + "]"


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

    @property
    def files(self) -> tuple[FoundFile, ...]:
        """The one file, as a StoredImage has several."""
        return (self.file,)


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
