"""Formats that only their own decoder is asked for: TGA, PCX, PPM, ICO, DDS, PSD, JPEG 2000, QOI."""

import io
import random
import struct

import numpy as np
import pytest
from PIL import Image
from support_images import noise

from imrec_pg.errors import DecodeError
from imrec_pg.images import formats
from imrec_pg.images.content import FileContent, Limits, image_id_of
from imrec_pg.images.decode import DecodedImage, decode

SIZE = (40, 30)
# What Pillow's encoder is called, the extension, and how much a lossy one may change.
KINDS = {
    "TGA": ("tga", {}),
    "PCX": ("pcx", {}),
    "PPM": ("ppm", {}),
    "DDS": ("dds", {}),
    "JPEG2000": ("jp2", {}),
    "QOI": ("qoi", {}),
    "ICO": ("ico", {"sizes": [SIZE]}),
}


def made(kind: str) -> bytes:
    buffer = io.BytesIO()
    noise(*SIZE).save(buffer, kind, **KINDS[kind][1])
    return buffer.getvalue()


def psd() -> bytes:
    """Return one as Photoshop writes it, without layers: the composite picture, plane by plane."""
    planes = np.asarray(noise(*SIZE)).transpose(2, 0, 1).tobytes()
    head = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, SIZE[1], SIZE[0], 8, 3)
    return head + bytes(12) + struct.pack(">H", 0) + planes


FILES = {**{kind: (made(kind), KINDS[kind][0]) for kind in KINDS}, "PSD": (psd(), "psd")}


def decoded(data: bytes, suffix: str, limits: Limits | None = None) -> DecodedImage:
    content = FileContent(data, len(data), 0, image_id_of(data))
    return decode(content, f"a.{suffix}", limits or Limits())


def kind_of(data: bytes, suffix: str, limits: Limits | None = None) -> str:
    with pytest.raises(DecodeError) as caught:
        decoded(data, suffix, limits)
    return caught.value.kind


@pytest.mark.parametrize("kind", FILES)
def test_a_picture_comes_out_as_it_went_in(kind: str) -> None:
    image = decoded(*FILES[kind])
    assert (image.info.format, image.info.width, image.info.height) == (kind, *SIZE)
    assert image.pixels.mode == "RGB"
    assert np.array_equal(np.asarray(image.pixels), np.asarray(noise(*SIZE)))


@pytest.mark.parametrize("kind", FILES)
def test_a_picture_over_the_limit_is_refused(kind: str) -> None:
    assert kind_of(*FILES[kind], Limits(max_pixels=SIZE[0] * SIZE[1] - 1)) == "TooManyPixels"


def verdict(data: bytes, suffix: str, limits: Limits | None = None) -> str:
    """Return the kind of failure, or "decoded"."""
    try:
        decoded(data, suffix, limits)
    except DecodeError as error:
        return error.kind
    return "decoded"


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_cut_file_is_a_failure(kind: str, share: float) -> None:
    data, suffix = FILES[kind]
    cut = data[: int(len(data) * share)]
    assert verdict(cut, suffix) in {"Truncated", "Corrupt", "UnsupportedFormat", "NotAnImage"}


@pytest.mark.parametrize("kind", FILES)
def test_a_damaged_file_is_a_failure_or_a_picture(kind: str) -> None:
    data, suffix = FILES[kind]
    chance = random.Random(kind)  # noqa: S311 - repeatable
    for _ in range(150):
        damaged = bytearray(data)
        for _ in range(chance.randint(1, 8)):
            damaged[chance.randrange(min(len(damaged), 200))] = chance.randrange(256)
        assert verdict(bytes(damaged), suffix, Limits(max_pixels=1_000_000)) in {
            "decoded",
            "Truncated",
            "Corrupt",
            "UnsupportedFormat",
            "NotAnImage",
            "TooManyPixels",
        }


HUGE = {
    "tga": struct.pack("<BBBHHBHHHHBB", 0, 0, 10, 0, 0, 0, 0, 0, 65000, 65000, 24, 0) + bytes(99),
    "pcx": struct.pack("<BBBBHHHH", 10, 5, 1, 8, 0, 0, 64999, 64999) + bytes(53) + b"\3" + bytes(99),
    "ppm": b"P6 65000 65000 255\n" + bytes(99),
    "dds": b"DDS " + struct.pack("<IIII", 124, 0x1007, 65000, 65000) + bytes(999),
    "psd": struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, 30000, 30000, 8, 3) + bytes(999),
    "qoi": b"qoif" + struct.pack(">IIBB", 65000, 65000, 4, 0) + bytes(99),
}


@pytest.mark.parametrize("suffix", HUGE)
def test_a_header_that_claims_too_much_costs_nothing(suffix: str) -> None:
    assert kind_of(HUGE[suffix], suffix) in {"TooManyPixels", "UnsupportedFormat", "Corrupt"}


def test_an_icon_that_holds_a_larger_picture_than_it_says_is_refused() -> None:
    png = io.BytesIO()
    Image.new("L", (1000, 1000)).save(png, "PNG")
    data = struct.pack("<HHH", 0, 1, 1) + struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 8, png.tell(), 22)
    assert kind_of(data + png.getvalue(), "ico", Limits(max_pixels=999_999)) == "TooManyPixels"


@pytest.mark.parametrize("suffix", ["jpg", "png", "heic", "jp2", "dds", "qoi", "psd", "ppm", "ico"])
def test_what_is_no_image_is_not_taken_for_one_without_a_signature(suffix: str) -> None:
    """A TGA has none: 18 bytes of almost anything are its header."""
    assert kind_of(FILES["TGA"][0], suffix) == "NotAnImage"


@pytest.mark.parametrize("maximum", [255, 1023, 65535])
def test_grey_of_any_depth_keeps_its_white(maximum: int) -> None:
    """PGM (netpbm): the header names the value of white."""
    size = ">u2" if maximum > 255 else "u1"
    levels = np.array([[0, maximum // 2, maximum]], dtype=size)
    image = decoded(b"P5 3 1 %d\n" % maximum + levels.tobytes(), "pgm")
    assert np.asarray(image.pixels)[0, :, 0].tolist() == [0, 127, 255]


def test_extensions_and_formats_belong_together() -> None:
    assert formats.READ_EXTENSIONS >= formats.SINGLE_EXTENSIONS
    assert not formats.SINGLE_FORMATS.keys() & set(formats.PILLOW_FORMATS)
