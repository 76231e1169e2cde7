"""Rankings, their fusion and their quality against hand calculations; and the fusion against that of SQL."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support import AddImage

from benchmarks.evidence import FUSED, SLOPE, evidence_ranks, shipped
from benchmarks.feature_rows import METRICS
from benchmarks.kinds import asked, kinds_of, precision, read_kinds
from benchmarks.ranking import FUSION, Fusion, Vote, distances, fusion, quality, ranks_of
from imrec_pg.db.connection import Connection
from imrec_pg.errors import UsageError
from imrec_pg.records import Feature, Metric


def test_distances() -> None:
    photos = np.array([[4, 3], [3, 4], [-3, -4]], dtype=np.float32)
    query = np.array([[3, 4]], dtype=np.float32)
    assert distances(query, photos, Metric.COSINE)[0] == pytest.approx([1 - 24 / 25, 0, 2], abs=1e-6)
    assert distances(query, photos, Metric.EUCLIDEAN)[0] == pytest.approx([2**0.5, 0, 10])
    assert distances(query, photos, Metric.MANHATTAN)[0] == pytest.approx([2, 0, 14])
    hashes = np.array([[0] * 8, [0b101] + [0] * 7, [255] * 8], dtype=np.uint8)
    assert distances(hashes[1:2], hashes, Metric.HAMMING).tolist() == [[2, 0, 62]]


def test_equal_distances_rank_by_position() -> None:
    assert ranks_of(np.array([[5.0, 1.0, 5.0, 0.0]])).tolist() == [[3, 2, 4, 1]]


def two(constant: float, *weights: float) -> Fusion:
    pairs = ((Feature.EMBEDDING, Metric.COSINE), (Feature.AVERAGE_HASH, Metric.HAMMING))
    return Fusion(constant, tuple(Vote(*pair, weight) for pair, weight in zip(pairs, weights, strict=True)))


def rankings(first: list[int], second: list[int]) -> dict[tuple[Feature, Metric], NDArray[np.int32]]:
    return {
        (Feature.EMBEDDING, Metric.COSINE): np.array([first], dtype=np.int32),
        (Feature.AVERAGE_HASH, Metric.HAMMING): np.array([second], dtype=np.int32),
    }


def test_fusion_by_hand() -> None:
    votes = rankings([1, 2, 3], [3, 1, 2])
    # 1/61 + 1/63 = 0.03227, 1/62 + 1/61 = 0.03252, 1/63 + 1/62 = 0.03200
    assert two(60, 1, 1).ranks(votes).tolist() == [[2, 1, 3]]
    # 3/61 + 1/63 = 0.06505, 3/62 + 1/61 = 0.06478, 3/63 + 1/62 = 0.06375
    assert two(60, 3, 1).ranks(votes).tolist() == [[1, 2, 3]]


def test_a_small_constant_prefers_one_first_place_to_two_good_ones() -> None:
    votes = rankings([1, 2, 3, 4], [4, 2, 3, 1])
    # 1/1 + 1/4 = 1.25, 1/2 + 1/2 = 1, 1/3 + 1/3, 1/4 + 1/1 = 1.25
    assert two(0, 1, 1).ranks(votes).tolist() == [[1, 3, 4, 2]]
    # 1/61 + 1/64 = 0.03202, 1/62 + 1/62 = 0.03226, 1/63 + 1/63 = 0.03175, as the first
    assert two(60, 1, 1).ranks(votes).tolist() == [[2, 1, 4, 3]]


def test_equal_sums_rank_by_position() -> None:
    assert two(60, 1, 1).ranks(rankings([1, 2], [2, 1])).tolist() == [[1, 2]]


def test_recall_and_precision_by_hand() -> None:
    ranks = np.stack([np.roll(np.arange(1, 13, dtype=np.int32), shift) for shift in (0, 1, 9, 11)])
    # Photo 0 has the ranks 1, 12, 4 and 2; photo 5 has 6, 5, 9 and 7.
    first = quality(ranks, np.array([0, 0, 0, 0]))
    assert (first.recall_at_1, first.recall_at_10) == (0.25, 0.75)
    assert first.mean_average_precision == pytest.approx((1 + 1 / 12 + 1 / 4 + 1 / 2) / 4)
    second = quality(ranks, np.array([5, 5, 5, 5]))
    assert (second.recall_at_1, second.recall_at_10) == (0, 1)
    assert second.mean_average_precision == pytest.approx((1 / 6 + 1 / 5 + 1 / 9 + 1 / 7) / 4)


def test_each_feature_votes_once_by_a_metric_of_its_own() -> None:
    assert [vote.feature for vote in FUSION.votes] == list(Feature)
    assert all(vote.metric in METRICS[vote.feature] for vote in FUSION.votes)
    assert fusion(60, (3, 2, 1, 0.5, 0)).name == "fusion 3:2:1:0.5:0, constant 60"


def test_the_default_fusion_of_sql_is_the_one_whose_quality_is_measured(conn: Connection) -> None:
    stored = conn.execute("SELECT feature, fused_metric, fused_weight FROM imrec.feature").fetchall()
    assert sorted(stored) == sorted((vote.feature, vote.metric, vote.weight) for vote in FUSION.votes)


def test_the_constant_of_sql_is_the_one_whose_quality_is_measured(
    conn: Connection, add_image: AddImage
) -> None:
    """A lone image ranks first by each feature, so that its sum is that of the weights by 1 + the constant."""
    stored, query = add_image("a.jpg"), add_image("b.jpg")
    (fused,) = conn.execute(
        "SELECT fused FROM imrec.fuse(ARRAY[%s::uuid], fusion => 'reciprocal_rank')", (query.image_id,)
    ).fetchone() or (0,)
    assert stored.image_id != query.image_id
    assert fused == pytest.approx(sum(vote.weight for vote in FUSION.votes) / (FUSION.constant + 1))


def test_evidence_by_hand() -> None:
    curve = shipped()[Feature.DIFFERENCE_HASH, Metric.HAMMING]
    near, far = curve.distances[0], curve.distances[-1]
    alike = {
        pair: np.array([[0.2, 0.3]]) if pair[0] is Feature.EMBEDDING else np.array([[far, far]])
        for pair in FUSED
    }
    assert evidence_ranks(alike).tolist() == [[1, 2]]
    copied = alike | {(Feature.DIFFERENCE_HASH, Metric.HAMMING): np.array([[far, near]])}
    assert evidence_ranks(copied).tolist() == [[2, 1]]


def test_the_evidence_of_sql_is_the_one_whose_quality_is_measured(conn: Connection) -> None:
    stored = conn.execute(
        "SELECT feature, metric, distances, evidence FROM imrec_internal.shipped_evidence"
    ).fetchall()
    assert {(f, m): (d, e) for f, m, d, e in stored} == {
        pair: (curve.distances.tolist(), curve.evidence.tolist()) for pair, curve in shipped().items()
    }
    counted = conn.execute(
        "SELECT feature, fused_metric, evidence_slope FROM imrec.feature WHERE evidence_weight = 1 ORDER BY fused_place"
    ).fetchall()
    assert [(feature, metric) for feature, metric, _ in counted] == list(FUSED)
    assert counted[0][2] == SLOPE


def test_precision_leaves_the_photo_itself_out() -> None:
    kinds = ["dog", "dog", "dog", "dog", "dog", "dog", "cat"]
    # The first is the second nearest to itself; the cat is the nearest.
    ranks = np.array([[2, 3, 4, 5, 6, 7, 1]], dtype=np.int32)
    assert precision(ranks, kinds, [0]) == pytest.approx(4 / 5)
    assert asked([*kinds, None]) == [0, 1, 2, 3, 4, 5]


def test_kinds_come_from_a_file_or_from_folders(tmp_path: Path) -> None:
    file = tmp_path / "kinds.csv"
    file.write_text("pug,dog\nboxer,dog\n")
    paths = [Path("a/pug.jpg"), Path("b/tabby.jpg")]
    assert kinds_of(paths, read_kinds(file)) == ["dog", None]
    assert kinds_of(paths, read_kinds(None)) == ["a", "b"]
    assert kinds_of([Path("a/1.jpg"), Path("a/2.jpg")], {}) == [None, None]
    file.write_text("pug\n")
    with pytest.raises(UsageError, match="pug,dog"):
        read_kinds(file)
