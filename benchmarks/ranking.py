"""Rank photos for altered copies, fuse the rankings, and say how good they are; NumPy, no database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import label_ranking_average_precision_score, top_k_accuracy_score

from benchmarks.rivals import seed_compare
from imrec_pg.records import Feature, Metric

Ranks = NDArray[np.int32]
"""int32 (queries, photos): the place of each photo in the ranking for each query, from 1."""

Pair = tuple[Feature, Metric]

MOST_ASKED: Final = 10


@dataclass(frozen=True, slots=True)
class Vote:
    """What one feature has to say in a fusion."""

    feature: Feature
    metric: Metric
    weight: float


@dataclass(frozen=True, slots=True)
class Fusion:
    """Weighted reciprocal rank fusion (Cormack, Clarke and Büttcher 2009, doi:10.1145/1571941.1572114).

    Attributes:
        constant: what is added to each rank; the authors' is 60. The smaller it is, the more the first
            places count beside all others.
        votes: one for each feature.
    """

    constant: float
    votes: tuple[Vote, ...]

    def ranks(self, rankings: Mapping[Pair, Ranks]) -> Ranks:
        """Return the ranking by the sum of weight / (constant + rank), the greatest sum first."""
        scores = sum(
            vote.weight / (self.constant + rankings[vote.feature, vote.metric]) for vote in self.votes
        )
        return ranks_of(-np.asarray(scores, dtype=np.float64))

    @property
    def name(self) -> str:
        """Such as "fusion 3:2:1:1, constant 60"; the weights are in the order of Feature."""
        weights = ":".join(f"{vote.weight:g}" for vote in self.votes)
        return f"fusion {weights}, constant {self.constant:g}"


def fusion(constant: float, weights: Sequence[float]) -> Fusion:
    """Return the fusion with these weights, in the order of Feature, of each feature by its best metric.

    Which metric is best was found on the same half of the photos as the weights (docs/quality.md).
    """
    metrics = (Metric.COSINE, Metric.MANHATTAN, Metric.HAMMING, Metric.HAMMING, Metric.HAMMING)
    return Fusion(constant, tuple(Vote(*vote) for vote in zip(Feature, metrics, weights, strict=True)))


FUSION: Final = fusion(5, (3, 2, 1, 1, 0))
"""The default of imrec.fuse, as a test confirms; chosen on one half of 160 photos (docs/quality.md)."""


@dataclass(frozen=True, slots=True)
class Quality:
    """How well the originals of altered copies were found; 0 to 1 each.

    Attributes:
        recall_at_1: the share of copies whose original came first.
        recall_at_10: the share of those whose original was among the first ten.
        mean_average_precision: as each copy has one original, the mean of 1 / rank.
    """

    recall_at_1: float
    recall_at_10: float
    mean_average_precision: float


def distances(
    queries: NDArray[np.generic], photos: NDArray[np.generic], metric: Metric
) -> NDArray[np.float32]:
    """Return float32 (queries, photos); hashes are uint8 (n, 8), vectors float32 (n, 512)."""
    if metric is Metric.HAMMING:
        bits = seed_compare.unpacked(np.asarray(photos, dtype=np.uint8))
        asked = seed_compare.unpacked(np.asarray(queries, dtype=np.uint8))
        return np.array([seed_compare.hamming(bits, query) for query in asked], dtype=np.float32)
    compare = seed_compare.DISTANCES[metric]
    rows, vectors = np.asarray(photos, dtype=np.float32), np.asarray(queries, dtype=np.float32)
    return np.array([compare(rows, query) for query in vectors], dtype=np.float32)


def ranks_of(values: NDArray[np.floating]) -> Ranks:
    """Return the ranks of values, the smallest first; of equals the photo that comes first in the list."""
    order = np.argsort(values, axis=1, kind="stable")
    ranks = np.empty(values.shape, dtype=np.int32)
    np.put_along_axis(ranks, order, np.arange(1, values.shape[1] + 1, dtype=np.int32)[None], axis=1)
    return ranks


def quality(ranks: Ranks, originals: NDArray[np.int64]) -> Quality:
    """Return how good a ranking of more than 10 photos is; originals has the position of each query's one.

    The figures are scikit-learn's. With one original to be found, recall@k is the accuracy of the top k.
    """
    # Ranks are all different, so that no tie is left to scikit-learn's way with them.
    scores = -ranks.astype(np.float64)
    everyone = np.arange(ranks.shape[1])
    first, ten = (
        float(top_k_accuracy_score(originals, scores, k=k, labels=everyone)) for k in (1, MOST_ASKED)
    )
    is_original = originals[:, None] == everyone
    return Quality(first, ten, float(label_ranking_average_precision_score(is_original, scores)))
