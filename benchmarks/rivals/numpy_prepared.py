"""NumPy as one would write a search by hand: all vectors in memory, their lengths computed beforehand."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
METRICS = frozenset({"cosine", "euclidean"})


class Prepared:
    """Rows that can be compared by one product of a matrix and a vector."""

    def __init__(self, rows: Floats, metric: str) -> None:
        """Prepare float32 (n, 512); for the cosine distance a copy at length 1."""
        self._squares = np.einsum("ij,ij->i", rows, rows)
        self._cosine = metric == "cosine"
        self._rows = rows / np.sqrt(self._squares)[:, None] if self._cosine else rows

    def distances(self, query: Floats) -> Floats:
        """Return the distance of each row."""
        square = query @ query
        if self._cosine:
            return np.asarray(1 - self._rows @ (query / np.sqrt(square)), dtype=np.float32)
        apart = self._squares - 2 * (self._rows @ query) + square
        return np.asarray(np.sqrt(np.maximum(apart, 0)), dtype=np.float32)
