"""Telling formats apart by name and by content."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imrec_pg.images.formats import OTHER_EXTENSIONS, READ_EXTENSIONS, cut_short, extension


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(width: int = 40, height: int = 30) -> Image.Image:
    levels = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(levels)


def test_extensions_read_and_not_read_are_apart_and_lower_case() -> None:
    assert not READ_EXTENSIONS & OTHER_EXTENSIONS
    assert all(name == name.lower() for name in READ_EXTENSIONS | OTHER_EXTENSIONS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [(b"/a/b.JPG", b"jpg"), (b"b.tar.gz", b"gz"), (b"jpg", b""), (b"/a.d/b", b""), (b"b.", b""), (b"", b"")],
)
def test_extension(name: bytes, expected: bytes) -> None:
    assert extension(name) == expected


def test_whether_a_file_is_cut_short_is_seen_from_its_end() -> None:
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP"):
        data = saved(noise(), kind)
        assert not cut_short(data)
        assert cut_short(data[:-20])
    assert not cut_short(b"unknown")
