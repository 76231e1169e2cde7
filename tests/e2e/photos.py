"""Small photos made here: scenes that differ as photos do, copies of them, and files that are no images."""

import io
import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageDraw, ImageEnhance

# What turns a picture upright, by EXIF orientation (the standard's table 6), is undone by these.
_TURNED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
GARBAGE = b"\xff\xd8\xff\xe0 no more than the beginning of a JPEG"


def scene(seed: int, width: int = 192, height: int = 144) -> Image.Image:
    """Return a picture of shapes on a gradient, with some noise; another seed is another picture."""
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 256, (2, 2, 3), dtype=np.uint8)
    image = Image.fromarray(corners).resize((width, height), Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(4, 9))):
        left, top = rng.integers(-20, width - 20), rng.integers(-20, height - 20)
        box = (left, top, left + rng.integers(20, width), top + rng.integers(15, height))
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape([int(value) for value in box], fill=colour)
    noise = rng.normal(0, 2, (height, width, 3))
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


def save(path: Path, image: Image.Image, **options: Any) -> Path:
    """Write the picture in the format that the name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def save_scenes(folder: Path, seeds: Iterable[int], suffix: str = ".jpg") -> list[Path]:
    """Write one small scene for each seed, named by it."""
    return [save(folder / f"{seed:04}{suffix}", scene(seed, 96, 72)) for seed in seeds]


def altered(image: Image.Image) -> dict[str, Image.Image]:
    """Return copies as people make them."""
    width, height = image.size
    return {
        "cropped": image.crop((width // 12, height // 12, width - width // 16, height - height // 16)),
        "half": image.resize((width // 2, height // 2)),
        "brighter": ImageEnhance.Brightness(image).enhance(1.25),
    }


def save_oriented(folder: Path, image: Image.Image) -> list[Path]:
    """Write the picture in the eight EXIF orientations, all of which show the same upright picture."""
    paths = []
    for orientation, turn in _TURNED.items():
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        turned = image if turn is None else image.transpose(turn)
        paths.append(save(folder / f"orientation_{orientation}.jpg", turned, exif=exif, quality=95))
    return paths


def save_many(folder: Path, number: int, width: int, height: int) -> None:
    """Write that many JPEGs of the same pixels and other bytes: each has its number in a comment."""
    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    scene(0, width, height).save(buffer, "JPEG")
    start, rest = buffer.getvalue()[:2], buffer.getvalue()[2:]
    for index in range(number):
        comment = f"{index:06}".encode()
        segment = b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment
        (folder / f"{index:06}.jpg").write_bytes(start + segment + rest)


def overwrite_unnoticed(path: Path, content: bytes) -> None:
    """Write other bytes of the same length, and set the modification time back."""
    status = path.stat()
    assert len(content) == status.st_size
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
