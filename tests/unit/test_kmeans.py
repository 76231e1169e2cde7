"""Centres and the elbow, on data whose clusters are known, and beside scikit-learn's KMeans."""

import numpy as np
import pytest
from numpy.typing import NDArray

from imrec_pg.analysis.cells import nearest
from imrec_pg.analysis.kmeans import candidates, centres_of, curve_of, elbow, sums

cluster = pytest.importorskip("sklearn.cluster", reason="the extra [map]")
pytest.importorskip("kneed", reason="the extra [map]")


def groups(number: int, size: int = 50, dims: int = 16) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(number)
    middles = rng.normal(size=(number, dims)) * 10
    labels = np.repeat(np.arange(number), size)
    return (middles[labels] + rng.normal(size=(len(labels), dims))).astype(np.float32), labels


def test_groups_far_from_each_other_are_found() -> None:
    rows, labels = groups(6)
    centres = centres_of(rows, 6, seed=0)
    found, _ = nearest(rows, centres)
    assert len({*zip(found.tolist(), labels.tolist(), strict=True)}) == 6
    means = np.stack([rows[labels == label].mean(axis=0, dtype=np.float64) for label in range(6)])
    assert np.sort(centres, axis=0) == pytest.approx(np.sort(means, axis=0), abs=1e-4)


def test_the_elbow_is_at_the_number_of_groups() -> None:
    rows, _ = groups(7, size=60)
    curve = curve_of(rows, candidates(len(rows), len(rows)), seed=0)
    assert abs(elbow(curve) - 7) <= 1
    # By hand: one centre, so the inertia is the variance.
    assert curve[0][0] == 1
    assert curve[0][1] == pytest.approx(float(rows.astype(np.float64).var(axis=0).sum()), rel=1e-4)


def test_it_is_about_as_good_as_ten_runs_of_kmeans() -> None:
    rows = np.random.default_rng(5).normal(size=(3000, 24)).astype(np.float32)
    _, distances = nearest(rows, centres_of(rows, 20, seed=1))
    best = cluster.KMeans(20, n_init=10, random_state=0).fit(rows).inertia_
    assert float(np.square(distances, dtype=np.float64).sum()) < 1.02 * best


def test_the_same_seed_gives_the_same_centres() -> None:
    rows, _ = groups(9)
    assert np.array_equal(centres_of(rows, 5, seed=3), centres_of(rows, 5, seed=3))


@pytest.mark.parametrize("k", [1, 2, 5])
def test_equal_vectors_are_one_cluster(k: int) -> None:
    rows = np.full((5, 8), 0.25, np.float32)
    assert centres_of(rows, k, seed=0).tolist() == [[0.25] * 8]
    assert elbow(curve_of(rows, [1, 2, 3, 4, 5], seed=0)) == 1


def test_the_range_of_k_grows_with_the_library_and_ends_at_the_number_of_vectors() -> None:
    assert candidates(1, 1) == [1]
    assert candidates(5, 5) == [1, 2, 3, 4, 5]
    assert candidates(160, 160)[-1] == 18
    assert candidates(10_000, 10_000)[-1] == 150
    assert candidates(10**9, 20_000)[-1] == 300


def test_sums_are_those_of_each_label_also_where_some_have_no_rows() -> None:
    rows = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    totals, counts = sums(rows, np.array([3, 1, 3], np.int32), 5)
    assert totals.tolist() == [[0, 0], [3, 4], [0, 0], [6, 8], [0, 0]]
    assert counts.tolist() == [0, 1, 0, 2, 0]
