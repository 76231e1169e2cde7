"""Decoded pixels: the right way up, and one way from every kind of colour to RGB."""

import struct
import zlib
from collections.abc import Sequence
from uuid import UUID

import numpy as np
import pytest
from dng import LONG, SHORT, Entry, tiff
from PIL import Image
from support_images import decoded, noise, orientation_exif, png_chunk, saved

from imrec_pg.images.content import image_id_of

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6  # PNG's colour types
A, B, C, D, E, F = ((v, 255 - v, v // 2) for v in (0, 50, 100, 150, 200, 250))


def pixels(data: bytes) -> list[list[tuple[int, ...]]]:
    array = np.asarray(decoded(data).pixels)
    assert array.dtype == np.uint8
    assert array.shape[2] == 3
    return [[tuple(int(v) for v in pixel) for pixel in row] for row in array]


def png(
    width: int, rows: Sequence[bytes], *, depth: int = 8, colour: int = RGB, extra: Sequence[bytes] = ()
) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, 0))
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    return (
        b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (0, [[A, B, C], [D, E, F]]),  # no such value, but cameras write it
        (1, [[A, B, C], [D, E, F]]),
        (2, [[C, B, A], [F, E, D]]),
        (3, [[F, E, D], [C, B, A]]),
        (4, [[D, E, F], [A, B, C]]),
        (5, [[A, D], [B, E], [C, F]]),
        (6, [[D, A], [E, B], [F, C]]),
        (7, [[F, C], [E, B], [D, A]]),
        (8, [[C, F], [B, E], [A, D]]),
        (9, [[A, B, C], [D, E, F]]),
    ],
)
def test_exif_orientation_is_applied(orientation: int, expected: list[list[tuple[int, ...]]]) -> None:
    rows = [bytes(A + B + C), bytes(D + E + F)]
    data = png(3, rows, extra=[png_chunk(b"eXIf", orientation_exif(orientation))])
    assert pixels(data) == expected
    info = decoded(data).info
    assert (info.width, info.height) == (len(expected[0]), len(expected))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "TIFF"])
def test_other_formats_turn_as_well(kind: str) -> None:
    """Orientation 6: what is stored on the left is shown on top."""
    image = Image.new("RGB", (64, 32), (255, 0, 0))
    image.paste((0, 0, 255), (32, 0, 64, 32))
    result = decoded(saved(image, kind, exif=b"Exif\0\0" + orientation_exif(6)))
    assert (result.info.width, result.info.height) == (32, 64) == result.pixels.size
    shown = np.asarray(result.pixels)
    np.testing.assert_allclose(shown[[8, 56], 16], [(255, 0, 0), (0, 0, 255)], atol=3)


