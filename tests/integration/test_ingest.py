"""The pipeline inside: decoders that die, hang or want too much, and files that share their bytes."""

import multiprocessing
import os
import resource
import signal
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from PIL import Image
from support import ingest_into, settings_for

from imrec_pg import decoding
from imrec_pg.catalogue import files as catalogue_files
from imrec_pg.catalogue.roots import roots_here
from imrec_pg.db.connection import Connection
from imrec_pg.errors import DecodeError, ImrecError
from imrec_pg.extraction import Extracted
from imrec_pg.features.model import EmbedderSource
from imrec_pg.images.content import DEFAULT_LIMITS, FileContent, Limits, image_id_of
from imrec_pg.ingest import extract as extract_module
from imrec_pg.ingest.extract import Decoded, decode_all
from imrec_pg.ingest.pipeline import IngestOptions
from imrec_pg.ingest.read import Content
from imrec_pg.records import Feature, FoundFile
from imrec_pg.settings import this_host

LIGHT = IngestOptions(features=(Feature.HISTOGRAM, Feature.AVERAGE_HASH, Feature.DIFFERENCE_HASH), workers=2)
# Pixels wide.
DEADLY = 7
HANGING = 9
COMPUTING = 11
KILLED = 13
KILLED_ONCE = 14
ASKING = 15


def save(path: Path, width: int = 20, seed: int = 0) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (15, width, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def save_bomb(path: Path, side: int = 14_000) -> None:
    """Write a PNG of 24 kB that is a black square; as RGB it takes 784 MB."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes((side // 8 + 1) * side)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + body + chunk(b"IEND", b""))


def dangerous(
    content: FileContent, path: str, features: frozenset[Feature], limits: Limits
) -> Extracted | DecodeError:
    """Stand in for a decoder with a bug: dies of some pictures, and never comes back from others."""
    result = decoding.extract_or_error(content, path, features, limits)
    if isinstance(result, DecodeError):
        return result
    mark = Path(f"{path}.seen")
    match result.info.width:
        case width if width == DEADLY:
            os.kill(os.getpid(), signal.SIGSEGV)
        case width if width == HANGING:
            time.sleep(3600)
        case width if width == COMPUTING:
            while True:
                pass
        case width if width == KILLED or (width == KILLED_ONCE and not mark.exists()):
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        case width if width == ASKING:
            core = resource.getrlimit(resource.RLIMIT_CORE)
            data = resource.getrlimit(resource.RLIMIT_DATA)[0] // 2**20
            return DecodeError(path, "Asked", f"{core}, {data < 2**20}")
    return result


def failures_of(conn: Connection) -> list[catalogue_files.Failure]:
    return catalogue_files.failures(conn, roots_here(conn, this_host()))


@pytest.fixture
def embedders() -> EmbedderSource:
    return EmbedderSource(settings_for(""))


@pytest.fixture
def shared_folder(server_folder: Path) -> Path:
    """Return a folder in which everybody may write, also the workers of root."""
    folder = Path(tempfile.mkdtemp(dir=server_folder))
    folder.chmod(0o777)
    return folder


def test_a_decoder_that_dies_hangs_or_wants_too_much_costs_that_file_alone(
    conn: Connection, shared_folder: Path, embedders: EmbedderSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        save(shared_folder / f"{number:02}.png", seed=number)
    save(shared_folder / "05-deadly.png", DEADLY)
    save(shared_folder / "06-hanging.png", HANGING)
    save(shared_folder / "07-computing.png", COMPUTING)
    save(shared_folder / "08-killed.png", KILLED)
    save(shared_folder / "09-killed-once.png", KILLED_ONCE)
    save(shared_folder / "10-asking.png", ASKING)
    save_bomb(shared_folder / "11-bomb.png")
    monkeypatch.setattr(extract_module, "_task", dangerous)
    monkeypatch.setattr(decoding, "TIMEOUT_S", 5)
    monkeypatch.setattr(decoding, "CPU_S", 1)
    monkeypatch.setattr(decoding, "MEMORY", 100 * 2**20)
    result = ingest_into(conn, [bytes(shared_folder)], embedders, LIGHT)
    assert (result.tally.new, result.tally.failed) == (21, 6)
    failures = {Path(f.path).name: (f.error_class, f.error) for f in failures_of(conn)}
    assert {name: kind for name, (kind, _) in failures.items()} == {
        "05-deadly.png": "DecoderCrashed",
        "06-hanging.png": "DecoderTimeout",
        "07-computing.png": "DecoderTimeout",
        "08-killed.png": "OutOfMemory",
        "10-asking.png": "Asked",
        "11-bomb.png": "OutOfMemory",
    }
    assert "computed" in failures["07-computing.png"][1]
    assert failures["10-asking.png"][1] == "(0, 0), True"


def test_a_picture_whose_decoder_is_missing_waits_for_it(
    conn: Connection, tmp_path: Path, embedders: EmbedderSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was stored of it stays."""
    pillow_heif = pytest.importorskip("pillow_heif")
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for number, name in enumerate(("old.heic", "new.heic")):
        if name == "new.heic":
            ingest_into(conn, [bytes(tmp_path)], embedders, LIGHT)
        pillow_heif.from_pillow(Image.fromarray(pixels + np.uint8(number))).save(tmp_path / name)
    os.utime(tmp_path / "old.heic", (1, 1))
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "pillow_heif", None)
        assert ingest_into(conn, [bytes(tmp_path)], embedders, LIGHT).tally.failed == 2
        again = ingest_into(conn, [bytes(tmp_path)], embedders, LIGHT)
        assert (again.tally.failed, again.tally.known_failures) == (0, 2)
    assert {failure.error_class for failure in failures_of(conn)} == {"DecoderMissing"}
    assert conn.execute("SELECT path FROM imrec.file").fetchall() == [(str(tmp_path / "old.heic"),)]
    result = ingest_into(conn, [], embedders, replace(LIGHT, retry=True))
    assert (result.tally.new, result.tally.failed) == (1, 0)
    assert not list(failures_of(conn))


