"""Clusters and maps as their libraries' own pages show them: all rows in memory, one call. A program."""

import time
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from umap import UMAP

from benchmarks.programs import serve


def _work(what: str, rows: str, result: str, k: str) -> dict[str, Any]:
    """Write labels (kmeans) or points and the labels of their clusters (umap) into a file; return the seconds."""
    vectors = np.load(rows)
    started = time.perf_counter()
    if what == "kmeans":
        found = KMeans(int(k), n_init=10, random_state=42).fit(vectors)
        seconds = time.perf_counter() - started
        np.savez(result, labels=found.labels_, centres=found.cluster_centers_)
    else:
        points = UMAP(n_components=3, random_state=42, n_jobs=1).fit_transform(vectors)
        seconds = time.perf_counter() - started
        np.savez(result, points=points, labels=KMeans(int(k), n_init=10, random_state=42).fit(points).labels_)
    return {"seconds": seconds}


if __name__ == "__main__":
    serve(_work)