def test_16_bit_picture_turns_as_well() -> None:
    rows = [struct.pack(">HHH", 0, 0x8000, 0xFF00)]
    data = png(3, rows, depth=16, colour=GREY, extra=[png_chunk(b"eXIf", orientation_exif(6))])
    assert pixels(data) == [[(0, 0, 0)], [(128, 128, 128)], [(255, 255, 255)]]


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize(
    ("enough", "scale"), [(400 * 300 + 1, 1), (400 * 300, 1), (200 * 150, 2), (100 * 75, 4), (50, 8)]
)
def test_a_jpeg_is_decoded_as_small_as_allowed(orientation: int, enough: int, scale: int) -> None:
    data = saved(noise(400, 300), "JPEG", exif=b"Exif\0\0" + orientation_exif(orientation))
    result = decoded(data, enough=enough)
    shown = (400, 300) if orientation == 1 else (300, 400)
    assert (result.info.width, result.info.height) == shown
    assert result.pixels.size == tuple(-(-side // scale) for side in shown)


def test_sides_that_shrink_to_a_square_still_change_places() -> None:
    data = saved(noise(64, 63), "JPEG", exif=b"Exif\0\0" + orientation_exif(6))
    result = decoded(data, enough=900)
    assert result.pixels.size == (32, 32)
    assert (result.info.width, result.info.height) == (63, 64)


def test_other_formats_are_decoded_whole() -> None:
    data = saved(noise(400, 300), "PNG")
    result = decoded(data, enough=1)
    assert result.pixels.size == (400, 300)


def test_rgb_is_kept() -> None:
    assert pixels(png(2, [bytes(A + B)])) == [[A, B]]


def test_alpha_is_dropped() -> None:
    assert pixels(png(2, [bytes((*A, 0, *B, 128))], colour=RGBA)) == [[A, B]]
    assert pixels(png(2, [bytes((7, 0, 9, 255))], colour=GREY_ALPHA)) == [[(7, 7, 7), (9, 9, 9)]]


def test_palette_gives_its_colours_even_where_transparent() -> None:
    extra = [png_chunk(b"PLTE", bytes(A + B + C)), png_chunk(b"tRNS", bytes((255, 0)))]
    assert pixels(png(3, [bytes((2, 1, 0))], colour=PALETTE, extra=extra)) == [[C, B, A]]


def test_grey_and_single_bits() -> None:
    assert pixels(png(2, [bytes((3, 200))], colour=GREY)) == [[(3, 3, 3), (200, 200, 200)]]
    assert pixels(png(2, [b"\x40"], depth=1, colour=GREY)) == [[(0, 0, 0), (255, 255, 255)]]


def test_16_bit_keeps_its_high_byte_in_grey_as_in_colour() -> None:
    levels = (0x0000, 0x00FF, 0x0100, 0x8000, 0xFEFF, 0xFFFF)
    expected = [[(v, v, v) for v in (0, 0, 1, 128, 254, 255)]]
    in_grey = struct.pack(">6H", *levels)
    in_colour = struct.pack(">18H", *(v for v in levels for _ in range(3)))
    assert pixels(png(6, [in_grey], depth=16, colour=GREY)) == expected
    assert pixels(png(6, [in_colour], depth=16, colour=RGB)) == expected


def test_16_bit_tiff_of_either_byte_order() -> None:
    for mode, order in (("I;16", "<"), ("I;16B", ">")):
        image = Image.frombytes(mode, (3, 1), struct.pack(f"{order}3H", 0, 0x1234, 0xFFFF))
        assert pixels(saved(image, "TIFF")) == [[(0, 0, 0), (0x12, 0x12, 0x12), (255, 255, 255)]]


def test_floats_are_stretched_from_least_to_greatest() -> None:
    values = np.array([[-0.5, 0.0, 0.25, 0.5, np.nan, np.inf, -np.inf]], dtype=np.float32)
    # (v + 0.5) * 255: 0, 127.5 (to even), 191.25, 255.
    expected = [0, 128, 191, 255, 0, 255, 0]
    assert pixels(saved(Image.fromarray(values), "TIFF")) == [[(v, v, v) for v in expected]]


def test_32_bit_integers_are_stretched_from_least_to_greatest() -> None:
    values = np.array([[-(2**31), 0, 2**31 - 1]], dtype=np.int32)
    assert pixels(saved(Image.fromarray(values), "TIFF")) == [[(0, 0, 0), (128, 128, 128), (255, 255, 255)]]


@pytest.mark.parametrize("value", [0.0, 0.7, np.nan])
def test_floats_without_a_range_are_black(value: float) -> None:
    values = np.full((1, 2), value, dtype=np.float32)
    assert pixels(saved(Image.fromarray(values), "TIFF")) == [[(0, 0, 0), (0, 0, 0)]]


def test_cmyk_is_taken_as_uncalibrated() -> None:
    inks = [(0, 0, 0, 0), (255, 0, 0, 0), (0, 255, 0, 0), (0, 0, 255, 0), (0, 0, 0, 255), (0, 0, 0, 127)]
    image = Image.frombytes("CMYK", (6, 1), bytes(v for ink in inks for v in ink))
    expected = [(255, 255, 255), (0, 255, 255), (255, 0, 255), (255, 255, 0), (0, 0, 0), (128, 128, 128)]
    assert pixels(saved(image, "TIFF")) == [expected]


def cmyk_jpeg(*inks: int) -> bytes:
    """16 x 16 of one colour, as Adobe writes it: inverted, and marked by a segment of its own."""
    return saved(Image.new("CMYK", (16, 16), inks), "JPEG", quality=100)


def test_adobe_s_inverted_cmyk_jpeg() -> None:
    result = pixels(cmyk_jpeg(255, 0, 0, 0))[8][8]
    np.testing.assert_allclose(result, (0, 255, 255), atol=1)
    np.testing.assert_allclose(pixels(cmyk_jpeg(0, 0, 255, 127))[8][8], (128, 128, 0), atol=1)


def test_adobe_s_ycck_jpeg() -> None:
    """The same numbers, 76, 85, 255 and no black, but its segment says that the first three are YCbCr.

    JFIF's formula makes (254, 0, 0) of them: that much cyan, so (1, 255, 255).
    """
    data = cmyk_jpeg(255 - 76, 255 - 85, 0, 0)
    transform = data.index(b"Adobe") + 11
    assert data[transform] == 0
    ycck = data[:transform] + b"\2" + data[transform + 1 :]
    np.testing.assert_allclose(pixels(ycck)[8][8], (1, 255, 255), atol=1)


def rgb_tiff(values: bytes, *, bits: int, photometric: int = 2, samples: int = 3, alpha: int = 0) -> bytes:
    """A TIFF of one row, uncompressed."""
    entries: list[Entry] = [
        (256, LONG, [len(values) * 8 // bits // samples]),
        (257, LONG, [1]),
        (258, SHORT, [bits] * samples),
        (262, SHORT, [photometric]),
        (277, SHORT, [samples]),
        (278, LONG, [1]),
    ]
    if alpha:
        entries.append((338, SHORT, [alpha]))
    return tiff(entries, values)


def test_lab() -> None:
    """L* of 0, 100 and 53.6 without colour, and the red of sRGB: L* 54.3, a* 80.8, b* 69.9 (by D50)."""
    values = bytes((0, 0, 0, 255, 0, 0, 137, 0, 0, 138, 81, 70))
    expected = [(0, 0, 0), (255, 255, 255), (128, 128, 128), (255, 0, 0)]
    np.testing.assert_allclose(pixels(rgb_tiff(values, bits=8, photometric=8))[0], expected, atol=5)


def test_16_bit_colour_of_a_tiff_keeps_its_high_byte() -> None:
    values = struct.pack("<6H", 0x1234, 0x80FF, 0xFFFF, 0, 0xFF, 0x100)
    assert pixels(rgb_tiff(values, bits=16)) == [[(0x12, 0x80, 0xFF), (0, 0, 1)]]


def test_16_bit_alpha_is_dropped() -> None:
    in_colour = struct.pack(">8H", 0x1234, 0x80FF, 0xFFFF, 0, 0, 0xFF, 0x100, 0x8000)
    assert pixels(png(2, [in_colour], depth=16, colour=RGBA)) == [[(0x12, 0x80, 0xFF), (0, 0, 1)]]
    in_grey = struct.pack(">4H", 0x1234, 0, 0xFFFF, 0x8000)
    expected = [[(0x12, 0x12, 0x12), (255, 255, 255)]]
    assert pixels(png(2, [in_grey], depth=16, colour=GREY_ALPHA)) == expected
    of_tiff = rgb_tiff(struct.pack("<4H", 0x1234, 0x80FF, 0xFFFF, 0), bits=16, samples=4, alpha=2)
    assert pixels(of_tiff) == [[(0x12, 0x80, 0xFF)]]


def test_colours_that_were_multiplied_by_alpha_are_divided_again() -> None:
    """255 / 128 times each, rounded down."""
    data = rgb_tiff(bytes((50, 25, 100, 128)), bits=8, samples=4, alpha=1)
    assert pixels(data) == [[(99, 49, 199)]]


def test_floats_are_stretched_as_a_whole_though_band_by_band(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imrec_pg.images.pixels._BAND", 2)
    values = np.array([[np.nan, np.inf], [0, 1], [np.nan, np.nan], [4, 5]], dtype=np.float32)
    # v * 51.
    expected = [(0, 255), (0, 51), (0, 0), (204, 255)]
    result = pixels(saved(Image.fromarray(values), "TIFF"))
    assert result == [[(v, v, v) for v in row] for row in expected]


def test_first_picture_of_an_mpo() -> None:
    pictures = [Image.new("RGB", (16, 16), colour) for colour in ((255, 0, 0), (0, 0, 255))]
    data = saved(pictures[0], "MPO", save_all=True, append_images=pictures[1:])
    assert decoded(data).info.format == "MPO"
    np.testing.assert_allclose(pixels(data)[8][8], (255, 0, 0), atol=2)


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (2, 1), colour) for colour in ((255, 0, 0), (0, 0, 255))]
    for kind in ("GIF", "PNG", "WEBP", "TIFF"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert pixels(data) == [[(255, 0, 0), (255, 0, 0)]]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_every_format_is_named_and_ready_to_use(kind: str) -> None:
    data = saved(noise(), kind)
    result = decoded(data)
    assert result.info.format == kind
    assert result.info.size == len(data)
    assert result.info.image_id == image_id_of(data)
    assert (result.pixels.mode, result.pixels.size) == ("RGB", (40, 30))


def test_image_id_is_the_first_half_of_the_sha_256() -> None:
    """The digest of "abc" is in FIPS 180-2: ba7816bf 8f01cfea 414140de 5dae2223 b00361a3 …"""
    assert image_id_of(b"abc") == UUID("ba7816bf-8f01-cfea-4141-40de5dae2223")
