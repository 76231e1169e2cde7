"""The section quality on tiny photos."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmarks import quality as section
from benchmarks import run
from benchmarks.copies import make_windows, read_photos
from benchmarks.report import as_dict, as_markdown
from benchmarks.results import Section
from imrec_pg import settings
from imrec_pg.errors import UsageError
from imrec_pg.features import model
from imrec_pg.features.model import EmbedderSource
from imrec_pg.images.alterations import ALTERATIONS
from imrec_pg.records import RgbArray

VECTOR_METRICS = ("cosine", "euclidean", "manhattan")


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
        "perceptual_hash hamming",
        "fusion by reciprocal ranks",
        "fusion",
    ]
    assert "12 photos are few" in overall.note
    assert [row.name for row in by_alteration.rows] == [alteration.name for alteration in ALTERATIONS]
    recall = {row.name: row.shares for row in by_alteration.rows}
    # Colours stay when a picture is mirrored; hashes don't. Compression hurts none of these.
    assert recall["mirror"][1] == 1
    assert max(recall["mirror"][2:5]) < 0.5
    assert list(recall["JPEG 30"]) == [1, 1, 1, 1, 1, 1, 1]
    # Each kind has the same number of copies: the mean of its figures is the one over all.
    together = overall.rows[-1].shares
    assert np.mean([shares[-1] for shares in recall.values()]) == pytest.approx(together[0])
    assert tuple(line.ours.number for line in found.lines) == together
    # More to search in makes nothing easier.
    for row in overall.rows[:-2]:
        assert all(among <= alone for alone, among in zip(row.shares[:3], row.shares[3:], strict=True))
    # Two halves of equal size: their mean is the whole.
    for grid, whole in zip(choices, (together[0], together[3]), strict=True):
        halves = {row.name: row.shares for row in grid.rows}["fusion by evidence"]
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
    monkeypatch.setattr(run, "open_scratch", None)
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
