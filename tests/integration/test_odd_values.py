"""Values that no column holds: each costs one file at most, and never the run."""

import os
import struct
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from PIL import ExifTags, Image
from support import ingest_into, settings_for

from imrec_pg.db.connection import Connection
from imrec_pg.db.rows import value, values
from imrec_pg.errors import DecodeError
from imrec_pg.extraction import Extracted
from imrec_pg.features.model import EmbedderSource
from imrec_pg.images.content import FileContent, Limits
from imrec_pg.images.walk import NEVER, mtime_of
from imrec_pg.ingest import extract as extract_module
from imrec_pg.ingest.pipeline import IngestOptions, IngestResult
from imrec_pg.ingest.write import Merged, write_batch
from imrec_pg.records import FailedFile, Feature, Features, FoundFile, ImageInfo, StoredImage

LIGHT = IngestOptions(features=(Feature.AVERAGE_HASH,), workers=1)
LAST_NS = 9_223_372_036_854_775_807  # 2262-04-11T23:47:16.854775807Z
AFTER_S = 9_223_372_037


def save(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def run(conn: Connection, folder: Path, options: IngestOptions = LIGHT) -> IngestResult:
    return ingest_into(conn, [os.fsencode(folder)], EmbedderSource(settings_for("")), options)


def test_a_file_from_beyond_2262_is_stored_and_then_unchanged(conn: Connection, tmp_path: Path) -> None:
    for i in range(3):
        save(tmp_path / f"{i}.png", i)
    os.utime(tmp_path / "1.png", (1, AFTER_S))
    if (tmp_path / "1.png").stat().st_mtime_ns <= LAST_NS:
        pytest.skip("this file system does not hold such a time")
    assert run(conn, tmp_path).tally.new == 3
    assert max(values(conn, int, "SELECT mtime_ns FROM imrec.file")) == LAST_NS
    assert run(conn, tmp_path).tally.unchanged == 3


def test_a_failure_from_beyond_2262_is_not_tried_twice(conn: Connection, tmp_path: Path) -> None:
    save(tmp_path / "a.png", 1)
    (tmp_path / "bad.png").write_bytes(b"no image at all, but long enough")
    os.utime(tmp_path / "bad.png", (1, AFTER_S))
    assert run(conn, tmp_path).tally.failed == 1
    assert run(conn, tmp_path).tally.known_failures == 1
    retrying = ingest_into(conn, [], EmbedderSource(settings_for("")), LIGHT)
    assert retrying.tally.failed == 1


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, 0),
        (-1, -1_000_000_000),
        (AFTER_S, LAST_NS),
        (2**62, LAST_NS),
        (-(2**62), -LAST_NS),
        (-AFTER_S, -LAST_NS),
    ],
)
def test_any_time_of_a_file_fits_a_bigint(seconds: int, expected: int) -> None:
    class Status:
        st_mtime_ns = seconds * 1_000_000_000

    assert mtime_of(Status()) == expected  # type: ignore[arg-type]
    assert mtime_of(Status()) > NEVER  # type: ignore[arg-type]


def one_entry(tag: int, kind: int, count: int, value: bytes) -> bytes:
    """Return EXIF with one entry; a value of more than 4 bytes follows the directory, at byte 26."""
    inline = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack("<I", 26)
    behind = value if len(value) > 4 else b""
    head = b"Exif\0\0II*\0" + struct.pack("<IHHHI", 8, 1, tag, kind, count)
    return head + inline + bytes(4) + behind


