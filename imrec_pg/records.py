"""Frozen records and array types that travel between stages."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self, TypeAlias, TypedDict, TypeVar
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from imrec_pg.errors import InvalidQueryError

FloatRow: TypeAlias = NDArray[np.float32]
"""One feature vector: float32 (512,)."""

RgbArray: TypeAlias = NDArray[np.uint8]
"""Pixels: uint8 (H, W, 3), channels red, green, blue."""

OnProgress: TypeAlias = Callable[[str, int, int | None], None]
"""Called with what is being done, how much of it is done, and of how much, where that is known."""


Choice = TypeVar("Choice", bound=StrEnum)


def chosen(kind: type[Choice], value: Choice | str) -> Choice:
    """Return the member of an enum of that value.

    Raises:
        InvalidQueryError: there is none.
    """
    try:
        return kind(value)
    except ValueError:
        name = re.sub("(?<=.)(?=[A-Z])", " ", kind.__name__).lower()
        raise InvalidQueryError(f"there is no {name} {value!r}: choose from {', '.join(kind)}") from None


class Feature(StrEnum):
    """What is compared: what a photo shows, its colours, or its brightness pattern.

    Each is stored in the table of its name, in the column of its name, and is a field of Features.
    """

    description: str
    """What it says of a photo, in one sentence."""

    EMBEDDING = "embedding", "What the photo shows: ResNet-18 without its last layer."
    HISTOGRAM = "histogram", "Its colours: 8x8x8 RGB bins, red the slowest, sum 1."
    AVERAGE_HASH = (
        "average_hash",
        "Its brightness pattern: which of 8x8 cells are brighter than the mean.",
    )
    DIFFERENCE_HASH = (
        "difference_hash",
        "Its brightness pattern: which of 8x8 cells are brighter than their left one.",
    )
    PERCEPTUAL_HASH = (
        "perceptual_hash",
        "Its brightness pattern: which of its 8x8 lowest frequencies are above the median.",
    )

    def __new__(cls, name: str, description: str = "") -> Self:
        """Return the member of this name; it is equal to its name."""
        feature = str.__new__(cls, name)
        feature._value_ = name
        feature.description = description
        return feature

    @property
    def is_hash(self) -> bool:
        """Whether it is 64 bits, and not a vector of 512 numbers."""
        return self.value.endswith("_hash")


class Metric(StrEnum):
    """How two features are compared; smaller is nearer. The view imrec.feature has the pairs that make sense."""

    COSINE = "cosine"
    EUCLIDEAN = "euclidean"
    MANHATTAN = "manhattan"
    HAMMING = "hamming"


class Fusion(StrEnum):
    """How the rankings of several features become one (docs/adr/0026).

    EVIDENCE adds up how much each distance speaks for an altered copy; where nothing does, the first feature's
    distance decides. RECIPROCAL_RANK adds up weight / (5 + rank).
    """

    EVIDENCE = "evidence"
    RECIPROCAL_RANK = "reciprocal_rank"


class Combine(StrEnum):
    """How several likes become one ranking.

    MEAN ranks by the distance to the mean of their features; for hashes, whose mean is no hash, by the mean of
    the Hamming distances (docs/adr/0004). MIN ranks by the distance to the nearest like.
    """

    MEAN = "mean"
    MIN = "min"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an ingest computes.

    Attributes:
        versions: the present version of the extraction for each feature that is wanted.
        metadata: the present version of what is read from EXIF and the file's header.
        refresh: whether what an earlier version computed is to be computed again.
    """

    versions: Mapping[Feature, int]
    metadata: int = 1
    refresh: bool = False

    @property
    def features(self) -> frozenset[Feature]:
        """The features that are wanted."""
        return frozenset(self.versions)

    @property
    def names(self) -> list[str]:
        """The names by which SQL knows what is wanted; versions are in the same order."""
        return ["metadata", *map(str, self.versions)]

    @property
    def numbers(self) -> list[int]:
        """The versions, in the order of names."""
        return [self.metadata, *self.versions.values()]


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


class Filter(TypedDict, total=False):
    """Which photos may be in an answer; the keys are those of imrec.filter in SQL.

    Attributes:
        under: a folder of this host.
        root: the name of a root.
        after: taken then or later, by the camera's clock; photos without a date are left out.
        before: taken earlier.
        min_size: of the file, in bytes; max_size likewise.
        min_width: pixels, as shown; min_height likewise.
        camera: a part of make and model, in small letters or capitals.
        format: such as "JPEG", "jpg" or "heic".
        cluster: in this cluster (Library.clusters).
        in_box: within these corners of a map: lowest x and y, highest x and y; with z on one of three dimensions.
        by_feature: whose clusters or map these are; None for the feature that is searched by, and for hashes and
            fused searches embedding.
        on_map: 2 or 3, for a cluster found on that map.
    """

    under: str | bytes | os.PathLike[str] | None
    root: str | None
    after: datetime | None
    before: datetime | None
    min_size: int | None
    max_size: int | None
    min_width: int | None
    min_height: int | None
    camera: str | None
    format: str | None
    cluster: int | None
    in_box: Sequence[float] | None
    by_feature: Feature | str | None
    on_map: int | None


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
        mtime_ns: nanoseconds since 1970, within what a bigint holds.
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
        version: of the extraction that read all this (images.exif.VERSION).
        truncated: whether the file ends early: the rest of the picture is grey.
    """

    image_id: UUID
    size: int
    width: int
    height: int
    format: str
    taken_at: datetime | None
    camera_make: str | None
    camera_model: str | None
    version: int = 1
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Features:
    """The features of one image; those not asked for are None.

    Attributes:
        embedding: float32 (512,).
        histogram: float32 (512,), non-negative, sum 1.
        average_hash: 8 bytes, row by row, the top left cell in the highest bit; the other hashes likewise.
    """

    embedding: FloatRow | None = None
    histogram: FloatRow | None = None
    average_hash: bytes | None = None
    difference_hash: bytes | None = None
    perceptual_hash: bytes | None = None

    @classmethod
    def of(cls, feature: Feature, value: FloatRow | bytes) -> "Features":
        """Return one feature alone."""
        return cls(**{feature.value: value})  # type: ignore[arg-type]  # a vector or a hash, as the field is

    def get(self, feature: Feature) -> FloatRow | bytes | None:
        """Return one of them, if it is there."""
        value: FloatRow | bytes | None = getattr(self, feature.value)
        return value

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
    """One image ready to be written, with all files that hold it and the features that it lacked.

    info is None when the image is stored already and only its files are new.
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
    """Which model made the embeddings of a database.

    Attributes:
        name: the architecture, such as "resnet18".
        weights_sha256: hex digest of the weight tensors, whatever file held them.
    """

    name: str
    weights_sha256: str
