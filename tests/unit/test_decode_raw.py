"""Camera raws: the preview where it is large, else the raw data developed."""

import io
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from dng import LONG, SHORT, dng, patches, tiff
from PIL import ExifTags, Image
from support_images import content_of

from imrec_pg.errors import DecodeError
from imrec_pg.images.content import Limits
from imrec_pg.images.decode import DecodedImage, decode
from imrec_pg.records import RgbArray

pytest.importorskip("rawpy")

# Linear light; a hundredth of the pixels is white at least, else LibRaw brightens the picture.
SCENE = patches([[(1, 0, 0), (0, 1, 0), (0, 0, 1)], [(0.5, 0.5, 0.5), (1, 1, 1), (0.1, 0.1, 0.1)]], side=64)
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
# ITU-R BT.709: 1.099 v^0.45 - 0.099, of 0.5 0.7055 and of 0.1 0.2910.
GREY, DARK = (180, 180, 180), (74, 74, 74)
PREVIEW_LEFT, PREVIEW_RIGHT = (10, 200, 30), (200, 10, 12)


def decoded(
    data: bytes, name: str = "a.dng", limits: Limits | None = None, enough: int | None = None
) -> DecodedImage:
    return decode(content_of(data), name, limits or Limits(), enough)


def failure(data: bytes, name: str = "a.dng", limits: Limits | None = None) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        decoded(data, name, limits)
    return caught.value


