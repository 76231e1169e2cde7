"""Altered copies of a photo, as people make them; deterministic for a photo, an alteration and a seed.

The kinds come from data sets on copy detection: crops, JPEG compression and "strong" copies (several
alterations at once) from Copydays (Douze et al. 2009, doi:10.1145/1646396.1646421); colours, rotation,
mirroring, blur, noise, text and surrounding pages from DISC21 (Douze et al. 2021, arXiv:2106.09672). Sizes
are relative to the photo, so that large and small photos change alike.
"""

import io
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

Alter = Callable[[Image.Image, np.random.Generator], Image.Image]
"""Returns the altered picture, RGB, from an RGB picture; all randomness comes from the generator."""

LARGEST: Final = 1024
"""Copies are made from the photo at no more than this many pixels on its longer side."""

_TEXT = "THIS IS\nA COPY OF\nA PHOTO"


@dataclass(frozen=True, slots=True)
class Alteration:
    """One way to alter a photo.

    Attributes:
        name: short, for tables.
        quality: of the JPEG copy.
    """

    name: str
    alter: Alter
    quality: int = 90

    def copy(self, photo: Image.Image, seed: int) -> bytes:
        """Return the copy as a JPEG.

        Args:
            photo: RGB, at most LARGEST pixels on its longer side.
            seed: not negative; the same for the same photo.
        """
        # By name, not by position: a new alteration in the list leaves the copies of the others as they are.
        rng = np.random.default_rng([seed, zlib.crc32(self.name.encode())])
        buffer = io.BytesIO()
        self.alter(photo, rng).save(buffer, "JPEG", quality=self.quality)
        return buffer.getvalue()


def reduced(photo: Image.Image) -> Image.Image:
    """Return the photo with at most LARGEST pixels on its longer side."""
    if max(photo.size) <= LARGEST:
        return photo
    return ImageOps.contain(photo, (LARGEST, LARGEST), Image.Resampling.LANCZOS)


def _unaltered(photo: Image.Image, _: np.random.Generator) -> Image.Image:
    return photo


def _cropped(photo: Image.Image, rng: np.random.Generator, *, share: float) -> Image.Image:
    width, height = (max(1, round(side * math.sqrt(share))) for side in photo.size)
    left = int(rng.integers(photo.width - width + 1))
    top = int(rng.integers(photo.height - height + 1))
    return photo.crop((left, top, left + width, top + height))


def _window(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    window = _cropped(photo, rng, share=float(rng.uniform(0.1, 0.4)))
    return ImageOps.mirror(window) if rng.integers(2) else window


def _thumbnail(photo: Image.Image, _: np.random.Generator, *, longer: int) -> Image.Image:
    return ImageOps.contain(photo, (longer, longer), Image.Resampling.BICUBIC)


def _stretched(photo: Image.Image, _: np.random.Generator, *, times: float) -> Image.Image:
    return photo.resize((round(photo.width * times), photo.height), Image.Resampling.BICUBIC)


def _blurred(photo: Image.Image, _: np.random.Generator, *, radius: float) -> Image.Image:
    return photo.filter(ImageFilter.GaussianBlur(radius * min(photo.size)))


def _noisy(photo: Image.Image, rng: np.random.Generator, *, deviation: float) -> Image.Image:
    noise = deviation * rng.standard_normal((photo.height, photo.width, 3), dtype=np.float32)
    return Image.fromarray(np.clip(np.asarray(photo) + noise, 0, 255).astype(np.uint8))


def _brightened(photo: Image.Image, _: np.random.Generator, *, times: float) -> Image.Image:
    return ImageEnhance.Brightness(photo).enhance(times)


def _grey(photo: Image.Image, _: np.random.Generator) -> Image.Image:
    return photo.convert("L").convert("RGB")


def _tinted(photo: Image.Image, _: np.random.Generator) -> Image.Image:
    # Like the "warm" filters of phones: more red, less blue.
    return photo.convert("RGB", (1.25, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0.6, 0))


def _mirrored(photo: Image.Image, _: np.random.Generator) -> Image.Image:
    return ImageOps.mirror(photo)


def _rotated(photo: Image.Image, _: np.random.Generator, *, degrees: int) -> Image.Image:
    """Turn it counter-clockwise; the whole photo stays visible, the corners are black."""
    if degrees == 90:  # noqa: PLR2004 - without interpolation
        return photo.transpose(Image.Transpose.ROTATE_90)
    return photo.rotate(degrees, Image.Resampling.BICUBIC, expand=True)


def _framed(photo: Image.Image, _: np.random.Generator, *, width: float) -> Image.Image:
    return ImageOps.expand(photo, round(width * min(photo.size)), "black")


def _captioned(photo: Image.Image, _: np.random.Generator) -> Image.Image:
    captioned = photo.copy()
    size = max(8, round(min(photo.size) / 5))
    draw = ImageDraw.Draw(captioned)
    draw.multiline_text(
        (photo.width / 2, photo.height / 2),
        _TEXT,
        fill="white",
        font=ImageFont.load_default(size),
        anchor="mm",
        align="center",
        stroke_width=max(1, size // 12),
        stroke_fill="black",
    )
    return captioned


def _on_a_page(photo: Image.Image, rng: np.random.Generator, *, times: float) -> Image.Image:
    page = Image.new("RGB", (round(photo.width * times), round(photo.height * times)), "white")
    left = int(rng.integers(page.width - photo.width + 1))
    top = int(rng.integers(page.height - photo.height + 1))
    page.paste(photo, (left, top))
    return page


def _in_turn(photo: Image.Image, rng: np.random.Generator, *, steps: tuple[Alter, ...]) -> Image.Image:
    for step in steps:
        photo = step(photo, rng)
    return photo


_STRONG = (
    partial(_cropped, share=0.6),
    _mirrored,
    _tinted,
    partial(_rotated, degrees=5),
    partial(_blurred, radius=0.005),
)

# docs/benchmark.md describes each.
ALTERATIONS: Final = (
    Alteration("crop to 50 %", partial(_cropped, share=0.5)),
    Alteration("crop to 20 %", partial(_cropped, share=0.2)),
    Alteration("thumbnail", partial(_thumbnail, longer=64)),
    Alteration("stretched", partial(_stretched, times=1.6)),
    Alteration("JPEG 30", _unaltered, quality=30),
    Alteration("JPEG 5", _unaltered, quality=5),
    Alteration("blur", partial(_blurred, radius=0.02)),
    Alteration("noise", partial(_noisy, deviation=40.0)),
    Alteration("darker", partial(_brightened, times=0.4)),
    Alteration("brighter", partial(_brightened, times=1.8)),
    Alteration("grey", _grey),
    Alteration("tint", _tinted),
    Alteration("mirror", _mirrored),
    Alteration("rotation 10°", partial(_rotated, degrees=10)),
    Alteration("rotation 90°", partial(_rotated, degrees=90)),
    Alteration("border", partial(_framed, width=0.15)),
    Alteration("text", _captioned),
    Alteration("page", partial(_on_a_page, times=1.7)),
    Alteration("strong", partial(_in_turn, steps=_STRONG), quality=20),
)

WINDOW: Final = Alteration("window", _window)
"""A picture to search in rather than a copy to find: 10 to 40 % of a photo, half of them mirrored."""
