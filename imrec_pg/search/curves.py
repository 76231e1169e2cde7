"""Curves of evidence: how much a distance speaks for "the same picture, altered", fitted to distances.

Evidence is the logarithm of a likelihood ratio (Good 1950, Probability and the Weighing of Evidence), in decibans:
30 say that such a distance is 1,000 times as frequent between a copy and its original as between unrelated photos.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imrec_pg.records import Metric

Distances = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """Evidence by distance; between its breakpoints it lies on a line, beyond them it stays as it is.

    Attributes:
        distances: the breakpoints, ascending.
        evidence: at each of them, in decibans; never rising.
        copies: how many distances of copies it was fitted to.
        pairs: how many distances of unrelated photos.
    """

    distances: tuple[float, ...]
    evidence: tuple[float, ...]
    copies: int
    pairs: int


def fit(copies: Distances, unrelated: Distances) -> Curve:
    """Return the curve that never rises and fits best (isotonic regression by pooling of neighbours).

    Half a copy and half a pair are added to each pool, so that no pool says that something is impossible.

    Args:
        copies: float64 (n,), between altered copies and their originals; finite.
        unrelated: float64 (m,), between different photos; finite.
    """
    # Here, since it takes 0.2 s.
    from scipy.optimize import isotonic_regression

    places, place = np.unique(np.concatenate([copies, unrelated]), return_inverse=True)
    of_copies = np.bincount(place[: len(copies)], minlength=len(places))
    of_pairs = np.bincount(place[len(copies) :], minlength=len(places))
    copied, paired = of_copies / len(copies), of_pairs / len(unrelated)
    pools = isotonic_regression(copied / (copied + paired), weights=copied + paired, increasing=False).blocks
    first, last = pools[:-1], pools[1:] - 1
    ratio = ((np.add.reduceat(of_copies, first) + 0.5) / (len(copies) + 1)) / (
        (np.add.reduceat(of_pairs, first) + 0.5) / (len(unrelated) + 1)
    )
    # The halves may let a small pool rise above the one before.
    evidence = np.minimum.accumulate(10 * np.log10(ratio))
    return Curve(
        tuple(float(value) for value in (places[first] + places[last]) / 2),
        tuple(float(value) for value in evidence),
        len(copies),
        len(unrelated),
    )


def distances(ones: NDArray[np.generic], others: NDArray[np.generic], metric: Metric) -> Distances:
    """Return float64 (n, m), the distance of each of the ones to each of the others, as PostgreSQL computes it.

    Args:
        ones: float32 (n, 512), or of hashes uint8 (n, 8).
        others: the same of m images.
        metric: one by which imrec.feature fuses: cosine, manhattan, or hamming.
    """
    if metric is Metric.HAMMING:
        a, b = (np.unpackbits(bits.astype(np.uint8), axis=1).astype(np.float32) for bits in (ones, others))
        return np.asarray(a @ (1 - b).T + (1 - a) @ b.T, dtype=np.float64)
    x, y = (rows.astype(np.float64) for rows in (ones, others))
    if metric is Metric.MANHATTAN:
        return np.array([np.abs(y - row).sum(axis=1) for row in x])
    x, y = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (x, y))
    return np.asarray(1 - x @ y.T)
