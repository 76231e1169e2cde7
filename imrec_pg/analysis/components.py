"""Principal components, of as many vectors as fit into memory once."""

import numpy as np
from numpy.typing import NDArray

from imrec_pg.analysis.cells import Floats

_ROWS = 8192


def principal_components(vectors: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean, float64 (d,), and all principal components, (d, d), that of the largest variance first."""
    mean = vectors.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((vectors.shape[1], vectors.shape[1]))
    for begin in range(0, len(vectors), _ROWS):
        centred = vectors[begin : begin + _ROWS] - mean
        covariance += centred.T @ centred
    _, axes = np.linalg.eigh(covariance)
    return mean, axes[:, ::-1].T
