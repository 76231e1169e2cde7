"""Images in memory, for tests of decoding."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imrec_pg.errors import DecodeError
from imrec_pg.images.content import FileContent, Limits, image_id_of
from imrec_pg.images.decode import DecodedImage, decode


def noise(width: int = 40, height: int = 30) -> Image.Image:
    levels = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(levels)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def content_of(data: bytes) -> FileContent:
    return FileContent(data, len(data), 0, image_id_of(data))


def decoded(
    data: bytes, name: str = "photo", limits: Limits | None = None, enough: int | None = None
) -> DecodedImage:
    return decode(content_of(data), name, limits or Limits(), enough)


def failure(data: bytes, name: str = "photo", limits: Limits | None = None) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        decoded(data, name, limits)
    assert caught.value.path == name
    return caught.value


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def orientation_exif(value: int) -> bytes:
    """A TIFF directory of the one entry 274 (Orientation), type SHORT."""
    return b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 274, 3, 1, value, 0, 0)
