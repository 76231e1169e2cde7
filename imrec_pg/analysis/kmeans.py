"""KMeans: MiniBatchKMeans (Sculley 2010, doi:10.1145/1772690.1772862), then Lloyd's steps; and the elbow."""

import math
import warnings
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from imrec_pg.analysis.cells import Floats, Numbers, nearest
from imrec_pg.analysis.extras import threads_counted, without_matplotlib

# More change little: the centres settle within ten or twenty.
_STEPS = 30
_TRIED = 24
_MOST = 300
_FEWEST = 12


def centres_of(vectors: Floats, k: int, seed: int, *, steps: int = _STEPS) -> Floats:
    """Return k centres of the vectors, float32 (k, d), begun by k-means++; fewer where fewer vectors differ."""
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(), threads_counted():
        # It warns that fewer vectors differ than there are to be clusters.
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = MiniBatchKMeans(k, batch_size=max(1024, 4 * k), n_init=1, random_state=seed).fit(vectors)
    centres = np.asarray(found.cluster_centers_, dtype=np.float32)
    before = math.inf
    for _ in range(steps):
        labels, distances = nearest(vectors, centres)
        inertia = float(np.square(distances, dtype=np.float64).sum())
        totals, counts = sums(vectors, labels, len(centres))
        centres = moved(centres, totals, counts)
        # scikit-learn stops KMeans by such a bound too.
        if before - inertia <= 1e-4 * inertia:
            break
        before = inertia
    labels, _ = nearest(vectors, centres)
    return centres[np.bincount(labels, minlength=len(centres)) > 0]


def sums(vectors: Floats, labels: Numbers, k: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the sum of the vectors of each label, float64 (k, d), and how many there are.

    In the order of the rows, so that it is the same each time; scikit-learn's threads add up as they come.
    """
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels, minlength=k)
    totals = np.zeros((k, vectors.shape[1]))
    present = np.flatnonzero(counts)
    if len(present):
        starts = (np.cumsum(counts) - counts)[present]
        totals[present] = np.add.reduceat(vectors[order], starts, axis=0, dtype=np.float64)
    return totals, counts


def moved(centres: Floats, totals: NDArray[np.float64], counts: NDArray[np.int64]) -> Floats:
    """Return the means of the clusters; one without members keeps its centre."""
    means = totals / np.maximum(counts, 1)[:, None]
    return np.where(counts[:, None] > 0, means, centres).astype(np.float32)


def candidates(images: int, sampled: int) -> list[int]:
    """Return the k to try for so many images: the range grows with the square root of their number."""
    most = min(sampled, _MOST, max(_FEWEST, int(1.5 * math.sqrt(images))))
    return sorted({round(k) for k in np.geomspace(1, most, _TRIED)})


def curve_of(
    vectors: Floats, tried: Sequence[int], seed: int, on_progress: Callable[[int], None] = lambda _done: None
) -> list[tuple[int, float]]:
    """Return each k with its inertia: the mean squared distance to the nearest centre."""
    curve = []
    for done, k in enumerate(tried):
        on_progress(done)
        _, distances = nearest(vectors, centres_of(vectors, k, seed, steps=3))
        curve.append((k, float(np.square(distances, dtype=np.float64).mean())))
    return curve


def elbow(curve: Sequence[tuple[int, float]]) -> int:
    """Return the k at the elbow (Satopaa and others 2011, doi:10.1109/ICDCSW.2011.20): beyond, little is won.

    Where the curve has none, as when all vectors are the same, it is the first k that is as good as the last.
    """
    with without_matplotlib():
        from kneed import KneeLocator

    tried = [k for k, _ in curve]
    # A larger k cannot be worse; where it is, the draw of the first centres was.
    inertias = np.minimum.accumulate([inertia for _, inertia in curve])
    if len(curve) > 2 and inertias[0] - inertias[-1] > 1e-6:  # noqa: PLR2004 - a line has no elbow
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that there is no elbow
            found = KneeLocator(tried, inertias, curve="convex", direction="decreasing").elbow
        if found is not None:
            return int(found)
    return tried[int(np.argmax(inertias <= inertias[-1] + 1e-6))]
