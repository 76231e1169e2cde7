"""All features of one image but the embedding's last step, from one decode."""

from dataclasses import dataclass

import numpy as np

from imrec_pg.features import hashes
from imrec_pg.features.embedding import crop
from imrec_pg.features.histogram import RgbHistogram
from imrec_pg.images.decode import DEFAULT_LIMITS, FileContent, Limits, decode
from imrec_pg.records import Features, FeatureTable, ImageInfo, RgbArray


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

    Raises:
        DecodeError: it is no image that can be read.
    """
    image = decode(content, path, limits)
    # Both hashes start by turning the picture grey, which costs most of their time.
    grey = image.pixels.convert("L") if FeatureTable.HASH in tables else None
    histogram = FeatureTable.HISTOGRAM in tables
    return Extracted(
        info=image.info,
        crop=crop(image.pixels) if FeatureTable.EMBEDDING in tables else None,
        features=Features(
            histogram=RgbHistogram().extract(np.asarray(image.pixels)) if histogram else None,
            average_hash=hashes.average_hash(grey) if grey else None,
            difference_hash=hashes.difference_hash(grey) if grey else None,
        ),
    )
