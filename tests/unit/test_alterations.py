"""Each alteration changes the picture in the way its name says, and does so again."""

import io
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from imrec_pg.images.alterations import ALTERATIONS, LARGEST, WINDOW, Alteration, reduced

WIDTH, HEIGHT = 200, 150
BY_NAME = {alteration.name: alteration for alteration in ALTERATIONS}

# Red is the column and green the row, so that each pixel tells where it was.
PLACES = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
PLACES[..., 0], PLACES[..., 1] = np.arange(WIDTH), np.arange(HEIGHT)[:, None]


def blobs() -> NDArray[np.uint8]:
    small = np.random.default_rng(3).integers(30, 220, (9, 12, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))


def altered(name: str, pixels: NDArray[np.uint8], seed: int = 1) -> NDArray[np.uint8]:
    """Return the pixels before they are saved as a JPEG."""
    return np.asarray(BY_NAME[name].alter(Image.fromarray(pixels), np.random.default_rng(seed)))


def copy(alteration: Alteration, pixels: NDArray[np.uint8], seed: int = 1) -> bytes:
    return alteration.copy(Image.fromarray(pixels), seed)


def mean(pixels: NDArray[np.generic]) -> float:
    return float(np.mean(pixels.astype(np.float64)))


def test_names_are_distinct() -> None:
    assert len(BY_NAME) == len(ALTERATIONS)


@pytest.mark.parametrize("alteration", ALTERATIONS, ids=lambda alteration: alteration.name)
def test_the_same_photo_gives_the_same_copy_and_not_the_photo(alteration: Alteration) -> None:
    pixels = blobs()
    data = copy(alteration, pixels)
    assert data == copy(alteration, pixels)
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "JPEG"
        assert image.mode == "RGB"
        shown = np.asarray(image)
    assert shown.shape != pixels.shape or mean(np.abs(shown.astype(int) - pixels)) > 1


@pytest.mark.parametrize(("name", "share"), [("crop to 50 %", 0.5), ("crop to 20 %", 0.2)])
def test_a_crop_is_a_window_of_that_share(name: str, share: float) -> None:
    for seed in range(20):
        window = altered(name, PLACES, seed)
        height, width = window.shape[:2]
        assert width == round(WIDTH * math.sqrt(share))
        assert height == round(HEIGHT * math.sqrt(share))
        left, top = int(window[0, 0, 0]), int(window[0, 0, 1])
        assert np.array_equal(window, PLACES[top : top + height, left : left + width])


@pytest.mark.parametrize("name", ["crop to 50 %", "crop to 20 %", "page"])
def test_the_place_depends_on_the_photo(name: str) -> None:
    assert len({altered(name, PLACES, seed).tobytes() for seed in range(5)}) > 1


def test_a_thumbnail_keeps_its_shape() -> None:
    assert altered("thumbnail", blobs()).shape == (48, 64, 3)


def test_stretched_is_wider_and_no_higher() -> None:
    wide = altered("stretched", blobs())
    assert wide.shape == (HEIGHT, 320, 3)
    back = Image.fromarray(wide).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    assert mean(np.abs(np.asarray(back).astype(int) - blobs())) < 3


def test_lower_qualities_take_fewer_bytes_and_leave_the_pixels_alone() -> None:
    sizes = [len(copy(BY_NAME[name], blobs())) for name in ("mirror", "JPEG 30", "JPEG 5")]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[2] < sizes[0] / 2
    for name in ("JPEG 30", "JPEG 5"):
        assert np.array_equal(altered(name, blobs()), blobs())


def test_blur_takes_edges_and_keeps_the_brightness() -> None:
    stripes = np.zeros_like(PLACES)
    stripes[:, ::2] = 255
    soft = altered("blur", stripes)
    assert mean(np.abs(np.diff(soft.astype(int), axis=1))) < 10
    assert mean(soft) == pytest.approx(mean(stripes), abs=2)


def test_noise_is_as_strong_as_said() -> None:
    grey = np.full_like(PLACES, 128)
    noisy = altered("noise", grey).astype(float)
    assert noisy.std() == pytest.approx(40, abs=1)
    assert noisy.mean() == pytest.approx(128, abs=1)


def test_darker_and_brighter() -> None:
    grey = np.full_like(PLACES, 100)
    assert (altered("darker", grey) == 40).all()
    assert (altered("brighter", grey) == 180).all()
    assert (altered("brighter", np.full_like(PLACES, 200)) == 255).all()


def test_grey_has_no_colour_left() -> None:
    grey = altered("grey", blobs())
    assert (np.ptp(grey, axis=2) == 0).all()
    # The luma of ITU-R BT.601, as JPEG has it.
    assert np.abs(grey[..., 0] - blobs() @ np.array([0.299, 0.587, 0.114])).max() <= 1


