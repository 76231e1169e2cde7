"""The pipeline inside: decoders that die or hang, and files that share their bytes."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import ingest_into, settings_for

from imrec_pg.errors import DecodeError, ImrecError
from imrec_pg.extraction import Extracted
from imrec_pg.features.model import EmbedderSource
from imrec_pg.images.decode import FileContent, Limits
from imrec_pg.ingest import extract as extract_module
from imrec_pg.ingest.pipeline import IngestOptions
from imrec_pg.records import FeatureTable
from imrec_pg.settings import this_host
from imrec_pg.store import catalogue
from imrec_pg.store.connection import Connection
from imrec_pg.store.roots import roots_here

LIGHT = IngestOptions(features=(FeatureTable.HISTOGRAM, FeatureTable.HASH), workers=2)
DEADLY = 7  # pixels wide
HANGING = 9


def save(path: Path, width: int = 20, seed: int = 0) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (15, width, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def dangerous(
    content: FileContent, path: str, tables: frozenset[FeatureTable], limits: Limits
) -> Extracted | DecodeError:
    """Stand in for a decoder with a bug: dies of some pictures, and never comes back from others."""
    result = extract_module._extract_or_error(content, path, tables, limits)
    if isinstance(result, DecodeError):
        return result
    if result.info.width == DEADLY:
        os.kill(os.getpid(), signal.SIGSEGV)
    if result.info.width == HANGING:
        time.sleep(3600)
    return result


@pytest.fixture
def embedders() -> EmbedderSource:
    return EmbedderSource(settings_for(""))


def test_a_decoder_that_dies_or_hangs_costs_that_file_alone(
    conn: Connection, tmp_path: Path, embedders: EmbedderSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        save(tmp_path / f"{number:02}.png", seed=number)
    save(tmp_path / "05-deadly.png", DEADLY)
    save(tmp_path / "06-hanging.png", HANGING)
    monkeypatch.setattr(extract_module, "_task", dangerous)
    monkeypatch.setattr(extract_module, "_TIMEOUT_S", 5)
    result = ingest_into(conn, [bytes(tmp_path)], embedders, LIGHT)
    assert (result.tally.new, result.tally.failed) == (20, 2)
    failures = {
        Path(f.path).name: f.error_class for f in catalogue.failures(conn, roots_here(conn, this_host()))
    }
    assert failures == {"05-deadly.png": "DecoderCrashed", "06-hanging.png": "DecoderTimeout"}


def test_a_photo_in_ten_folders_is_featured_once(
    conn: Connection, tmp_path: Path, embedders: EmbedderSource
) -> None:
    original = save(tmp_path / "0" / "a.png")
    for number in range(1, 10):
        save(tmp_path / str(number) / "a.png").write_bytes(original.read_bytes())
    result = ingest_into(conn, [bytes(tmp_path)], embedders, LIGHT)
    assert (result.tally.new, result.tally.duplicates, result.tally.found) == (1, 9, 10)
    assert conn.execute("SELECT count(*) FROM imrec.histogram").fetchone() == (1,)
    assert conn.execute("SELECT count(*) FROM imrec.location").fetchone() == (10,)


def test_a_folder_around_a_known_one_keeps_its_files_where_they_are(
    conn: Connection, tmp_path: Path, embedders: EmbedderSource
) -> None:
    save(tmp_path / "inner" / "a.png", seed=1)
    save(tmp_path / "b.png", seed=2)
    ingest_into(conn, [bytes(tmp_path / "inner")], embedders, LIGHT)
    result = ingest_into(conn, [bytes(tmp_path)], embedders, LIGHT)
    assert (result.tally.new, result.tally.unchanged) == (1, 1)
    assert conn.execute("SELECT count(*) FROM imrec.location").fetchone() == (2,)


def test_stopping_writes_what_is_decoded_and_the_next_run_goes_on(
    conn: Connection, tmp_path: Path, embedders: EmbedderSource
) -> None:
    for number in range(300):
        save(tmp_path / f"{number:03}.png", seed=number)
    seen = 0

    def stopping() -> bool:
        nonlocal seen
        seen += 1
        return seen > 200

    first = ingest_into(conn, [bytes(tmp_path)], embedders, LIGHT, stopping=stopping)
    assert first.interrupted
    assert 0 < first.tally.new == first.tally.written < 200
    second = ingest_into(conn, [bytes(tmp_path)], embedders, LIGHT)
    assert not second.interrupted
    assert (second.tally.unchanged, second.tally.new) == (first.tally.new, 300 - first.tally.new)


@pytest.mark.parametrize("new", [b"", b"\0\0\0\x20ftypheic\0\0\0\0mif1heic", b"no image at all"])
def test_a_file_that_holds_something_else_now_leaves_its_image(
    conn: Connection, tmp_path: Path, embedders: EmbedderSource, new: bytes
) -> None:
    path = save(tmp_path / "a.png")
    save(tmp_path / "b.png", seed=2)
    ingest_into(conn, [bytes(tmp_path)], embedders, LIGHT)
    path.write_bytes(new)
    result = ingest_into(conn, [bytes(tmp_path)], embedders, LIGHT)
    assert result.tally.failed == 1
    rows = conn.execute("SELECT path FROM imrec.location").fetchall()
    assert rows == [(str(tmp_path / "b.png"),)]


def test_a_folder_without_photos_leaves_no_root(
    conn: Connection, tmp_path: Path, embedders: EmbedderSource
) -> None:
    (tmp_path / "notes.txt").write_text("no photo")
    with pytest.raises(ImrecError, match="no photos in"):
        ingest_into(conn, [bytes(tmp_path)], embedders, LIGHT)
    assert roots_here(conn, this_host()).all == []
