"""How true a map is, against scikit-learn and brute force."""

import numpy as np
import pytest
from numpy.typing import NDArray

from imrec_pg.analysis.quality import fidelity, silhouette

manifold = pytest.importorskip("sklearn.manifold", reason="the extra [map]")


@pytest.fixture
def rows() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(200, 10)).astype(np.float32)


def test_trustworthiness_is_that_of_scikit_learn(rows: NDArray[np.float32]) -> None:
    """All 200 are asked, so that both look at the same."""
    points = np.ascontiguousarray(rows[:, :2])
    found = fidelity(rows, points, k=15)
    assert found is not None
    assert found.trustworthiness == pytest.approx(manifold.trustworthiness(rows, points, n_neighbors=15))


def test_preservation_is_the_share_of_neighbours_on_both_sides(rows: NDArray[np.float32]) -> None:
    points = np.ascontiguousarray(rows[:, :3])

    def near(of: NDArray[np.float32], row: int) -> set[int]:
        order = np.argsort(np.linalg.norm(of.astype(np.float64) - of[row], axis=1), kind="stable")
        return {int(other) for other in order if other != row and np.flatnonzero(order == other)[0] <= 15}

    true = np.mean([len(near(rows, row) & near(points, row)) / 15 for row in range(200)])
    found = fidelity(rows, points, k=15)
    assert found is not None
    assert found.preservation == pytest.approx(true)


def test_a_map_that_is_the_features_is_true_and_a_shuffled_one_is_not(rows: NDArray[np.float32]) -> None:
    itself = fidelity(rows, rows)
    assert itself is not None
    assert (itself.trustworthiness, itself.preservation) == (1, 1)
    shuffled = fidelity(rows, np.random.default_rng(1).permutation(rows))
    assert shuffled is not None
    assert shuffled.trustworthiness == pytest.approx(0.5, abs=0.1)
    assert shuffled.preservation == pytest.approx(15 / 199, abs=0.03)


@pytest.mark.parametrize("number", [1, 2])
def test_of_two_photos_nothing_can_be_told(number: int) -> None:
    rows = np.eye(number, 4, dtype=np.float32)
    assert fidelity(rows, rows) is None


def test_one_cluster_or_one_a_photo_has_no_silhouette(rows: NDArray[np.float32]) -> None:
    assert silhouette(rows, np.zeros(200, np.int32)) is None
    assert silhouette(rows, np.arange(200, dtype=np.int32)) is None