def test_a_tint_moves_red_up_and_blue_down() -> None:
    warm = altered("tint", np.full_like(PLACES, 100))
    assert warm[0, 0].tolist() == [125, 100, 60]


def test_mirror_and_quarter_turn() -> None:
    assert np.array_equal(altered("mirror", PLACES), PLACES[:, ::-1])
    assert np.array_equal(altered("rotation 90°", PLACES), np.rot90(PLACES))


def test_a_small_rotation_keeps_the_whole_photo_and_has_black_corners() -> None:
    turned = altered("rotation 10°", np.full_like(PLACES, 200))
    cos, sin = math.cos(math.radians(10)), math.sin(math.radians(10))
    assert turned.shape[1] == pytest.approx(WIDTH * cos + HEIGHT * sin, abs=2)
    assert turned.shape[0] == pytest.approx(WIDTH * sin + HEIGHT * cos, abs=2)
    assert [turned[y, x].max() for y in (0, -1) for x in (0, -1)] == [0, 0, 0, 0]
    assert (turned == 200).all(axis=2).sum() == pytest.approx(WIDTH * HEIGHT, rel=0.02)


def test_a_border_surrounds_the_photo() -> None:
    framed = altered("border", np.full_like(PLACES, 200))
    width = round(0.15 * HEIGHT)
    assert framed.shape == (HEIGHT + 2 * width, WIDTH + 2 * width, 3)
    assert (framed[width:-width, width:-width] == 200).all()
    assert framed.astype(int).sum() == 200 * WIDTH * HEIGHT * 3


def test_text_covers_a_part_in_the_middle() -> None:
    written = altered("text", np.full_like(PLACES, 100))
    changed = (written != 100).any(axis=2)
    assert 0.1 < changed.mean() < 0.5
    assert (written == 255).all(axis=2).any()
    assert (written == 0).all(axis=2).any()
    rows, columns = np.nonzero(changed)
    assert rows.min() + rows.max() == pytest.approx(HEIGHT, abs=HEIGHT / 5)
    assert columns.min() + columns.max() == pytest.approx(WIDTH, abs=WIDTH / 10)


def test_a_page_is_white_around_the_photo() -> None:
    page = altered("page", PLACES)
    assert page.shape == (round(1.7 * HEIGHT), round(1.7 * WIDTH), 3)
    rows, columns = np.nonzero((page != 255).any(axis=2))
    top, left = rows.min(), columns.min()
    assert np.array_equal(page[top : top + HEIGHT, left : left + WIDTH], PLACES)
    assert len(rows) == WIDTH * HEIGHT


def test_strong_is_several_at_once() -> None:
    strong = altered("strong", np.full_like(PLACES, 100))
    # The crop's sides, turned by 5 degrees; the tint; black corners, and between them the blur.
    width, height = WIDTH * math.sqrt(0.6), HEIGHT * math.sqrt(0.6)
    cos, sin = math.cos(math.radians(5)), math.sin(math.radians(5))
    assert strong.shape[1] == pytest.approx(width * cos + height * sin, abs=2)
    assert strong.shape[0] == pytest.approx(width * sin + height * cos, abs=2)
    colours = {tuple(colour) for colour in strong.reshape(-1, 3).tolist()}
    assert {(125, 100, 60), (0, 0, 0)} < colours
    middle = altered("strong", PLACES)[strong.shape[0] // 2]
    assert middle[20, 0] > middle[-20, 0]  # mirrored: red falls
    assert BY_NAME["strong"].quality == 20


def test_windows_are_parts_and_some_are_mirrored() -> None:
    mirrored = set()
    for seed in range(20):
        window = np.asarray(WINDOW.alter(Image.fromarray(PLACES), np.random.default_rng(seed)))
        assert 0.09 < window.shape[0] * window.shape[1] / (WIDTH * HEIGHT) < 0.41
        mirrored.add(bool(window[0, 0, 0] > window[0, -1, 0]))
        upright = window[:, ::-1] if window[0, 0, 0] > window[0, -1, 0] else window
        left, top = int(upright[0, 0, 0]), int(upright[0, 0, 1])
        assert np.array_equal(upright, PLACES[top:, left:][: window.shape[0], : window.shape[1]])
    assert mirrored == {True, False}


def test_large_photos_are_reduced_first() -> None:
    assert reduced(Image.new("RGB", (3000, 1500))).size == (LARGEST, LARGEST // 2)
    small = Image.new("RGB", (LARGEST, 10))
    assert reduced(small) is small