def test_odd_exif_costs_no_file(conn: Connection, tmp_path: Path) -> None:
    ascii_, short, long, rational = 2, 3, 4, 5
    odd = [
        one_entry(ExifTags.Base.Make, ascii_, 12, b"a\0b\xff\xe2\x80\xae\x1b[2J"),
        one_entry(ExifTags.Base.Model, ascii_, 60_000, b"\xff\xfe\0" * 20_000),
        one_entry(ExifTags.Base.Model, ascii_, 2**32 - 1, b"\xed\xa0\x80 a lone surrogate"),
        one_entry(ExifTags.Base.DateTime, ascii_, 20, b"0000:00:00 00:00:00\0"),
        one_entry(ExifTags.Base.DateTime, ascii_, 30, b"9999999999999999999999:01:01\0"),
        one_entry(ExifTags.Base.DateTime, rational, 1, bytes(8)),
        one_entry(ExifTags.Base.Make, long, 1, b"\xff" * 4),
        one_entry(ExifTags.Base.Orientation, short, 1, b"\xff\xff"),
        one_entry(ExifTags.Base.Orientation, long, 1, b"\xff" * 4),
        one_entry(ExifTags.IFD.Exif, long, 1, b"\xff" * 4),
    ]
    for number, exif in enumerate(odd):
        pixels = np.full((6, 8, 3), number, dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.jpg", exif=exif)
    assert run(conn, tmp_path).tally.new == len(odd)


def test_a_picture_that_the_features_choke_on_costs_one_file(
    conn: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(3):
        save(tmp_path / f"{i}.png", i)
    monkeypatch.setattr(extract_module, "_task", choking)
    result = run(conn, tmp_path)
    assert (result.tally.new, result.tally.failed) == (2, 1)
    assert values(conn, str, "SELECT error_class || ': ' || error FROM imrec.failure") == [
        "DecoderCrashed: its features could not be computed: ArithmeticError: of this picture"
    ]


def choking(
    content: FileContent, path: str, features: frozenset[Feature], limits: Limits
) -> Extracted | DecodeError:
    from imrec_pg import decoding, extraction

    def extract(*_arguments: object) -> Extracted:
        raise ArithmeticError("of this\n picture")

    whole = extraction.extract
    if path.endswith("1.png"):
        extraction.extract = extract  # type: ignore[assignment]
    try:
        return decoding.extract_or_error(content, path, features, limits)
    finally:
        extraction.extract = whole


ODD = [
    {"width": 2**31},
    {"width": 0},
    {"height": -1},
    {"size": 2**63},
    {"size": 0},
    {"format": "a\0b"},
    {"camera_make": "a\0b"},
    {"camera_model": "\udcff"},
]


@pytest.fixture
def root(conn: Connection, tmp_path: Path) -> UUID:
    save(tmp_path / "a.png", 1)
    run(conn, tmp_path)
    return value(conn, UUID, "SELECT root_id FROM imrec.root")


def found(root: UUID, number: int) -> FoundFile:
    return FoundFile(root, UUID(int=number), b"%d" % number, b"/p/%d" % number, 9, 1)


def stored(file: FoundFile, features: Features, **odd: object) -> StoredImage:
    info = ImageInfo(file.file_id, 9, 4, 3, "JPEG", None, None, None)
    return StoredImage(file.file_id, replace(info, **odd), (file,), features)  # type: ignore[arg-type]


@pytest.mark.parametrize("odd", ODD)
def test_what_a_column_does_not_hold_costs_one_file(
    conn: Connection, root: UUID, odd: dict[str, object]
) -> None:
    features = Features(average_hash=bytes(8))
    images = [stored(found(root, n), features, **(odd if n == 3 else {})) for n in range(1, 6)]
    assert write_batch(conn, images) == Merged(new=4, duplicates=0, replaced=0, refused=1)
    assert values(conn, str, "SELECT path FROM imrec.failure WHERE error_class = 'Refused'") == ["/p/3"]
    assert value(conn, int, "SELECT count(*) FROM imrec.image") == 5


@pytest.mark.parametrize("number", [0.0, float("nan"), float("inf")])
def test_a_vector_that_is_none_costs_one_file(conn: Connection, root: UUID, number: float) -> None:
    row = np.full(512, number, dtype=np.float32)
    assert write_batch(conn, [stored(found(root, 1), Features(embedding=row))]).refused == 1


def test_a_failure_that_cannot_be_recorded_is_named_and_costs_nothing_else(
    conn: Connection, root: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    failed = [FailedFile(found(root, n), None, "Corrupt", text) for n, text in enumerate(("fine", "a\0b"))]
    write_batch(conn, [], failed)
    assert values(conn, str, "SELECT path FROM imrec.failure") == ["/p/0"]
    assert "/p/1: its failure cannot be recorded" in caplog.text