def jpeg(width: int, height: int, **options: Any) -> bytes:
    image = Image.new("RGB", (width, height), PREVIEW_LEFT)
    image.paste(PREVIEW_RIGHT, (width // 2, 0, width, height))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95, **options)
    return buffer.getvalue()


def centres(image: Image.Image, columns: int, rows: int) -> RgbArray:
    height, width = image.height // rows, image.width // columns
    return np.asarray(image)[height // 2 :: height, width // 2 :: width]


def test_raw_data_are_developed_with_the_camera_s_white_balance() -> None:
    result = decoded(dng(SCENE))
    assert (result.info.width, result.info.height) == result.pixels.size == (192, 128)
    np.testing.assert_allclose(
        centres(result.pixels, 3, 2), [[RED, GREEN, BLUE], [GREY, WHITE, DARK]], atol=2
    )


def test_half_the_sides_are_developed_where_that_is_enough() -> None:
    data = dng(SCENE)
    half = decoded(data, enough=96 * 64)
    assert (half.info.width, half.info.height) == (192, 128)
    assert half.pixels.size == (96, 64)
    np.testing.assert_allclose(centres(half.pixels, 3, 2), [[RED, GREEN, BLUE], [GREY, WHITE, DARK]], atol=2)
    assert decoded(data, enough=96 * 64 + 1).pixels.size == (192, 128)


def test_developed_data_are_turned_upright() -> None:
    result = decoded(dng(SCENE, orientation=6))
    assert (result.info.width, result.info.height) == result.pixels.size == (128, 192)
    np.testing.assert_allclose(
        centres(result.pixels, 2, 3), [[GREY, RED], [WHITE, GREEN], [DARK, BLUE]], atol=2
    )


@pytest.mark.parametrize(
    ("orientation", "place", "size"),
    [(1, "left", (800, 600)), (3, "right", (800, 600)), (6, "top", (600, 800)), (8, "bottom", (600, 800))],
)
def test_a_large_preview_is_taken_and_turned_upright(
    orientation: int, place: str, size: tuple[int, int]
) -> None:
    """What lies on the left of the sensor is shown at that place."""
    result = decoded(dng(SCENE, orientation=orientation, preview=jpeg(800, 600)))
    assert result.pixels.size == size
    assert (result.info.width, result.info.height) == ((192, 128) if orientation < 5 else (128, 192))
    shown = np.asarray(result.pixels)[{"top": 9, "bottom": -9}.get(place, 300)][
        {"left": 9, "right": -9}.get(place, 300)
    ]
    np.testing.assert_allclose(shown, PREVIEW_LEFT, atol=3)


def test_a_preview_s_own_orientation_counts() -> None:
    """Some cameras turn the preview before they store it, and say so first thing in its EXIF."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 1
    with_jfif = jpeg(600, 800, exif=exif)
    assert with_jfif[2:4] == b"\xff\xe0"
    preview = with_jfif[:2] + with_jfif[20:]
    assert decoded(dng(SCENE, orientation=6, preview=preview)).pixels.size == (600, 800)


def test_a_large_preview_is_shrunk_like_any_jpeg() -> None:
    assert decoded(dng(SCENE, preview=jpeg(1600, 1200)), enough=400 * 300).pixels.size == (400, 300)


@pytest.mark.parametrize("preview", [jpeg(800, 511), jpeg(800, 600)[:3000]], ids=["small", "broken"])
def test_a_small_or_broken_preview_is_not_taken(preview: bytes) -> None:
    data = dng(SCENE, preview=jpeg(800, 511)).replace(
        jpeg(800, 511), preview.ljust(len(jpeg(800, 511)), b"\0")
    )
    np.testing.assert_allclose(centres(decoded(data).pixels, 3, 2)[0], [RED, GREEN, BLUE], atol=2)


@pytest.mark.parametrize(
    ("name", "kind"), [("a.dng", "DNG"), ("a.NEF", "NEF"), ("a.tif", "DNG"), ("noname", "DNG")]
)
def test_the_catalogue_knows_format_date_and_camera(name: str, kind: str) -> None:
    info = decoded(dng(SCENE, preview=jpeg(64, 48)), name).info
    assert info.format == kind
    assert info.taken_at == datetime(2021, 2, 3, 4, 5, 6)  # noqa: DTZ001 - as in EXIF
    assert (info.camera_make, info.camera_model) == ("Imaginary", "Ideal 1")


def test_pixels_are_bounded_by_the_header() -> None:
    assert failure(dng(SCENE, size=(60_000, 60_000))).kind == "TooManyPixels"
    assert failure(dng(SCENE), limits=Limits(max_pixels=24_575)).kind == "TooManyPixels"


def test_pixels_of_a_preview_are_bounded_as_well() -> None:
    data = dng(SCENE, preview=jpeg(800, 600))
    assert failure(data, limits=Limits(max_pixels=479_999)).kind == "TooManyPixels"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (dng(SCENE)[:100], "Truncated"),
        (dng(SCENE)[:20_000], "Truncated"),
        (dng(SCENE, size=(10_000, 10_000)), "Truncated"),
        (
            tiff([(256, LONG, [1]), (257, LONG, [1]), (258, SHORT, [8]), (262, SHORT, [1])], b"x"),
            "UnsupportedFormat",
        ),
        (b"hello, I was renamed to .dng", "NotAnImage"),
        (b"", "NotAnImage"),
    ],
    ids=["cut header", "cut data", "claims more", "TIFF", "text", "nothing"],
)
def test_what_cannot_be_developed_says_why(data: bytes, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    error = failure(data)
    assert error.kind == kind
    assert not error.reason.startswith("b'")
    assert capfd.readouterr() == ("", "")


def test_broken_raws_are_pictures_or_failures() -> None:
    data = dng(SCENE, preview=jpeg(800, 600))
    rng = np.random.default_rng(5)
    kinds = set()
    for _ in range(100):
        broken = bytearray(data)
        for place in rng.integers(8, 700, 3):  # the directories
            broken[place] = rng.integers(0, 256)
        try:
            decoded(bytes(broken))
        except DecodeError as error:
            kinds.add(error.kind)
    assert kinds <= {
        "Corrupt",
        "Truncated",
        "UnsupportedFormat",
        "TooManyPixels",
        "OutOfMemory",
        "NotAnImage",
    }
