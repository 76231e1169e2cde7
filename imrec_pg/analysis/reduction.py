"""Reduce vectors to few dimensions, whose distances are lower bounds, so that exact searches compare few in full.

The directions are those of the library's own vectors: their principal components (docs/adr/0025).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imrec_pg.analysis.cells import Floats
from imrec_pg.analysis.components import principal_components
from imrec_pg.records import Feature

Doubles = NDArray[np.float64]

_NORMS = (1e-15, 1e15)
_LEAST_REST = 0.1
_LARGEST_SUM = 1.001
_DIMS = (16, 32, 48, 64, 96, 128, 192, 256)
_SUMS, _PAIRS = 64, 1_000
_QUERIES = 25
_NEIGHBOURS = (10, 100)
# Measured with 450,000 images on two cores: nanoseconds for an image of a block that is scanned, for each of its
# dimensions, and for an image that is compared by its whole vector.
_IMAGE_NS, _DIMENSION_NS, _COMPARED_NS = 50, 0.2, 12_000


@dataclass(frozen=True, slots=True)
class Axes:
    """The directions that vectors are projected on.

    Attributes:
        mean: of the vectors at length 1, float64 (512,).
        components: float64 (n, 512), orthonormal.
        sums: which bins of a histogram are added up, float64 (n, 512) of 0 and 1; none for other features.
    """

    mean: Doubles
    components: Doubles
    sums: Doubles

    def reduce(self, vectors: Floats) -> tuple[NDArray[np.float16], Doubles, NDArray[np.float16]]:
        """Return vectors reduced as imrec_internal.reduce does it: reduced, norm and sums of each."""
        whole = vectors.astype(np.float64)
        norms = np.linalg.norm(whole, axis=1)
        centred = whole / norms[:, None] - self.mean
        parts = centred @ self.components.T
        rest = np.sqrt(np.maximum(0, (centred**2).sum(axis=1) - (parts**2).sum(axis=1)))
        reduced = np.column_stack([parts, np.maximum(rest, _LEAST_REST)]).astype(np.float16)
        return reduced, norms, (whole @ self.sums.T).astype(np.float16)

    def bounded(self, vectors: Floats) -> NDArray[np.bool_]:
        """Return which vectors have all lower bounds."""
        whole = np.abs(vectors.astype(np.float64))
        norms = np.sqrt((whole**2).sum(axis=1))
        fine: NDArray[np.bool_] = (norms >= _NORMS[0]) & (norms <= _NORMS[1])
        if len(self.sums):
            fine &= whole.sum(axis=1) <= _LARGEST_SUM
        return fine


@dataclass(frozen=True, slots=True)
class Choice:
    """How a feature is to be reduced.

    Attributes:
        passing: the share of the images that is compared by the whole vector.
        candidates: how many images are looked at first, for the ten nearest.
        growth: for k, (k / 10) ** growth times as many.
    """

    axes: Axes
    passing: float
    candidates: int
    growth: float


def metrics_of(feature: Feature) -> list[str]:
    """Return the metrics of a feature that get a lower bound.

    Of the Manhattan distance of embeddings none is known that is worth it.
    """
    return ["cosine", "euclidean", *(["manhattan"] if feature is Feature.HISTOGRAM else [])]


def choose(feature: Feature, sample: Floats, images: int) -> Choice:
    """Return the reduction by which a search takes the least time, of a sample at length 1."""
    mean, components = principal_components(sample)
    sums = _sums(sample) if feature is Feature.HISTOGRAM else np.zeros((0, sample.shape[1]))
    passing = _passing(mean, components[: _DIMS[-1] - 1], sample, images)
    dims = min(_DIMS, key=lambda n: _IMAGE_NS + _DIMENSION_NS * n + passing[n][0] * _COMPARED_NS)
    few, many = passing[dims]
    # Twice as many as are likely needed: sorting them costs less than a second scan.
    candidates = int(np.clip(2 * few * images, 100, 20_000))
    growth = math.log(many / few) / math.log(_NEIGHBOURS[1] / _NEIGHBOURS[0])
    return Choice(Axes(mean, components[: dims - 1], sums), few, candidates, growth)


def _passing(
    mean: Doubles, components: Doubles, sample: Floats, images: int
) -> dict[int, tuple[float, float]]:
    """Return the shares of rows that may be among the 10 and 100 nearest by lower bounds, by number of dimensions."""
    # Of the whole library as many are nearer as of a part of it in proportion.
    ranks = [min(max(1, round(k * len(sample) / images)), len(sample) - 1) for k in _NEIGHBOURS]
    centred = sample - mean.astype(np.float32)
    parts = centred @ components.T.astype(np.float32)
    left = (centred**2).sum(axis=1)[:, None] - np.cumsum(parts**2, axis=1)
    rest = {dims: np.sqrt(np.maximum(left[:, dims - 2], _LEAST_REST**2)) for dims in _DIMS}
    step = max(1, len(sample) // _QUERIES)
    queries = range(0, len(sample), step)
    shares = {dims: np.zeros(len(ranks)) for dims in _DIMS}
    for query in queries:
        true = np.partition(2 - 2 * (sample @ sample[query]), ranks)[ranks]
        within = (np.sqrt(np.maximum(0.0, true)) + 0.004) ** 2
        apart = np.cumsum((parts - parts[query]) ** 2, axis=1)
        for dims in _DIMS:
            lower = apart[:, dims - 2] + (rest[dims] - rest[dims][query]) ** 2
            shares[dims] += (lower[:, None] <= within).mean(axis=0) / len(queries)
    return {dims: (float(few), float(many)) for dims, (few, many) in shares.items()}


def _sums(sample: Floats) -> Doubles:
    """Return which bins of histograms to add up, so that the sums' Manhattan distance loses the least.

    Beginning with all bins, the two are joined whose joining takes the least from the distances of some pairs:
    a fixed grid of 4 x 4 x 4 colours lets thirty times as many images pass.
    """
    histograms = sample / sample.sum(axis=1, keepdims=True)
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, len(histograms), (2, _PAIRS))
    differences = (histograms[pairs[0]] - histograms[pairs[1]]).T.copy()
    lengths = np.abs(differences).sum(axis=1)
    bins = len(lengths)
    groups = np.eye(bins)
    lost = np.full((bins, bins), np.inf)

    def join_costs(one: int, others: NDArray[np.intp]) -> Doubles:
        joined = np.abs(differences[one] + differences[others]).sum(axis=1)
        return np.asarray(lengths[one] + lengths[others] - joined, dtype=np.float64)

    left = np.arange(bins)
    for one in range(bins - 1):
        lost[one, one + 1 :] = join_costs(one, left[one + 1 :])
    for _ in range(bins - _SUMS):
        one, other = divmod(int(np.argmin(lost)), bins)
        differences[one] += differences[other]
        lengths[one] = np.abs(differences[one]).sum()
        groups[one] += groups[other]
        lost[other], lost[:, other] = np.inf, np.inf
        left = left[left != other]
        rest = left[left != one]
        lost[np.minimum(one, rest), np.maximum(one, rest)] = join_costs(one, rest)
    return np.asarray(groups[left], dtype=np.float64)
