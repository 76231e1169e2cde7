"""Curves of evidence by hand calculation."""

import numpy as np
import pytest
from numpy.typing import NDArray

from imrec_pg.records import Metric
from imrec_pg.search.curves import distances, fit


def _repeated(values: list[float], times: list[int]) -> NDArray[np.float64]:
    return np.array([value for value, number in zip(values, times, strict=True) for _ in range(number)])


def test_a_curve_is_the_ratio_of_how_often_each_distance_occurs() -> None:
    """Of 100 copies 90 are at 1 and 10 at 2; of 1,000 pairs 1 is at 1, 99 at 2 and 900 at 3."""
    curve = fit(_repeated([1.0, 2.0], [90, 10]), _repeated([1.0, 2.0, 3.0], [1, 99, 900]))
    expected = 10 * np.log10(
        [(90.5 / 101) / (1.5 / 1001), (10.5 / 101) / (99.5 / 1001), (0.5 / 101) / (900.5 / 1001)]
    )
    assert list(curve.distances) == [1, 2, 3]
    assert curve.evidence == pytest.approx(expected)
    assert (curve.copies, curve.pairs) == (100, 1000)


def test_a_curve_pools_what_would_rise() -> None:
    """Nearer pairs at 2 than at 1: both distances say the same."""
    curve = fit(_repeated([1.0, 2.0], [1, 9]), _repeated([1.0, 2.0, 3.0], [5, 5, 90]))
    assert list(curve.distances) == [1.5, 3]
    assert curve.evidence[0] == pytest.approx(10 * np.log10((10.5 / 11) / (10.5 / 101)))


@pytest.mark.parametrize("copies", [1, 5])
def test_few_copies_give_a_curve_that_never_rises(copies: int) -> None:
    rng = np.random.default_rng(copies)
    curve = fit(rng.random(copies), rng.random(300))
    assert np.all(np.diff(curve.evidence) <= 0)
    assert np.all(np.diff(curve.distances) > 0)


@pytest.mark.parametrize("metric", [Metric.COSINE, Metric.MANHATTAN, Metric.HAMMING])
def test_distances_are_those_of_their_definition(metric: Metric) -> None:
    rng = np.random.default_rng(0)
    rows: NDArray[np.generic] = (
        rng.integers(0, 256, (3, 8), dtype=np.uint8)
        if metric is Metric.HAMMING
        else rng.random((3, 512)).astype(np.float32)
    )
    found = distances(rows[:2], rows, metric)
    for i, j in ((0, 1), (1, 2), (0, 0)):
        assert found[i, j] == pytest.approx(_by_definition(rows[i], rows[j], metric), abs=1e-4)


def _by_definition(a: NDArray[np.generic], b: NDArray[np.generic], metric: Metric) -> float:
    if metric is Metric.HAMMING:
        return (int.from_bytes(a.tobytes()) ^ int.from_bytes(b.tobytes())).bit_count()
    x, y = a.astype(np.float64), b.astype(np.float64)
    if metric is Metric.MANHATTAN:
        return float(np.abs(x - y).sum())
    return float(1 - x @ y / np.linalg.norm(x) / np.linalg.norm(y))
