"""Features of large pictures, which come from less than all pixels, against the definition on all of them."""

import io
from functools import cache

import numpy as np
import pytest
from PIL import Image
from support_images import content_of

from imrec_pg.extraction import Extracted, extract
from imrec_pg.features.embedding import crop
from imrec_pg.features.hashes import average_hash, difference_hash, perceptual_hash
from imrec_pg.features.histogram import RgbHistogram
from imrec_pg.records import Feature, RgbArray

WIDTH, HEIGHT = 4000, 3000


@cache
def large_photo(kind: str) -> bytes:
    """Blobs of colour with fine detail and grain."""
    rng = np.random.default_rng(7)
    layers = [
        Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).resize(
            (WIDTH, HEIGHT), Image.Resampling.BICUBIC
        )
        for side in (5, 40, 900)
    ]
    blobs = Image.blend(Image.blend(layers[0], layers[1], 0.3), layers[2], 0.05)
    tile = rng.normal(0, 3, (250, 250, 3)).astype(np.int16)
    noisy = np.asarray(blobs) + np.tile(tile, (HEIGHT // 250, WIDTH // 250, 1))
    buffer = io.BytesIO()
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(buffer, kind, quality=90, compress_level=1)
    return buffer.getvalue()


def extracted(data: bytes) -> Extracted:
    return extract(content_of(data), "photo", frozenset(Feature))


def whole(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def differing(a: bytes | None, b: bytes) -> int:
    assert a is not None
    return (int.from_bytes(a) ^ int.from_bytes(b)).bit_count()


def difference(a: RgbArray | None, b: RgbArray) -> float:
    assert a is not None
    return float(np.abs(a.astype(int) - b).mean())


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_large_pictures_keep_their_features(kind: str) -> None:
    data = large_photo(kind)
    result, image = extracted(data), whole(data)
    assert (result.info.width, result.info.height) == image.size == (WIDTH, HEIGHT)
    assert result.features.histogram is not None
    assert np.abs(result.features.histogram - RgbHistogram().extract(np.asarray(image))).sum() <= 0.02
    assert differing(result.features.average_hash, average_hash(image)) <= 2
    assert differing(result.features.difference_hash, difference_hash(image)) <= 2
    assert differing(result.features.perceptual_hash, perceptual_hash(image)) <= 2
    assert difference(result.crop, crop(image)) <= 1  # of 255 levels


def test_a_small_picture_keeps_them_bit_for_bit() -> None:
    buffer = io.BytesIO()
    whole(large_photo("JPEG")).resize((640, 480)).save(buffer, "JPEG")
    result, image = extracted(buffer.getvalue()), whole(buffer.getvalue())
    assert result.features.histogram is not None
    np.testing.assert_array_equal(result.features.histogram, RgbHistogram().extract(np.asarray(image)))
    assert result.features.average_hash == average_hash(image)
    assert result.features.difference_hash == difference_hash(image)
    assert result.features.perceptual_hash == perceptual_hash(image)
    assert difference(result.crop, crop(image)) == 0


@pytest.mark.parametrize("size", [(20, 60_000), (60_000, 20), (3000, 512), (1, 1)])
def test_narrow_pictures_have_features(size: tuple[int, int]) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", size, (250, 100, 30)).save(buffer, "JPEG")
    result = extracted(buffer.getvalue())
    assert result.features.histogram is not None
    assert np.flatnonzero(result.features.histogram).tolist() == [7 * 64 + 3 * 8]
