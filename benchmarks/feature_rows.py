"""Features of many pictures in arrays, and what is measured of each feature."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from imrec_pg.records import Feature, Features, Metric

Vectors = NDArray[np.float32]
"""float32 (n, 512)."""

Hashes = NDArray[np.uint8]
"""uint8 (n, 8), bits in the order that records.Features states."""

METRICS: Final[Mapping[Feature, tuple[Metric, ...]]] = MappingProxyType(
    {
        feature: (Metric.HAMMING,) if feature.is_hash else (Metric.COSINE, Metric.EUCLIDEAN, Metric.MANHATTAN)
        for feature in Feature
    }
)
"""The pairs that are measured, the default metric first: all those of imrec.feature, as a test confirms."""


@dataclass(frozen=True, slots=True)
class FeatureRows:
    """All features of several pictures, a row each.

    Attributes:
        columns: of every feature, Vectors or Hashes.
    """

    columns: Mapping[Feature, NDArray[np.generic]]

    def __len__(self) -> int:
        return len(self.columns[Feature.EMBEDDING])

    def __getitem__(self, feature: Feature) -> NDArray[np.generic]:
        """Return all rows of one feature."""
        return self.columns[feature]

    def __add__(self, other: "FeatureRows") -> "FeatureRows":
        """Return these rows and then the others."""
        return joined([self, other])

    def vectors(self, feature: Feature) -> Vectors:
        """Return all rows of a feature that is no hash."""
        return np.asarray(self.columns[feature], dtype=np.float32)

    def hashes(self, feature: Feature) -> Hashes:
        """Return all rows of a hash."""
        return np.asarray(self.columns[feature], dtype=np.uint8)

    def rows(self, start: int, stop: int) -> "FeatureRows":
        """Return some of the pictures."""
        return FeatureRows({feature: rows[start:stop] for feature, rows in self.columns.items()})

    def features(self, number: int) -> Features:
        """Return one picture's features as ingest and search handle them."""
        return Features(**{feature.value: as_value(rows[number]) for feature, rows in self.columns.items()})  # type: ignore[arg-type]


def joined(parts: list[FeatureRows]) -> FeatureRows:
    """Return the rows of all parts, one part after the other."""
    return FeatureRows({feature: np.concatenate([part[feature] for part in parts]) for feature in Feature})


def as_value(row: NDArray[np.generic]) -> Vectors | bytes:
    """Return a row as a value of Features: float32 (512,), or 8 bytes."""
    return row.tobytes() if row.dtype == np.uint8 else np.asarray(row, dtype=np.float32)
