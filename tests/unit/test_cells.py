"""Nearest centres and nearest vectors, against comparing all with all in float64."""

import numpy as np
import pytest
from numpy.typing import NDArray

from imrec_pg.analysis.cells import Cells, nearest, unit


def distances(one: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(
        np.linalg.norm(one[:, None].astype(np.float64) - other[None].astype(np.float64), axis=2)
    )


@pytest.fixture
def vectors() -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(size=(300, 20)).astype(np.float32)


def test_vectors_become_as_long_as_one_and_nothing_is_divided_by_zero() -> None:
    rows = np.array([[3, 4], [0, 0], [1e-30, 0]])
    assert unit(rows).tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0, 0], [1, 0]]


def test_each_vector_gets_its_nearest_centre(vectors: NDArray[np.float32]) -> None:
    centres = vectors[:9]
    labels, found = nearest(vectors, centres)
    true = distances(vectors, centres)
    assert labels.tolist() == true.argmin(axis=1).tolist()
    assert found == pytest.approx(true.min(axis=1), abs=1e-6)
    assert found[:9].tolist() == [0] * 9


def test_with_all_cells_looked_at_the_nearest_are_found_all(vectors: NDArray[np.float32]) -> None:
    centres = vectors[:12]
    labels, _ = nearest(vectors, centres)
    order = [np.flatnonzero(labels == cell) for cell in range(12)]
    cells = Cells(centres, lambda cell: vectors[order[cell]])
    asked = np.random.default_rng(2).normal(size=(40, 20)).astype(np.float32)
    true = distances(asked, vectors)
    seen = []
    for rows, found in cells.search(asked, 7, probes=12):
        for row, cell, position, distance in zip(
            rows, found.cell, found.position, found.distance, strict=True
        ):
            numbers = [int(order[c][p]) for c, p in zip(cell, position, strict=True)]
            assert numbers == np.argsort(true[row], kind="stable")[:7].tolist()
            assert distance == pytest.approx(np.sort(true[row])[:7], abs=1e-3)
            seen.append(int(row))
    assert sorted(seen) == list(range(40))


def test_more_cells_are_looked_at_where_the_nearest_hold_too_few() -> None:
    """Five cells of one vector each, and three neighbours wanted of one cell."""
    centres = np.arange(5, dtype=np.float32)[:, None] * 10
    cells = Cells(centres, lambda cell: centres[cell : cell + 1])
    ((_, found),) = cells.search(np.array([[1.0]], np.float32), 3, probes=1)
    assert found.cell.tolist() == [[0, 1, 2]]
    ((_, found),) = cells.search(np.array([[1.0]], np.float32), 9, probes=1)
    assert found.cell.tolist() == [[0, 1, 2, 3, 4]]
