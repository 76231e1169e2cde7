"""Telling formats apart by name and by content."""

import pytest
from support_images import noise, saved

from imrec_pg.images.formats import (
    HEAD_SIZE,
    OTHER_EXTENSIONS,
    READ_EXTENSIONS,
    cut_short,
    extension,
    webp_size,
)


def test_extensions_read_and_not_read_are_apart_and_lower_case() -> None:
    assert not READ_EXTENSIONS & OTHER_EXTENSIONS
    assert all(name == name.lower() for name in READ_EXTENSIONS | OTHER_EXTENSIONS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [(b"/a/b.JPG", b"jpg"), (b"b.tar.gz", b"gz"), (b"jpg", b""), (b"/a.d/b", b""), (b"b.", b""), (b"", b"")],
)
def test_extension(name: bytes, expected: bytes) -> None:
    assert extension(name) == expected


def test_size_of_a_webp_is_in_its_header() -> None:
    plain = noise(40, 30)
    for options in ({}, {"lossless": True}, {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"}):
        assert webp_size(saved(plain, "WEBP", **options)[:HEAD_SIZE]) == (40, 30)
    kinds = {saved(plain, "WEBP", **options)[12:16] for options in ({}, {"lossless": True})}
    assert kinds == {b"VP8 ", b"VP8L"}
    assert webp_size(b"RIFF") == (0, 0)


def test_whether_a_file_is_cut_short_is_seen_from_its_end() -> None:
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP"):
        data = saved(noise(), kind)
        assert not cut_short(data)
        assert cut_short(data[:-20])
    assert not cut_short(b"unknown")


def test_boxes_of_a_heic_are_added_up() -> None:
    heic = b"\0\0\0\x14ftypheic\0\0\0\0mif1" + b"\0\0\0\x10meta" + bytes(8)
    assert not cut_short(heic)
    assert cut_short(heic[:-1])
    long_box = b"\0\0\0\1mdat" + (24).to_bytes(8) + bytes(8)
    assert not cut_short(heic + long_box)
    assert cut_short(heic + long_box[:-1])
    assert not cut_short(heic + b"\0\0\0\0mdat" + bytes(8))  # to the end
