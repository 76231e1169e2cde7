"""HEIC and AVIF: upright, the first picture, and broken ones by name."""

import io
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, features
from support_images import decoded, failure

from imrec_pg.errors import DecodeError
from imrec_pg.images.content import Limits

pillow_heif = pytest.importorskip("pillow_heif")
KINDS = [
    pytest.param("HEIF", id="HEIC"),
    pytest.param("AVIF", marks=pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")),
]
RED, GREEN, BLUE, YELLOW = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)


@pytest.fixture(autouse=True, scope="module")
def _writer() -> None:
    pillow_heif.register_heif_opener()


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    # Colours as they are: no subsampling, little loss.
    subsampling = {"chroma": 444} if kind == "HEIF" else {"subsampling": "4:4:4"}
    image.save(buffer, kind, quality=95, **subsampling, **options)
    return buffer.getvalue()


def quarters() -> Image.Image:
    """64 x 32: red and green on top, blue and yellow below."""
    image = Image.new("RGB", (64, 32))
    for place, colour in {(0, 0): RED, (32, 0): GREEN, (0, 16): BLUE, (32, 16): YELLOW}.items():
        image.paste(colour, (*place, place[0] + 32, place[1] + 16))
    return image


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = orientation
    tags[ExifTags.Base.Make] = "Apple"
    tags[ExifTags.Base.Model] = "iPhone 12"
    tags[ExifTags.Base.DateTime] = "2021:02:03 04:05:06"
    return tags.tobytes()


def corners(image: Image.Image) -> list[list[list[int]]]:
    array = np.asarray(image)
    return [[array[y, x].tolist() for x in (8, -8)] for y in (8, -8)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (1, [[RED, GREEN], [BLUE, YELLOW]]),
        (2, [[GREEN, RED], [YELLOW, BLUE]]),
        (3, [[YELLOW, BLUE], [GREEN, RED]]),
        (4, [[BLUE, YELLOW], [RED, GREEN]]),
        (5, [[RED, BLUE], [GREEN, YELLOW]]),
        (6, [[BLUE, RED], [YELLOW, GREEN]]),
        (7, [[YELLOW, GREEN], [BLUE, RED]]),
        (8, [[GREEN, YELLOW], [RED, BLUE]]),
    ],
)
def test_pictures_are_turned_upright_once(kind: str, orientation: int, expected: list[Any]) -> None:
    """As phones write it: the container turns the picture, and EXIF says the same once more."""
    data = saved(quarters(), kind, exif=exif(orientation))
    assert (b"irot" in data or b"imir" in data) is (orientation != 1)
    result = decoded(data)
    shown = (64, 32) if orientation < 5 else (32, 64)
    assert (result.info.width, result.info.height) == result.pixels.size == shown
    np.testing.assert_allclose(corners(result.pixels), expected, atol=12)


@pytest.mark.parametrize("kind", KINDS)
def test_exif_is_read(kind: str) -> None:
    info = decoded(saved(quarters(), kind, exif=exif(6))).info
    assert info.format == kind
    assert info.taken_at == datetime(2021, 2, 3, 4, 5, 6)  # noqa: DTZ001 - as in EXIF
    assert (info.camera_make, info.camera_model) == ("Apple", "iPhone 12")


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_container_turns_a_picture(kind: str) -> None:
    """Both standards say that EXIF's orientation is for information."""
    data = saved(quarters(), kind, exif=exif(6))
    at = data.index(b"irot") + 4
    result = decoded(data[:at] + b"\0" + data[at + 1 :])
    np.testing.assert_allclose(corners(result.pixels), [[RED, GREEN], [BLUE, YELLOW]], atol=12)


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_of_several_pictures_counts(kind: str) -> None:
    pictures = [Image.new("RGB", (64, 64), colour) for colour in (RED, BLUE)]
    result = decoded(saved(pictures[0], kind, save_all=True, append_images=pictures[1:]))
    np.testing.assert_allclose(np.asarray(result.pixels)[32, 32], RED, atol=6)


@pytest.mark.parametrize("kind", KINDS)
def test_alpha_is_dropped_and_grey_is_grey(kind: str) -> None:
    clear = Image.new("RGBA", (64, 64), (*GREEN, 0))
    np.testing.assert_allclose(np.asarray(decoded(saved(clear, kind)).pixels)[32, 32], GREEN, atol=6)
    grey = decoded(saved(Image.new("L", (64, 64), 100), kind)).pixels
    assert grey.mode == "RGB"
    np.testing.assert_allclose(np.asarray(grey)[32, 32], (100, 100, 100), atol=3)


def test_ten_bits_become_eight() -> None:
    """0x8000 of 0xffff is half of the range."""
    data = np.full((64, 64, 3), 0x8000, dtype=np.uint16).tobytes()
    buffer = io.BytesIO()
    pillow_heif.encode("RGB;16", (64, 64), data, buffer, quality=95)
    assert decoded(buffer.getvalue()).pixels.getpixel((32, 32)) == pytest.approx((128, 128, 128), abs=2)


@pytest.mark.parametrize("kind", KINDS)
def test_an_embedded_thumbnail_does_not_stand_in(kind: str) -> None:
    thumbnails = {"thumbnails": [64]} if kind == "HEIF" else {}
    data = saved(quarters().resize((640, 320)), kind, **thumbnails)
    assert decoded(data, enough=10).pixels.size == (640, 320)


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_are_bounded(kind: str) -> None:
    data = saved(quarters(), kind)
    assert failure(data, limits=Limits(max_pixels=2047)).kind == "TooManyPixels"


@pytest.mark.parametrize("kind", KINDS)
def test_cut_and_broken_files_are_failures_in_silence(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    data = saved(quarters(), kind)
    for length in range(20, len(data) - 1, 37):
        assert failure(data[:length]).kind == "Truncated"
    rng = np.random.default_rng(3)
    kinds = set()
    for _ in range(100):
        broken = bytearray(data)
        for place in rng.integers(12, len(data), 3):
            broken[place] = rng.integers(0, 256)
        try:
            decoded(bytes(broken))
        except DecodeError as error:
            kinds.add(error.kind)
    assert kinds <= {"Corrupt", "Truncated", "UnsupportedFormat", "TooManyPixels", "OutOfMemory"}
    assert capfd.readouterr() == ("", "")
