"""All features of one image but the embedding's last step, from one decode."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from imrec_pg.features.embedding import crop
from imrec_pg.images.content import DEFAULT_LIMITS, FileContent, Limits
from imrec_pg.images.decode import decode
from imrec_pg.records import Features, FeatureTable, FloatRow, ImageInfo, RgbArray

# In pixels. A JPEG of 12 megapixels and more is decoded at half its sides.
_DECODED = 2_900_000
# So many are counted in a histogram at least.
_COUNTED = 700_000
_SIDE = 512


@dataclass(frozen=True, slots=True)
class Extracted:
    """What one decode gives.

    Attributes:
        crop: what the model is to see, uint8 (224, 224, 3), when the embedding was asked for.
        features: the others that were asked for.
    """

    info: ImageInfo
    crop: RgbArray | None
    features: Features


def extract(
    content: FileContent, path: str, tables: frozenset[FeatureTable], limits: Limits = DEFAULT_LIMITS
) -> Extracted:
    """Return the features asked for; path is for messages.

    Of a large picture each feature sees as much as it needs (docs/adr/0011).

    Raises:
        DecodeError: it is no image that can be read.
    """
    image = decode(content, path, limits, enough=_DECODED)
    # From all that was decoded: of a flat area the bits depend on the grain, and means of it have less.
    average_hash, difference_hash = _hashes(image.pixels) if FeatureTable.HASH in tables else (None, None)
    return Extracted(
        info=image.info,
        crop=crop(_reduced(image.pixels)) if FeatureTable.EMBEDDING in tables else None,
        features=Features(
            histogram=_histogram(_thinned(image.pixels)) if FeatureTable.HISTOGRAM in tables else None,
            average_hash=average_hash,
            difference_hash=difference_hash,
        ),
    )


def _reduced(pixels: Image.Image) -> Image.Image:
    """Return means of squares of pixels, the shorter side still twice what the model's crop is cut from."""
    factor = min(pixels.size) // _SIDE
    return pixels.reduce(factor) if factor > 1 else pixels


def _thinned(pixels: Image.Image) -> Image.Image:
    """Return every n-th pixel of every n-th row: unlike their means, these have the colours of all."""
    step = math.isqrt(pixels.width * pixels.height // _COUNTED)
    if step < 2:  # noqa: PLR2004 - every pixel
        return pixels
    size = (max(1, pixels.width // step), max(1, pixels.height // step))
    return pixels.resize(size, Image.Resampling.NEAREST)


def load_libraries() -> None:
    """Import what the histogram and the hashes need; otherwise the first image does."""
    from imrec_pg.features import hashes, histogram  # noqa: F401


def _histogram(pixels: Image.Image) -> FloatRow:
    # OpenCV takes 0.1 s to import, and a search by embedding does without.
    from imrec_pg.features.histogram import RgbHistogram

    return RgbHistogram().extract(np.asarray(pixels))


def _hashes(pixels: Image.Image) -> tuple[bytes, bytes]:
    # imagehash brings SciPy: 0.3 s.
    from imrec_pg.features import hashes

    # Both hashes start by turning the picture grey, which costs most of their time.
    grey = pixels.convert("L")
    return hashes.average_hash(grey), hashes.difference_hash(grey)
