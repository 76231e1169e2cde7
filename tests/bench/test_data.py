"""The generated rows and photos that everything is measured on."""

from pathlib import Path

import imagehash
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmarks import photos
from benchmarks.dataset import generate
from benchmarks.feature_rows import FeatureRows
from benchmarks.generated import BLOCK, HELD_OUT, Mixture, field, perceptual_hashes
from benchmarks.rivals import seed_compare
from imrec_pg.errors import UsageError
from imrec_pg.records import Feature

Block = tuple[FeatureRows, FeatureRows]
HASHES = [feature for feature in Feature if feature.is_hash]


def test_generated_rows_repeat(block: Block) -> None:
    for again, first in zip(Mixture().block(0), block, strict=True):
        assert all(np.array_equal(again[feature], first[feature]) for feature in Feature)
    other = Mixture(1).block(0)[0]
    assert not np.array_equal(other[Feature.EMBEDDING], block[0][Feature.EMBEDDING])


def test_a_smaller_set_is_the_beginning_of_a_larger_one(tmp_path: Path) -> None:
    small, large = generate(tmp_path / "small", 100), generate(tmp_path / "large", BLOCK + 10)
    for feature in Feature:
        assert np.array_equal(small.column(feature), large.column(feature)[:100])
    assert np.array_equal(small.image_ids, large.image_ids[:100])
    assert len(large.queries) == 2 * HELD_OUT


def test_generated_features_are_features(block: Block) -> None:
    for rows in block:
        embedding, histogram = rows.vectors(Feature.EMBEDDING), rows.vectors(Feature.HISTOGRAM)
        assert rows[Feature.EMBEDDING].dtype == rows[Feature.HISTOGRAM].dtype == np.float32
        assert np.isfinite(embedding).all()
        assert (embedding >= 0).all()
        assert (np.linalg.norm(embedding, axis=1) > 0).all()
        assert histogram.sum(axis=1) == pytest.approx(1, abs=1e-5)
        assert (histogram >= 0).all()
        for feature in HASHES:
            assert rows[feature].dtype == np.uint8
            assert rows[feature].shape == (len(rows), 8)


def test_generated_features_spread_as_real_ones_do(block: Block) -> None:
    """Between the extremes that would flatter an index: all far apart, or all alike."""
    rows = block[0]
    unit = rows.vectors(Feature.EMBEDDING)
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    nearest = np.sort(1 - unit[:500] @ unit.T, axis=1)[:, 1]
    # Of 160 real photos: 0.5 between any two; near duplicates are below 0.1.
    assert 0.4 < np.median(1 - unit[:500] @ unit[500:1000].T) < 0.6
    assert 0.02 < (nearest < 0.1).mean() < 0.4
    assert (nearest > 0.15).mean() > 0.2
    assert 20 < np.median((rows.vectors(Feature.HISTOGRAM) > 0).sum(axis=1)) < 300


@pytest.mark.parametrize("feature", HASHES)
def test_generated_hashes_spread_as_real_ones_do(block: Block, feature: Feature) -> None:
    hashes = block[0].hashes(feature)
    bits = seed_compare.unpacked(hashes)
    assert len(np.unique(hashes, axis=0)) > 0.8 * BLOCK
    assert 0.3 < bits.mean() < 0.7
    # Bursts: some have a near duplicate, most do not.
    nearest = np.array([np.partition(seed_compare.hamming(bits, bits[i]), 1)[1] for i in range(300)])
    assert 0.02 < (nearest <= 7).mean() < 0.4


def test_bits_of_generated_average_hashes_depend_on_their_neighbours(block: Block) -> None:
    bits = seed_compare.unpacked(block[0].hashes(Feature.AVERAGE_HASH))
    correlation = np.abs(np.corrcoef(bits[:, :8].T.astype(float)))
    # Random bits give 0.02.
    assert np.median(correlation[np.triu_indices(8, 1)]) > 0.1


def rendered(cells: NDArray[np.float32]) -> Image.Image:
    scaled = (cells - cells.min()) / np.ptp(cells)
    return Image.fromarray((255 * scaled).astype(np.uint8))


def test_perceptual_hashes_are_those_of_imagehash() -> None:
    waves = np.random.default_rng(2).standard_normal((50, 8, 8), dtype=np.float32)
    waves[:, 0, 0] = 0
    fields = field(waves, 32, 32)
    made = seed_compare.unpacked(perceptual_hashes(fields + np.float32(10)))
    expected = [imagehash.phash(rendered(cells)).hash.reshape(-1) for cells in fields]
    # Pixels are whole numbers, so a frequency next to the median may fall on its other side.
    assert np.count_nonzero(made != np.array(expected), axis=1).max() <= 2


def test_perceptual_hashes_start_with_a_bit_that_is_always_set(block: Block) -> None:
    """The lowest frequency is the mean brightness, above all others in any photo."""
    assert seed_compare.unpacked(block[0].hashes(Feature.PERCEPTUAL_HASH))[:, 0].all()


def test_queries_are_not_stored(block: Block) -> None:
    stored, queries = (rows.vectors(Feature.EMBEDDING) for rows in block)
    assert not (queries[:, None, :8] == stored[None, :, :8]).all(axis=2).any()


def test_rows_can_be_put_together_and_taken_apart(block: Block) -> None:
    rows = block[1]
    both = rows.rows(0, 20) + rows.rows(20, 50)
    for feature in Feature:
        assert np.array_equal(both[feature], rows[feature])
    third = rows.features(2)
    assert np.array_equal(third.embedding, rows[Feature.EMBEDDING][2])  # type: ignore[arg-type]
    assert third.perceptual_hash == rows[Feature.PERCEPTUAL_HASH][2].tobytes()


def test_photos_repeat_and_differ(tmp_path: Path) -> None:
    sources = photos.sources(None)
    first = photos.make(tmp_path / "a", sources, 3, (64, 48))
    again = photos.make(tmp_path / "b", sources, 2, (64, 48), first=1)
    assert [path.read_bytes() for path in first[1:]] == [path.read_bytes() for path in again]
    assert len({path.read_bytes() for path in first}) == 3
    with Image.open(first[0]) as image:
        assert (image.format, image.size, image.mode) == ("JPEG", (64, 48), "RGB")


def test_photos_come_from_the_folder_named(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    Image.new("RGB", (30, 20), "red").save(tmp_path / "deep" / "a.PNG")
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    assert photos.sources(tmp_path) == [tmp_path / "deep" / "a.PNG"]
    with pytest.raises(UsageError, match="no JPEG or PNG"):
        photos.sources(tmp_path / "deep" / "nothing")
