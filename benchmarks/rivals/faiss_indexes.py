"""FAISS as its tutorial shows it: everything in memory, exact (flat) or approximate (HNSW).

It builds with all threads and searches with one: it divides work among threads by queries, so that a single
query gains nothing from more, and on a busy machine waited 50 ms for the idle ones instead of 1.
"""

import faiss
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_METRICS = {
    "cosine": faiss.METRIC_INNER_PRODUCT,
    "euclidean": faiss.METRIC_L2,
    "manhattan": faiss.METRIC_L1,
}
_THREADS = faiss.omp_get_max_threads()


class Flat:
    """Exact search over float32 (n, 512)."""

    def __init__(self, features: Floats, metric: str) -> None:
        self._metric = metric
        self._index = faiss.IndexFlat(features.shape[1], _METRICS[metric])
        self._index.add(_prepared(features, metric))
        faiss.omp_set_num_threads(1)

    def nearest(self, query: Floats, k: int) -> tuple[list[int], list[float]]:
        """Return the rows of the k nearest and their distances, nearest first."""
        return _search(self._index, query, k, self._metric)


class Hnsw:
    """Approximate search by cosine distance; efConstruction as FAISS sets it (40)."""

    def __init__(self, features: Floats, m: int = 32, ef_search: int = 64) -> None:
        self._index = faiss.IndexHNSWFlat(features.shape[1], m, faiss.METRIC_INNER_PRODUCT)
        self._index.hnsw.efSearch = ef_search
        faiss.omp_set_num_threads(_THREADS)
        self._index.add(_prepared(features, "cosine"))
        faiss.omp_set_num_threads(1)

    def nearest(self, query: Floats, k: int) -> tuple[list[int], list[float]]:
        """Return the rows of about the k nearest and their distances, nearest first."""
        return _search(self._index, query, k, "cosine")


class BinaryFlat:
    """Exact search by Hamming distance over uint8 (n, 8)."""

    def __init__(self, hashes: NDArray[np.uint8]) -> None:
        self._index = faiss.IndexBinaryFlat(8 * hashes.shape[1])
        self._index.add(hashes)
        faiss.omp_set_num_threads(1)

    def nearest(self, query: NDArray[np.uint8], k: int) -> tuple[list[int], list[float]]:
        """Return the rows of the k nearest and their distances, nearest first."""
        distances, rows = self._index.search(query[None], k)
        return rows[0].tolist(), distances[0].tolist()


def _search(index: faiss.Index, query: Floats, k: int, metric: str) -> tuple[list[int], list[float]]:
    found, rows = index.search(_prepared(query[None], metric), k)
    distances = found[0]
    if metric == "cosine":
        distances = 1 - distances
    elif metric == "euclidean":
        distances = np.sqrt(np.maximum(distances, 0))
    return rows[0].tolist(), distances.tolist()


def _prepared(features: Floats, metric: str) -> Floats:
    if metric != "cosine":
        return np.ascontiguousarray(features)
    return np.asarray(features / np.linalg.norm(features, axis=1, keepdims=True), dtype=np.float32)
