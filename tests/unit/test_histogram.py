"""The colour histogram, against hand calculations and NumPy."""

import numpy as np
import pytest

from imrec_pg.features.histogram import RgbHistogram
from imrec_pg.records import RgbArray


def solid(red: int, green: int, blue: int, height: int = 2, width: int = 2) -> RgbArray:
    return np.full((height, width, 3), (red, green, blue), dtype=np.uint8)


def filled(image: RgbArray) -> dict[int, float]:
    """The bins that are not empty."""
    histogram = RgbHistogram().extract(image)
    return {int(bin_): float(histogram[bin_]) for bin_ in np.flatnonzero(histogram)}


@pytest.mark.parametrize(
    ("colour", "bin_"),
    [
        ((0, 0, 0), 0),
        ((255, 255, 255), 511),
        ((255, 0, 0), 448),  # 7 * 64: red is the slowest axis
        ((0, 255, 0), 56),  # 7 * 8
        ((0, 0, 255), 7),
        ((31, 31, 31), 0),  # 256 / 8 = 32 levels a bin
        ((32, 32, 32), 73),  # 64 + 8 + 1
        ((100, 200, 50), 241),  # bins 3, 6, 1: 192 + 48 + 1
    ],
)
def test_one_colour_fills_one_bin(colour: tuple[int, int, int], bin_: int) -> None:
    assert filled(solid(*colour)) == {bin_: 1.0}


def test_half_red_half_blue_is_a_half_each() -> None:
    image = np.concatenate([solid(255, 0, 0), solid(0, 0, 255)])
    assert filled(image) == {448: 0.5, 7: 0.5}


def test_shares_follow_the_areas() -> None:
    image = np.concatenate([solid(255, 0, 0, height=3), solid(0, 255, 0, height=1)])
    assert filled(image) == {448: 0.75, 56: 0.25}


def test_photo_agrees_with_numpy() -> None:
    image = np.random.default_rng(7).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    counts, _ = np.histogramdd(image.reshape(-1, 3), bins=(8, 8, 8), range=[(0, 256)] * 3)
    expected = counts.ravel() / 4800
    np.testing.assert_allclose(RgbHistogram().extract(image), expected, rtol=1e-6)


def test_type_shape_and_sum() -> None:
    image = np.random.default_rng(8).integers(0, 256, (33, 21, 3), dtype=np.uint8)
    histogram = RgbHistogram().extract(image)
    assert histogram.dtype == np.float32
    assert histogram.shape == (512,)
    assert histogram.min() >= 0
    assert histogram.sum(dtype=np.float64) == pytest.approx(1, abs=1e-6)


def test_bin_of_more_pixels_than_float32_counts_is_exact() -> None:
    """float32 cannot step from 2**24 to 2**24 + 1; the black bin holds 4097 * 4096 pixels, which is more."""
    image = solid(0, 0, 0, height=5121, width=4096)
    image[4097:] = 255
    assert filled(image) == pytest.approx({0: 4097 / 5121, 511: 1024 / 5121}, rel=1e-6)


def test_image_is_left_as_it_was() -> None:
    image = np.random.default_rng(9).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    before = image.copy()
    RgbHistogram().extract(image)
    np.testing.assert_array_equal(image, before)


def test_view_with_strides_counts_what_it_shows() -> None:
    image = np.concatenate([solid(255, 0, 0, width=4), solid(0, 0, 255, width=4)], axis=1)
    assert filled(image[:, ::-1][:, :4]) == {7: 1.0}
