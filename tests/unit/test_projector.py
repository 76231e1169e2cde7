"""How photos are sampled for the projector, and how large their thumbnails are."""

import numpy as np
import pytest

from imrec_pg.projector.choosing import proportional
from imrec_pg.projector.sprite import thumbnail_side


@pytest.mark.parametrize(
    ("sizes", "total", "expected"),
    [
        ([10, 20, 30], 100, [10, 20, 30]),
        ([10, 20, 30], 6, [1, 2, 3]),
        ([1000, 1], 10, [9, 1]),  # the small one too
        ([1, 1, 998], 4, [1, 1, 2]),
        ([5, 5, 5, 5], 2, [1, 1, 0, 0]),  # no room for all
        ([7, 7, 7], 10, [4, 3, 3]),
    ],
)
def test_strata_keep_their_shares(sizes: list[int], total: int, expected: list[int]) -> None:
    assert proportional(np.array(sizes), total).tolist() == expected


def test_a_sample_has_exactly_the_size_asked_for() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        sizes = rng.integers(1, 1000, rng.integers(1, 60))
        total = int(rng.integers(1, sizes.sum() + 1))
        taken = proportional(sizes, total)
        assert taken.sum() == total
        assert (taken <= sizes).all()
        assert (taken >= 0).all()


@pytest.mark.parametrize(("photos", "side"), [(1, 100), (6561, 100), (10_000, 81), (100_000, 25)])
def test_thumbnails_fit_into_8192_pixels(photos: int, side: int) -> None:
    assert thumbnail_side(photos) == side
    assert side * np.ceil(np.sqrt(photos)) <= 8192
