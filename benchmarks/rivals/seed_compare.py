"""The seed's compare step: all features in memory, NumPy over every row, argpartition, sort k of them."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def cosine(features: Floats, query: Floats) -> Floats:
    """Return the cosine distance of each row of float32 (n, 512), 0 to 2; norms are computed each time."""
    norms = np.linalg.norm(features, axis=1) * np.linalg.norm(query)
    return np.asarray(1 - features @ query / norms, dtype=np.float32)


def euclidean(features: Floats, query: Floats) -> Floats:
    """Return the Euclidean distance of each row."""
    return np.asarray(np.linalg.norm(features - query, axis=1), dtype=np.float32)


def manhattan(features: Floats, query: Floats) -> Floats:
    """Return the Manhattan distance of each row."""
    return np.asarray(np.sum(np.abs(features - query), axis=1), dtype=np.float32)


def hamming(bits: NDArray[np.bool_], query: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the Hamming distance of each row of bool (n, 64)."""
    return np.asarray(np.count_nonzero(bits != query, axis=1))


DISTANCES: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    "cosine": cosine,
    "euclidean": euclidean,
    "manhattan": manhattan,
}


def nearest(distances: NDArray[np.generic], k: int) -> tuple[list[int], list[float]]:
    """Return the rows with the k smallest distances and those distances, nearest first."""
    k = min(k, len(distances))
    candidates = np.argpartition(distances, k - 1)[:k]
    rows = candidates[np.argsort(distances[candidates], kind="stable")]
    return rows.tolist(), distances[rows].tolist()


def unpacked(hashes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return bool (n, 64) from uint8 (n, 8), as imagehash keeps them."""
    return np.unpackbits(hashes, axis=1).astype(np.bool_)
