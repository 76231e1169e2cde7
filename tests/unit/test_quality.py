"""The figures of the retrieval quality against hand calculations, and the whole section on tiny photos."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

from benchmarks import quality as section
from benchmarks import run
from benchmarks.copies import make_windows, read_photos
from benchmarks.ranking import FUSION, Fusion, Vote, distances, fusion, quality, ranks_of
from benchmarks.report import as_dict, as_markdown, print_table
from benchmarks.results import Grid, GridRow, Report, Section
from imrec_pg import settings
from imrec_pg.errors import UsageError
from imrec_pg.features import model
from imrec_pg.features.model import EmbedderSource
from imrec_pg.images.alterations import ALTERATIONS
from imrec_pg.records import METRICS, VECTOR_METRICS, Feature, Metric, RgbArray


class Reducing(EmbedderSource):
    """No model: 8 x 8 pixels of the crop; the rest of the 512 numbers are 0."""

    batch = 32

    def embed(self, crops: Sequence[RgbArray]) -> NDArray[np.float32]:
        rows = np.zeros((len(crops), 512), dtype=np.float32)
        for row, crop in zip(rows, crops, strict=True):
            row[:192] = np.asarray(Image.fromarray(crop).resize((8, 8), Image.Resampling.BOX)).reshape(-1)
        return rows


@pytest.fixture
def reducing() -> Reducing:
    return Reducing(settings.load())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve pictures of blobs, one of them twice, and one file that is no picture."""
    rng = np.random.default_rng(5)
    for number in range(12):
        small = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
        picture = Image.fromarray(small).resize((96, 72), Image.Resampling.BICUBIC)
        picture.save(tmp_path / f"{number:02d}.png")
    (tmp_path / "again.png").write_bytes((tmp_path / "03.png").read_bytes())
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    return tmp_path


# By hand


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
    assert fusion(60, (3, 2, 1, 0.5)).name == "fusion 3:2:1:0.5, constant 60"


# The section


def test_each_feature_and_metric_is_measured(
    folder: Path, reducing: Reducing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(section, "_MOST_WINDOWS", 25)
    found = section.measure(sorted(folder.iterdir()), reducing)
    assert found.data == (
        f"{12 * len(ALTERATIONS)} altered copies of 12 photos, searched for among 12 photos, and among these "
        "and 24 windows of them, a photo's own left out; 1 that cannot be decoded left out; "
        "1 with the same bytes as another left out"
    )
    overall, by_alteration, *choices = found.grids
    assert [row.name for row in overall.rows] == [
        *(f"{name} {metric}" for name in ("embedding", "histogram") for metric in VECTOR_METRICS),
        "average_hash hamming",
        "difference_hash hamming",
        "fusion",
    ]
    assert "12 photos are few" in overall.note
    assert [row.name for row in by_alteration.rows] == [alteration.name for alteration in ALTERATIONS]
    recall = {row.name: row.shares for row in by_alteration.rows}
    # Colours stay when a picture is mirrored; hashes don't. Compression hurts none of these.
    assert recall["mirror"][1] == 1
    assert max(recall["mirror"][2:4]) < 0.5
    assert list(recall["JPEG 30"]) == [1, 1, 1, 1, 1]
    # Each kind has the same number of copies: the mean of its figures is the one over all.
    together = overall.rows[-1].shares
    assert np.mean([shares[4] for shares in recall.values()]) == pytest.approx(together[0])
    assert tuple(line.ours.number for line in found.lines) == together
    # More to search in makes nothing easier.
    for row in overall.rows[:-1]:
        assert all(among <= alone for alone, among in zip(row.shares[:3], row.shares[3:], strict=True))
    # Two halves of equal size: their mean is the whole.
    for grid, whole in zip(choices, (together[0], together[3]), strict=True):
        halves = {row.name: row.shares for row in grid.rows}[FUSION.name]
        assert (halves[0] + halves[3]) / 2 == pytest.approx(whole)


def test_windows_of_the_original_are_no_rivals(folder: Path, reducing: Reducing) -> None:
    found = read_photos(sorted(folder.glob("[01]*.png")), reducing)
    windows = make_windows(found, 24, reducing)
    assert windows.originals.tolist() == [photo for photo in range(12) for _ in range(2)]
    # Each window as its own query: what is nearest, itself, must not be found.
    trial = section._trial(found, windows, windows)
    for ranks in trial.rankings.values():
        own = np.arange(24) // 2 == np.arange(24)[:, None] // 2
        assert (ranks[:, 12:][own] > 34).all()


def test_it_needs_no_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "EmbedderSource", Reducing)
    monkeypatch.setattr(run, "scratch", None)
    monkeypatch.setattr(section, "_MOST_WINDOWS", 12)
    options = run.Options(sections=(Section.QUALITY,), photos=folder)
    report = run.new_report(options)
    run.run(options, report, lambda _: None)
    assert report.complete
    assert {line.section for line in report.lines} == {Section.QUALITY}
    assert "server" not in report.machine
    json.dumps(as_dict(report), default=str)
    assert "recall@1 by kind of alteration" in as_markdown(report)


def test_ten_photos_are_too_few(folder: Path, reducing: Reducing) -> None:
    with pytest.raises(UsageError, match="more than 10 different photos: here are 10"):
        section.measure(sorted(folder.glob("[01]*.png"))[:10], reducing)


def test_without_scikit_learn_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "find_spec", lambda _: None)
    options = run.Options(sections=(Section.QUALITY,))
    with pytest.raises(UsageError, match=r"pip install 'imrec-pg\[bench\]'"):
        run.run(options, run.new_report(options), lambda _: None)


def test_grids_are_printed_and_written_as_markdown() -> None:
    grid = Grid(Section.QUALITY, "recall", ("kind", "average_hash"), (GridRow("mirror", (0.125,)),), "of few")
    report = Report("2026-01-01T00:00:00+00:00", {}, grids=[grid], complete=True)
    assert (
        "**recall**\n\n| kind | average_hash |\n| --- | ---: |\n| mirror | 12.5 % |\n\nof few"
        in as_markdown(report)
    )
    console = Console(width=80, record=True, file=io.StringIO())
    print_table(report, console)
    text = console.export_text()
    assert all(part in text for part in ("recall", "mirror", "12.5 %", "of few"))
