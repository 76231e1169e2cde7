"""How true a map is to the features, and how clear clusters are, on samples."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imrec_pg.analysis.cells import Floats, Numbers, squares

NEIGHBOURS = 15
QUESTIONS, AMONG = 2_000, 20_000
"""So many images are asked for their neighbours among so many."""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How many neighbours a map keeps.

    Attributes:
        trustworthiness: 1 when the nearest on the map are the nearest by the feature; chance gives about 0.5.
        preservation: the share of the nearest by the feature that are among the nearest on the map.
    """

    trustworthiness: float
    preservation: float


def fidelity(vectors: Floats, points: Floats, seed: int = 0, k: int = NEIGHBOURS) -> Fidelity | None:
    """Return how true points are to vectors; None where there are too few to tell (Venna, Kaski 2001).

    doi:10.1007/3-540-44668-0_68. All are ranked exactly; questions are drawn from them.
    """
    n = len(vectors)
    k = min(k, (n - 1) // 2)
    if k < 1:
        return None
    asked = np.sort(np.random.default_rng(seed).choice(n, min(QUESTIONS, n), replace=False))
    too_far, kept = 0.0, 0
    for question in np.array_split(asked, max(1, len(asked) * n // 16_000_000)):
        ranks, near = _ranks(vectors, question), _order(points, question)[:, :k]
        found = np.take_along_axis(ranks, near, axis=1)
        too_far += float(np.maximum(found - k, 0).sum())
        kept += int((found <= k).sum())
    worst = len(asked) * k * (2 * n - 3 * k - 1) / 2
    return Fidelity(1 - too_far / worst if worst else 1.0, kept / (len(asked) * k))


def _order(rows: Floats, question: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return all others of each question, nearest first; equally near ones by their number."""
    distances = squares(rows[question], rows)
    distances[np.arange(len(question)), question] = -1
    return np.argsort(distances, axis=1, kind="stable")[:, 1:]


def _ranks(rows: Floats, question: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return how near each row is to each question: 1 for the nearest."""
    order = _order(rows, question)
    ranks = np.zeros((len(question), len(rows)), dtype=np.intp)
    np.put_along_axis(ranks, order, np.arange(1, order.shape[1] + 1)[None, :], axis=1)
    return ranks


def silhouette(rows: Floats, labels: Numbers) -> float | None:
    """Return the mean silhouette of a sample (Rousseeuw 1987); None where it has fewer than two clusters.

    doi:10.1016/0377-0427(87)90125-7.
    """
    from sklearn.metrics import silhouette_score

    rows, labels = rows[:QUESTIONS], labels[:QUESTIONS]
    if not 1 < len(np.unique(labels)) < len(labels):
        return None
    return float(silhouette_score(rows, labels))


def agreement(one: Numbers, other: Numbers) -> float:
    """Return the adjusted Rand index of two clusterings of the same images (Hubert, Arabie 1985)."""
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(one, other))
