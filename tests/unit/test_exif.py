"""EXIF: read leniently, and never worth losing a picture."""

import struct
from datetime import datetime

import pytest
from PIL import ExifTags, Image
from support_images import decoded, noise, orientation_exif, saved

from imrec_pg.images.exif import parse_date, parse_name


def test_exif_tells_time_and_camera() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = " NIKON CORPORATION \0\0"
    exif[ExifTags.Base.Model] = "NIKON\0D70"
    exif[ExifTags.Base.DateTime] = "2020:01:01 00:00:00"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeDigitized] = "2010:01:01 00:00:00"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2003:05:17 12:34:56"
    for kind in ("JPEG", "PNG", "WEBP"):
        info = decoded(saved(noise(), kind, exif=exif)).info
        assert info.taken_at == datetime(2003, 5, 17, 12, 34, 56)  # noqa: DTZ001 - as in EXIF
        assert info.camera_make == "NIKON CORPORATION"
        assert info.camera_model == "NIKON D70"


def test_text_in_utf_8_is_read_as_such() -> None:
    name = "Contax “G2” 富士".encode()
    # One entry, the maker (271) as text (2), which follows the directory.
    exif = b"Exif\0\0II*\0" + struct.pack("<IHHHIII", 8, 1, 271, 2, len(name) + 1, 26, 0) + name + b"\0"
    assert decoded(saved(noise(), "JPEG", exif=exif)).info.camera_make == "Contax “G2” 富士"


def test_tiff_s_own_directory_is_its_exif() -> None:
    """Written by hand: Pillow writes no EXIF sub-directory into a TIFF."""
    date = b"2003:05:17 12:34:56\0"
    # Tag, type (3 SHORT, 4 LONG), value: 1 x 1 pixel, 8 bits, uncompressed, black is 0; pixel at byte 122.
    entries = [(256, 3, 1), (257, 3, 1), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 122), (277, 3, 1)]
    entries += [(279, 4, 1), (34665, 4, 124)]
    data = b"II*\0" + struct.pack("<IH", 8, len(entries))
    data += b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries) + bytes(4)
    data += b"\x7f\0" + struct.pack("<HHHIII", 1, 36867, 2, len(date), 142, 0) + date
    result = decoded(data)
    assert result.pixels.getpixel((0, 0)) == (127, 127, 127)
    assert result.info.taken_at == datetime(2003, 5, 17, 12, 34, 56)  # noqa: DTZ001 - as in EXIF


def test_time_falls_back_from_original_to_digitized_to_changed() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.DateTime] = "2020:01:01 00:00:00"
    assert decoded(saved(noise(), "JPEG", exif=exif)).info.taken_at == datetime(2020, 1, 1)  # noqa: DTZ001
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "0000:00:00 00:00:00"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeDigitized] = "2010:01:01 00:00:00"
    assert decoded(saved(noise(), "JPEG", exif=exif)).info.taken_at == datetime(2010, 1, 1)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2003:05:17 12:34:56", (2003, 5, 17, 12, 34, 56)),
        (b"2003:05:17 12:34:56\0", (2003, 5, 17, 12, 34, 56)),
        ("2003-05-17T12:34:56.789+02:00", (2003, 5, 17, 12, 34, 56)),
        ("2003/05/17 12:34", (2003, 5, 17, 12, 34, 0)),
        ("2003:05:17", (2003, 5, 17, 0, 0, 0)),
        (" 2003:5:7 1:2:3", (2003, 5, 7, 1, 2, 3)),
        ("2019:00:00 00:00:00", (2019, 1, 1, 0, 0, 0)),
        ("2019:00:00", (2019, 1, 1, 0, 0, 0)),
        ("2019:07:00", (2019, 7, 1, 0, 0, 0)),
        ("2019:00:17", (2019, 1, 1, 0, 0, 0)),
        ("2019:07", (2019, 7, 1, 0, 0, 0)),
        ("2019-07\0", (2019, 7, 1, 0, 0, 0)),
        ("2019:07:     :  :  ", (2019, 7, 1, 0, 0, 0)),
        ("2019:  :     :  :  ", (2019, 1, 1, 0, 0, 0)),
        ("2019", (2019, 1, 1, 0, 0, 0)),
    ],
)
def test_dates_are_read_leniently(text: object, expected: tuple[int, int, int, int, int, int]) -> None:
    assert parse_date(text) == datetime(*expected)  # noqa: DTZ001 - as in EXIF


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0000:00:00 00:00:00",
        "    :  :     :  :  ",
        "2003:13:17 12:34:56",
        "2003:02:30 12:34:56",
        "2003:05:17 25:00:00",
        "1825:12:31 00:00:00",
        "9999:12:31 00:00:00",
        "٢٠٠٣:05:17 12:34:56",
        "yesterday",
        "2019-ish",
        "20190703",
        "2019:13",
        "1825",
        None,
        20030517,
        (2003, 5, 17),
    ],
)
def test_nonsense_dates_are_none(text: object) -> None:
    assert parse_date(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Canon", "Canon"),
        (b"Canon\0\0", "Canon"),
        (" \0 \n", None),
        ("", None),
        (None, None),
        (7, None),
        ("a\nb\x1bc", "a b c"),
        ("x" * 99 + " y" + "z" * 50, "x" * 99),
        (b"caf\xe9", "café"),
        (b"caf\xc3\xa9", "café"),
        # As Pillow hands on the bytes of a tag.
        ("caf\xc3\xa9", "café"),
        ("caf\xe9", "café"),
        ("富士フイルム", "富士フイルム"),
        ("富士フイルム".encode(), "富士フイルム"),
    ],
)
def test_camera_names_are_one_short_line(text: object, expected: str | None) -> None:
    assert parse_name(text) == expected


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"garbage",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        orientation_exif(6)[:12],
        # The entry claims 65,535 orientations that lie behind the end.
        b"II*\0" + struct.pack("<IHHHIII", 8, 1, 274, 3, 65535, 9999, 0),
        # The orientation is text.
        b"II*\0" + struct.pack("<IHHHI4sI", 8, 1, 274, 2, 4, b"abc\0", 0),
    ],
)
def test_broken_exif_loses_neither_picture_nor_silence(exif: bytes) -> None:
    for kind in ("JPEG", "PNG", "WEBP"):
        info = decoded(saved(noise(), kind, exif=b"Exif\0\0" + exif)).info
        assert (info.width, info.height) == (40, 30)
        assert (info.taken_at, info.camera_make, info.camera_model) == (None, None, None)
