"""Vectors in cells of near ones: how the nearest of many are found without comparing all with all.

An inverted file, as Sivic and Zisserman call it (2003, doi:10.1109/ICCV.2003.1238663): vectors lie in the cell of
the nearest of some centres, and are looked for in the cells that are near. Whole cells are compared by one product
of matrices, which is what BLAS does best. docs/adr/0022 has what else was measured.
"""

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Numbers: TypeAlias = NDArray[np.int32]

# Distances computed at once: 64 MB of float32.
_BLOCK = 16 * 1024 * 1024


def unit(vectors: NDArray[np.floating]) -> Floats:
    """Return the vectors, float32 (n, d), at length 1: then the Euclidean distance ranks as the cosine one does."""
    rows = np.asarray(vectors, dtype=np.float32)
    norms = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    return np.asarray(rows / np.where(norms > 0, norms, 1), dtype=np.float32)


def squares(vectors: Floats, others: Floats) -> Floats:
    """Return the squared Euclidean distances, float32 (n, m); rounding may leave 1e-6 where they are equal."""
    found: Floats = vectors @ others.T
    found *= -2
    found += np.einsum("ij,ij->i", vectors, vectors)[:, None]
    found += np.einsum("ij,ij->i", others, others)
    np.maximum(found, 0, out=found)
    return found


def nearest(vectors: Floats, centres: Floats) -> tuple[Numbers, Floats]:
    """Return the number of the nearest centre to each vector, int32 (n,), and its Euclidean distance, float32."""
    labels, distances = np.empty(len(vectors), np.int32), np.empty(len(vectors), np.float32)
    for part in blocks(len(vectors), len(centres)):
        labels[part] = squares(vectors[part], centres).argmin(axis=1)
        # Of the differences themselves: the expanded form has lost the small ones.
        distances[part] = np.linalg.norm(vectors[part] - centres[labels[part]], axis=1)
    return labels, distances


def blocks(rows: int, columns: int) -> Iterator[slice]:
    """Yield slices of the rows, so that a matrix of that many columns fits into memory."""
    size = max(1, _BLOCK // max(1, columns))
    for start in range(0, rows, size):
        yield slice(start, min(rows, start + size))


class Cells:
    """Vectors, found by cells.

    Args:
        centres: float32 (cells, d).
        vectors: returns those of a cell, (n, d), when they are needed.
    """

    def __init__(self, centres: Floats, vectors: Callable[[int], NDArray[np.floating]]) -> None:
        self._centres = centres
        self._vectors = vectors

    def near(self, cell: int, number: int) -> list[int]:
        """Return the cell and those whose centres are nearest to its own, so many in all."""
        order = np.argsort(squares(self._centres[cell : cell + 1], self._centres)[0], kind="stable")
        return [cell, *(int(other) for other in order if other != cell)][:number]

    def search(self, queries: Floats, k: int, probes: int) -> Iterator[tuple[NDArray[np.intp], "Found"]]:
        """Yield, cell by cell, which queries lie in it, and the k nearest vectors of so many cells to each.

        Where these hold fewer than k, more of them are looked at; fewer are found only where there are no more.
        """
        labels, _ = nearest(queries, self._centres)
        for cell in np.unique(labels):
            members = np.flatnonzero(labels == cell)
            cells, vectors = self._gathered(int(cell), k, probes)
            counts = [len(rows) for rows in vectors]
            owner = np.repeat(np.array(cells, np.int32), counts)
            position = np.concatenate([np.arange(count, dtype=np.int32) for count in counts])
            candidates = np.concatenate(vectors).astype(np.float32)
            for part in blocks(len(members), len(candidates)):
                rows = members[part]
                best, distances = _smallest(queries[rows], candidates, k)
                yield rows, Found(owner[best], position[best], distances)

    def _gathered(self, cell: int, k: int, probes: int) -> tuple[list[int], list[NDArray[np.floating]]]:
        cells, vectors, number = list[int](), list[NDArray[np.floating]](), 0
        for other in self.near(cell, len(self._centres)):
            if len(cells) >= probes and number >= k:
                break
            rows = self._vectors(other)
            cells.append(other)
            vectors.append(rows)
            number += len(rows)
        return cells, vectors


class Found:
    """The nearest vectors to some queries, nearest first; all arrays are (queries, k).

    Attributes:
        cell: of each, int32.
        position: in its cell, int32.
        distance: Euclidean, float32.
    """

    __slots__ = ("cell", "distance", "position")

    def __init__(self, cell: Numbers, position: Numbers, distance: Floats) -> None:
        self.cell, self.position, self.distance = cell, position, distance


def _smallest(queries: Floats, candidates: Floats, k: int) -> tuple[NDArray[np.intp], Floats]:
    """Return the numbers of the k nearest candidates to each query, nearest first, and their distances."""
    matrix = squares(queries, candidates)
    k = min(k, matrix.shape[1])
    best = np.argpartition(matrix, k - 1, axis=1)[:, :k]
    # Of the differences themselves: the expanded form makes 1e-3 of the 0 between equal vectors.
    distances = np.linalg.norm(queries[:, None] - candidates[best], axis=2)
    order = np.lexsort((best, distances), axis=1)
    return np.take_along_axis(best, order, axis=1), np.take_along_axis(distances, order, axis=1)
