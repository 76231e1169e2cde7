"""Fusion by evidence as imrec.fuse does it, and the curves that imrec-pg ships; NumPy, no database."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.ranking import Pair, Ranks, ranks_of
from imrec_pg.db.apply_sql import folder
from imrec_pg.records import Feature, Metric

Floats = NDArray[np.float64]

THRESHOLD: Final = 3.0
"""In decibans; only what exceeds it counts."""
SLOPE: Final = 130.0
"""What a distance of 1 by the embedding costs, in decibans."""
FUSED: Final[tuple[Pair, ...]] = (
    (Feature.EMBEDDING, Metric.COSINE),
    (Feature.HISTOGRAM, Metric.MANHATTAN),
    (Feature.AVERAGE_HASH, Metric.HAMMING),
    (Feature.DIFFERENCE_HASH, Metric.HAMMING),
)
"""What is fused by default, as a test confirms."""


@dataclass(frozen=True, slots=True)
class Shipped:
    """A curve: evidence, in decibans, at ascending distances."""

    distances: Floats
    evidence: Floats


@cache
def shipped() -> Mapping[Pair, Shipped]:
    """Return the curves in sql/internal/shipped_evidence.sql."""
    text = (folder("sql") / "internal" / "shipped_evidence.sql").read_text(encoding="utf-8")
    found = re.findall(r"'(\w+)', '(\w+)',\s*ARRAY\[([^]]*)\][^,]*,\s*ARRAY\[([^]]*)\]", text)
    return {
        (Feature(feature), Metric(metric)): Shipped(_numbers(distances), _numbers(evidence))
        for feature, metric, distances, evidence in found
    }


def evidence_ranks(distances: Mapping[Pair, NDArray[np.floating]]) -> Ranks:
    """Return the ranking by evidence; each array holds (queries, photos)."""
    fused = -SLOPE * distances[FUSED[0]].astype(np.float64)
    for pair in FUSED:
        curve = shipped()[pair]
        fused += np.maximum(np.interp(distances[pair], curve.distances, curve.evidence) - THRESHOLD, 0)
    return ranks_of(-fused)


def _numbers(listed: str) -> Floats:
    return np.array([float(number) for number in listed.split(",")])
