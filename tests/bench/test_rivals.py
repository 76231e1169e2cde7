"""What imrec-pg is compared with answers as it should: by hand, and one rival against the other."""

from pathlib import Path

import numpy as np
import psycopg
import pytest
from PIL import Image

from benchmarks import photos
from benchmarks.feature_rows import FeatureRows
from benchmarks.fidelity import similarity
from benchmarks.measure import recall
from benchmarks.rivals import faiss_indexes, seed_compare
from benchmarks.rivals.plain_pgvector import PlainPgvector
from benchmarks.rivals.seed_loop import SeedLoop
from imrec_pg.features.embedding import Embedder, crop
from imrec_pg.features.weights import Weights
from imrec_pg.records import Feature

Block = tuple[FeatureRows, FeatureRows]


def test_seed_compare_by_hand() -> None:
    features = np.array([[3, 4, 0], [0, 1, 0], [-3, -4, 0]], dtype=np.float32)
    query = np.array([3, 4, 0], dtype=np.float32)
    assert seed_compare.cosine(features, query) == pytest.approx([0, 1 - 4 / 5, 2])
    assert seed_compare.euclidean(features, query) == pytest.approx([0, 18**0.5, 10])
    assert seed_compare.manhattan(features, query) == pytest.approx([0, 6, 14])


def test_seed_hamming_by_hand() -> None:
    hashes = np.array([[0] * 8, [0b1010_0000] + [0] * 7, [255] * 8], dtype=np.uint8)
    bits = seed_compare.unpacked(hashes)
    assert bits.shape == (3, 64)
    assert seed_compare.hamming(bits, bits[1]).tolist() == [2, 0, 62]


def test_seed_takes_the_k_smallest_in_order() -> None:
    distances = np.array([5, 1, 4, 1, 3])
    assert seed_compare.nearest(distances, 3) == ([1, 3, 4], [1, 1, 3])
    assert seed_compare.nearest(distances, 9)[1] == [1, 1, 3, 4, 5]


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "manhattan"])
def test_faiss_and_plain_pgvector_give_what_the_seed_gives(block: Block, empty_dsn: str, metric: str) -> None:
    stored, queries = block
    features, query = stored.vectors(Feature.EMBEDDING)[:200], queries.vectors(Feature.EMBEDDING)[0]
    expected = seed_compare.nearest(seed_compare.DISTANCES[metric](features, query), 10)
    with psycopg.connect(empty_dsn, autocommit=True) as conn:
        conn.execute("CREATE EXTENSION vector")
    plain = PlainPgvector(empty_dsn, "items")
    plain.load([features[:150], features[150:]])
    for found, distances in (
        faiss_indexes.Flat(features, metric).nearest(query, 10),
        plain.nearest(query, metric, 10),
    ):
        assert list(found) == expected[0]
        assert list(distances) == pytest.approx(expected[1], rel=1e-4, abs=1e-5)
    plain.build_index()
    assert len(plain.nearest(query, metric, 10)[0]) == 10
    plain.close()


def test_faiss_hamming_gives_what_the_seed_gives(block: Block) -> None:
    stored, queries = block
    hashes, query = stored.hashes(Feature.AVERAGE_HASH)[:200], queries.hashes(Feature.AVERAGE_HASH)[0]
    bits = seed_compare.unpacked(hashes)
    expected = seed_compare.nearest(seed_compare.hamming(bits, seed_compare.unpacked(query[None])[0]), 10)
    assert faiss_indexes.BinaryFlat(hashes).nearest(query, 10)[1] == expected[1]


def test_faiss_hnsw_finds_nearly_all(block: Block) -> None:
    features = block[0].vectors(Feature.EMBEDDING)[:1000]
    hnsw = faiss_indexes.Hnsw(features)
    found = [hnsw.nearest(query, 10)[0] for query in features[:20]]
    truth = [seed_compare.nearest(seed_compare.cosine(features, query), 10)[0] for query in features[:20]]
    assert recall(found, truth) > 0.95


def test_seed_loop_is_the_definition(tmp_path: Path, real_weights: Weights) -> None:
    photos.make(tmp_path / "photos", photos.sources(None), 2, (300, 400))
    loop = SeedLoop(real_weights.tensors)
    assert loop.run(tmp_path / "photos", tmp_path / "features.pickle") == 2
    path = tmp_path / "photos" / "000001.jpg"
    features = loop.extract(path)
    with Image.open(path) as image:
        (reference,) = Embedder(real_weights, device="cpu").embed([crop(image.convert("RGB"))])
        grey = np.asarray(image.convert("L").resize((8, 8), Image.Resampling.LANCZOS))
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3).astype(int) // 32
    assert similarity(features["embedding"], reference) > 0.9999
    counts = np.bincount(pixels @ [64, 8, 1], minlength=512)
    assert features["histogram"] == pytest.approx(counts / counts.sum(), abs=1e-6)
    assert features["average_hash"].tolist() == (grey > grey.mean()).reshape(-1).tolist()
    assert features["difference_hash"].shape == (64,)
