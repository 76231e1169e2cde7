"""The perceptual hashes, worked out by hand on pictures so small that nothing is resized."""

import imagehash
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from imrec_pg.features.hashes import average_hash, difference_hash, perceptual_hash


def grey(rows: list[list[int]]) -> Image.Image:
    """An RGB picture of these grey levels; for them grey = (299 v + 587 v + 114 v) / 1000 = v."""
    return Image.fromarray(np.array(rows, dtype=np.uint8)).convert("RGB")


def test_average_hash_marks_what_is_brighter_than_the_mean_row_by_row() -> None:
    # The mean is 100: rows 0 to 3 lie above it, the others below.
    assert average_hash(grey([[200] * 8] * 4 + [[0] * 8] * 4)).hex() == "ffffffff00000000"


def test_average_hash_has_the_top_left_cell_in_the_highest_bit() -> None:
    rows = [[0] * 8 for _ in range(8)]
    rows[0][0] = 255
    assert average_hash(grey(rows)).hex() == "8000000000000000"
    rows[0][0], rows[7][7] = 0, 255
    assert average_hash(grey(rows)).hex() == "0000000000000001"


def test_average_hash_of_one_colour_is_zero() -> None:
    """No cell is brighter than a mean that all share."""
    assert average_hash(grey([[90] * 8] * 8)) == bytes(8)


def test_difference_hash_marks_what_is_brighter_than_its_left_neighbour() -> None:
    # Row r is dark up to column r and bright from there on: the one rise is bit r.
    rows = [[0] * (r + 1) + [255] * (8 - r) for r in range(8)]
    assert difference_hash(grey(rows)).hex() == "8040201008040201"


@pytest.mark.parametrize(
    ("row", "hashed"),
    [
        ([0, 10, 20, 30, 40, 50, 60, 70, 80], "ff"),
        ([80, 70, 60, 50, 40, 30, 20, 10, 0], "00"),
        ([50] * 9, "00"),  # equal is not brighter
        ([0, 9, 0, 9, 0, 9, 0, 9, 0], "aa"),
    ],
)
def test_difference_hash_of_rows(row: list[int], hashed: str) -> None:
    assert difference_hash(grey([row] * 8)).hex() == hashed * 8


def test_large_gradient_from_left_to_right() -> None:
    # Reduced to 8 or 9 columns it still rises all the way, and its right half is above the mean.
    gradient = grey([[4 * x for x in range(64)]] * 64)
    assert difference_hash(gradient).hex() == "ff" * 8
    assert average_hash(gradient).hex() == "0f" * 8


def test_colours_weigh_as_the_eye_does() -> None:
    # Grey of pure red is 76, of green 150, of blue 29; the mean of the four columns' pairs is 64.
    columns = [(255, 0, 0)] * 2 + [(0, 255, 0)] * 2 + [(0, 0, 255)] * 2 + [(0, 0, 0)] * 2
    image = Image.fromarray(np.array([columns] * 8, dtype=np.uint8))
    assert average_hash(image).hex() == "f0" * 8


def cosine_transform(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the two-dimensional DCT-II by its definition, but for constant factors."""
    n = len(pixels)
    waves = np.cos(np.pi / n * np.outer(np.arange(n), np.arange(n) + 0.5))
    return np.asarray(waves @ pixels @ waves.T)


@pytest.mark.parametrize("seed", range(3))
def test_perceptual_hash_marks_the_low_frequencies_above_their_median(seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (32, 32), dtype=np.uint8)  # nothing is resized
    lowest = cosine_transform(pixels.astype(np.float64))[:8, :8]
    bits = (lowest > np.median(lowest)).flatten()
    assert perceptual_hash(Image.fromarray(pixels)) == np.packbits(bits).tobytes()


def test_perceptual_hash_of_one_wave_has_that_frequency_s_bit() -> None:
    x = np.arange(32) + 0.5
    wave = 128 + 100 * np.cos(np.pi / 32 * 3 * x)[None, :] * np.ones((32, 1))
    marked = np.unpackbits(np.frombuffer(perceptual_hash(Image.fromarray(wave.astype(np.uint8))), np.uint8))
    assert marked[0] == 1  # the mean
    assert marked[3] == 1  # three half waves from left to right, none from top to bottom


@pytest.mark.parametrize("seed", range(3))
def test_bytes_are_imagehash_s_own_hexadecimal(seed: int) -> None:
    image = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (50, 70, 3), dtype=np.uint8))
    assert average_hash(image) == bytes.fromhex(str(imagehash.average_hash(image)))
    assert difference_hash(image) == bytes.fromhex(str(imagehash.dhash(image)))
    assert perceptual_hash(image) == bytes.fromhex(str(imagehash.phash(image)))


def test_grey_copy_gives_the_same_hashes() -> None:
    image = Image.fromarray(np.random.default_rng(3).integers(0, 256, (50, 70, 3), dtype=np.uint8))
    turned_grey = image.convert("L")
    assert average_hash(turned_grey) == average_hash(image)
    assert difference_hash(turned_grey) == difference_hash(image)
    assert perceptual_hash(turned_grey) == perceptual_hash(image)
