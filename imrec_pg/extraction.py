"""All features of one image but the embedding's last step, from one decode."""

import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import assert_never

import numpy as np
from PIL import ExifTags, Image

from imrec_pg.features.embedding import crop
from imrec_pg.images import decoders, exif
from imrec_pg.images.content import DEFAULT_LIMITS, FileContent, Limits, image_id_of
from imrec_pg.images.decode import decode
from imrec_pg.records import Feature, Features, FloatRow, ImageInfo, RgbArray, Wanted

# In pixels. A JPEG of 12 megapixels and more is decoded at half its sides.
_DECODED = 2_900_000
# So many are counted in a histogram at least.
_COUNTED = 700_000
_SIDE = 512


def wanted(features: Iterable[Feature] = tuple(Feature), *, refresh: bool = False) -> Wanted:
    """Return features as an ingest is asked for them: with the present versions of their extraction."""
    return Wanted({feature: version_of(feature) for feature in features}, exif.VERSION, refresh)


def version_of(feature: Feature) -> int:
    """Return the version of a feature's extraction, from decoding on.

    Raise it when the same file would get another value than before, by more than rounding: status then counts
    what is outdated, and ingest --refresh computes it again.
    """
    match feature:
        case Feature.EMBEDDING:
            return 1
        case Feature.HISTOGRAM:
            return 1
        case Feature.AVERAGE_HASH:
            return 1
        case Feature.DIFFERENCE_HASH:
            return 1
        case Feature.PERCEPTUAL_HASH:
            return 1
    assert_never(feature)


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
    content: FileContent, path: str, features: frozenset[Feature], limits: Limits = DEFAULT_LIMITS
) -> Extracted:
    """Return the features asked for; path is for messages.

    Of a large picture each feature sees as much as it needs (docs/adr/0011).

    Raises:
        DecodeError: it is no image that can be read.
    """
    image = decode(content, path, limits, enough=_DECODED)
    picture = _Picture(image.pixels)
    found = {
        feature.value: picture.extract(feature)
        for feature in Feature
        if feature in features and feature is not Feature.EMBEDDING
    }
    return Extracted(
        info=image.info,
        crop=crop(_reduced(image.pixels)) if Feature.EMBEDDING in features else None,
        features=Features(**found),  # type: ignore[arg-type]  # a vector or a hash, as the field is
    )


class _Picture:
    """Decoded pixels, and what several features need of them, made once."""

    def __init__(self, pixels: Image.Image) -> None:
        self._pixels = pixels

    @cached_property
    def _grey(self) -> Image.Image:
        # All hashes start by turning the picture grey, which costs most of their time. From all that was
        # decoded: of a flat area the bits depend on the grain, and means of it have less.
        return self._pixels.convert("L")

    def extract(self, feature: Feature) -> FloatRow | bytes | None:
        """Return one feature; of the embedding nothing, which the model makes of the crop."""
        # OpenCV takes 0.1 s to import, imagehash with SciPy 0.3, and a search by embedding does without.
        match feature:
            case Feature.EMBEDDING:
                return None
            case Feature.HISTOGRAM:
                from imrec_pg.features.histogram import RgbHistogram

                return RgbHistogram().extract(np.asarray(_thinned(self._pixels)))
            case Feature.AVERAGE_HASH:
                from imrec_pg.features import hashes

                return hashes.average_hash(self._grey)
            case Feature.DIFFERENCE_HASH:
                from imrec_pg.features import hashes

                return hashes.difference_hash(self._grey)
            case Feature.PERCEPTUAL_HASH:
                from imrec_pg.features import hashes

                return hashes.perceptual_hash(self._grey)
        assert_never(feature)


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
    """Load whatever the decoders and features load on first use; afterwards, none reads a file."""
    decoders.load()
    buffer = io.BytesIO()
    # Of a camera, with a time: EXIF is read too.
    tags = Image.Exif()
    tags[ExifTags.Base.Make] = "a camera"
    tags.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2026:01:01 00:00:00"
    Image.new("RGB", (_SIDE, _SIDE)).save(buffer, "JPEG", exif=tags)
    data = buffer.getvalue()
    extract(FileContent(data, len(data), 0, image_id_of(data)), "", frozenset(Feature))