@pytest.mark.parametrize("pause", [0, 0.5], ids=["at once", "later"])
def test_processes_that_die_with_nothing_to_do_are_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pause: float
) -> None:
    """As when the kernel takes them while the model runs; Pebble's pool ends with that."""
    monkeypatch.setattr(extract_module, "_WINDOW", 1)  # each result is waited for

    def contents() -> Iterator[Content]:
        for number in range(4):
            if number == 2:
                for process in multiprocessing.active_children():
                    if process.name == "pebble_pool_worker" and process.pid is not None:
                        os.kill(process.pid, signal.SIGKILL)
                time.sleep(pause)
            path = save(tmp_path / f"{number}.png", seed=number)
            data = path.read_bytes()
            file = FoundFile(UUID(int=0), UUID(int=number), path.name.encode(), bytes(path), len(data), 0)
            read = FileContent(data, len(data), 0, image_id_of(data))
            yield Content(read, (file,), frozenset(LIGHT.features))

    results = list(decode_all(contents(), workers=2, limits=DEFAULT_LIMITS))
    assert all(isinstance(result, Decoded) for result in results)
    assert len(results) == 4


def test_a_photo_in_ten_folders_is_featured_once(
    conn: Connection, tmp_path: Path, embedders: EmbedderSource
) -> None:
    original = save(tmp_path / "0" / "a.png")
    for number in range(1, 10):
        save(tmp_path / str(number) / "a.png").write_bytes(original.read_bytes())
    result = ingest_into(conn, [bytes(tmp_path)], embedders, LIGHT)
    assert (result.tally.new, result.tally.duplicates, result.tally.found) == (1, 9, 10)
    assert conn.execute("SELECT count(*) FROM imrec.histogram").fetchone() == (1,)
    assert conn.execute("SELECT count(*) FROM imrec.file").fetchone() == (10,)


def test_a_folder_around_a_known_one_keeps_its_files_where_they_are(
    conn: Connection, tmp_path: Path, embedders: EmbedderSource
) -> None:
    save(tmp_path / "inner" / "a.png", seed=1)
    save(tmp_path / "b.png", seed=2)
    ingest_into(conn, [bytes(tmp_path / "inner")], embedders, LIGHT)
    result = ingest_into(conn, [bytes(tmp_path)], embedders, LIGHT)
    assert (result.tally.new, result.tally.unchanged) == (1, 1)
    assert conn.execute("SELECT count(*) FROM imrec.file").fetchone() == (2,)


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
    rows = conn.execute("SELECT path FROM imrec.file").fetchall()
    assert rows == [(str(tmp_path / "b.png"),)]


def test_a_folder_without_photos_leaves_no_root(
    conn: Connection, tmp_path: Path, embedders: EmbedderSource
) -> None:
    (tmp_path / "notes.txt").write_text("no photo")
    with pytest.raises(ImrecError, match="no photos in"):
        ingest_into(conn, [bytes(tmp_path)], embedders, LIGHT)
    assert roots_here(conn, this_host()).all == []


def test_refresh_computes_again_what_an_earlier_version_computed(conn: Connection, tmp_path: Path) -> None:
    save(tmp_path / "photos" / "a.png")
    save(tmp_path / "photos" / "b.png", seed=1)
    embedders, folders = EmbedderSource(settings_for("")), [os.fsencode(tmp_path / "photos")]
    ingest_into(conn, folders, embedders, LIGHT)
    stored = (
        "SELECT h.histogram::text, a.average_hash::text, i.width, i.camera_make FROM imrec.image AS i "
        "INNER JOIN imrec.histogram AS h USING (image_id) INNER JOIN imrec.average_hash AS a USING (image_id) "
        "ORDER BY image_id"
    )
    right = conn.execute(stored).fetchall()
    for spoilt in (
        "UPDATE imrec.histogram SET histogram = array_fill(1, ARRAY[512])::vector, version = 0",
        "UPDATE imrec.average_hash SET average_hash = ~average_hash",  # of the present version: left alone
        "UPDATE imrec.image SET camera_make = 'wrong', version = 0",
    ):
        conn.execute(spoilt.encode())
    assert ingest_into(conn, folders, embedders, LIGHT).tally.unchanged == 2
    refreshed = ingest_into(conn, folders, embedders, replace(LIGHT, refresh=True)).tally
    assert (refreshed.completed, refreshed.new) == (2, 0)
    now = conn.execute(stored).fetchall()
    assert [(row[0], row[2], row[3]) for row in now] == [(row[0], row[2], row[3]) for row in right]
    assert [row[1] for row in now] != [row[1] for row in right]
    assert ingest_into(conn, folders, embedders, replace(LIGHT, refresh=True)).tally.unchanged == 2
