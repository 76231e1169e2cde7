"""Files that go, come back, move, or seem to be gone because their disk is not there."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import numpy as np
import psycopg
import pytest
from PIL import Image
from support import ingest_into, settings_for

from imrec_pg.catalogue import missing
from imrec_pg.catalogue.status import status
from imrec_pg.db.connection import Connection
from imrec_pg.errors import ImrecError
from imrec_pg.extraction import wanted
from imrec_pg.features.model import EmbedderSource
from imrec_pg.ingest.missing import Changes, DoubtedFolder
from imrec_pg.ingest.pipeline import IngestOptions, IngestResult
from imrec_pg.records import Feature, Metric
from imrec_pg.search.ranking import recommend, stored_features
from imrec_pg.settings import this_host

LIGHT = IngestOptions(features=(Feature.HISTOGRAM, Feature.AVERAGE_HASH), workers=1)
ACCEPTING = IngestOptions(features=LIGHT.features, workers=1, accept_deletions=True)


def save(path: Path, seed: int) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (15, 20, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def run(conn: Connection, folder: Path, options: IngestOptions = LIGHT) -> IngestResult:
    return ingest_into(conn, [os.fsencode(folder)], EmbedderSource(settings_for("")), options)


def number(conn: Connection, table: str) -> int:
    row = conn.execute(f"SELECT count(*) FROM imrec.{table}".encode()).fetchone()
    assert row is not None
    return int(str(row[0]))


@pytest.fixture
def folder(tmp_path: Path, conn: Connection) -> Path:
    """Return a folder of ten photos, which are stored."""
    for i in range(10):
        save(tmp_path / "photos" / f"{i}.png", i)
    assert run(conn, tmp_path / "photos").changes == Changes(known=10)
    return tmp_path / "photos"


def test_a_deleted_file_is_marked_with_the_date_and_kept(conn: Connection, folder: Path) -> None:
    (folder / "3.png").unlink()
    assert run(conn, folder).changes == Changes(gone=1, known=10)
    assert (number(conn, "file"), number(conn, "histogram")) == (10, 10)
    since = conn.execute("SELECT since FROM imrec.missing").fetchall()
    assert run(conn, folder).changes == Changes(known=9)
    assert conn.execute("SELECT since FROM imrec.missing").fetchall() == since
    assert status(conn, this_host(), wanted()).missing_files == 1


def test_a_file_that_comes_back_is_no_longer_missing_and_not_read_again(
    conn: Connection, folder: Path
) -> None:
    (folder / "3.png").rename(folder.parent / "kept.png")
    run(conn, folder)
    (folder.parent / "kept.png").rename(folder / "3.png")
    result = run(conn, folder)
    assert result.changes == Changes(back=1, known=9)
    assert (result.tally.unchanged, result.tally.written) == (10, 0)
    assert number(conn, "missing") == 0


def test_a_moved_file_keeps_its_features(conn: Connection, folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "3.png").rename(folder / "sub" / "moved.png")
    result = run(conn, folder)
    assert (result.tally.duplicates, result.tally.new) == (1, 0)
    assert result.changes.gone == 1
    assert number(conn, "image") == 10
    # An answer names the place where the photo is now, though the old one comes first by name.
    (key,) = conn.execute("SELECT image_id FROM imrec.file WHERE path LIKE '%moved.png'").fetchall()[0]
    features = stored_features(conn, [key])[key]  # type: ignore[list-item, index]
    (found,) = recommend(conn, [features], Feature.HISTOGRAM, Metric.COSINE, k=1)[0]
    assert found.path.endswith("/sub/moved.png")
    assert (found.copies, found.missing) == (2, False)


def test_an_answer_says_that_a_photo_is_missing(conn: Connection, folder: Path) -> None:
    (folder / "3.png").unlink()
    run(conn, folder)
    (key,) = conn.execute("SELECT image_id FROM imrec.file WHERE path LIKE '%/3.png'").fetchall()[0]
    features = stored_features(conn, [key])[key]  # type: ignore[list-item, index]
    neighbours = recommend(conn, [features], Feature.HISTOGRAM, Metric.COSINE, k=10)[0]
    assert [n.missing for n in neighbours] == [True] + [False] * 9


def test_a_folder_that_is_suddenly_empty_is_no_deletion(conn: Connection, folder: Path) -> None:
    for i in range(10, 40):
        save(folder / f"{i}.png", i)
    run(conn, folder)
    folder.rename(folder.parent / "elsewhere")
    folder.mkdir()
    with pytest.raises(ImrecError, match=r"where 40 are known: mount the disk.*--accept-deletions"):
        run(conn, folder)
    save(folder / "new.png", 99)
    result = run(conn, folder)
    assert result.tally.new == 1
    doubt = DoubtedFolder(os.fsencode(folder), 40, 41)
    assert result.changes == Changes(known=41, doubts=(doubt,))
    assert number(conn, "missing") == 0
    assert run(conn, folder, ACCEPTING).changes == Changes(gone=40, known=41)


def test_an_empty_folder_may_be_accepted(conn: Connection, folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    assert run(conn, folder, ACCEPTING).changes.gone == 10


def test_a_folder_that_is_not_there_is_refused(conn: Connection, folder: Path) -> None:
    folder.rename(folder.parent / "elsewhere")
    with pytest.raises(ImrecError, match="does not exist"):
        run(conn, folder)
    assert number(conn, "missing") == 0


def test_only_what_lies_below_the_folder_walked_is_judged(conn: Connection, folder: Path) -> None:
    save(folder / "sub" / "a.png", 50)
    save(folder / "sub" / "b.png", 52)
    save(folder / "subway" / "c.png", 51)
    run(conn, folder)
    (folder / "3.png").unlink()
    (folder / "sub" / "b.png").unlink()
    (folder / "subway" / "c.png").unlink()
    assert run(conn, folder / "sub").changes == Changes(gone=1, known=2)


def test_what_lies_in_a_folder_that_cannot_be_read_is_not_gone(
    conn: Connection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(folder / "closed" / "a.png", 60)
    run(conn, folder)
    closed = os.fsencode(folder / "closed")
    scandir, stat = os.scandir, os.stat

    def refusing_scandir(path: bytes) -> object:
        if path == closed:
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    def refusing_stat(path: bytes, **how: object) -> os.stat_result:
        if isinstance(path, bytes) and path.startswith(closed + b"/"):
            raise PermissionError(13, "Permission denied")
        return stat(path, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "scandir", refusing_scandir)
    monkeypatch.setattr(os, "stat", refusing_stat)
    result = run(conn, folder)
    assert result.tally.unreadable == 1
    assert result.changes == Changes(known=11)


def test_an_interrupted_walk_judges_nothing(conn: Connection, folder: Path) -> None:
    (folder / "3.png").unlink()
    result = ingest_into(
        conn,
        [os.fsencode(folder)],
        EmbedderSource(settings_for("")),
        LIGHT,
        stopping=lambda: True,
    )
    assert result.interrupted
    assert number(conn, "missing") == 0


def test_a_failure_of_a_file_that_is_gone_is_forgotten(conn: Connection, folder: Path) -> None:
    (folder / "bad.png").write_bytes(b"no image at all, but long enough")
    run(conn, folder)
    assert number(conn, "failure") == 1
    (folder / "bad.png").unlink()
    run(conn, folder)
    assert number(conn, "failure") == 0


def test_prune_forgets_files_and_images_that_nothing_else_holds(conn: Connection, folder: Path) -> None:
    (folder / "copy of 4.png").write_bytes((folder / "4.png").read_bytes())
    run(conn, folder)
    for name in ("3.png", "4.png"):
        (folder / name).unlink()
    run(conn, folder)
    nothing = missing.prune(conn, timedelta(days=1), dry_run=False)
    assert (nothing.files, nothing.images) == (0, 0)
    dry = missing.prune(conn, timedelta(0), dry_run=True)
    assert (dry.files, dry.images, number(conn, "file")) == (2, 1, 11)
    assert missing.prune(conn, timedelta(0), dry_run=False) == dry
    assert (number(conn, "file"), number(conn, "image"), number(conn, "histogram")) == (9, 9, 9)
    assert number(conn, "missing") == 0
    save(folder / "3.png", 3)
    assert run(conn, folder).tally.new == 1


def test_prune_forgets_more_than_one_batch(
    conn: Connection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in list(folder.iterdir())[:7]:
        path.unlink()
    run(conn, folder)
    monkeypatch.setattr(missing, "_BATCH", 3)
    assert missing.prune(conn, timedelta(0), dry_run=False) == missing.Pruned(7, 7)
    assert (number(conn, "file"), number(conn, "image"), number(conn, "missing")) == (3, 3, 0)


def test_prune_does_not_forget_a_file_that_comes_back_meanwhile(
    conn: Connection, dsn: str, folder: Path
) -> None:
    (folder / "3.png").unlink()
    run(conn, folder)
    with psycopg.connect(dsn) as ingesting:
        # As an ingest does that has just met the file again.
        ingesting.execute("DELETE FROM imrec.missing")
        with ThreadPoolExecutor(1) as pool:
            pruning = pool.submit(missing.prune, conn, timedelta(0), dry_run=False)
            wait_for_lock(dsn)
            ingesting.commit()
            assert pruning.result(timeout=30) == missing.Pruned(0, 0)
    assert number(conn, "file") == 10


def test_prune_keeps_an_image_that_an_ingest_gives_another_file_meanwhile(
    conn: Connection, dsn: str, folder: Path
) -> None:
    (folder / "3.png").unlink()
    run(conn, folder)
    with psycopg.connect(dsn) as ingesting:
        ingesting.execute(
            "INSERT INTO imrec.file (image_id, file_id, root_id, relative_path, path, size, mtime_ns) "
            "SELECT image_id, gen_random_uuid(), root_id, 'copy', 'copy', size, 1 "
            "FROM imrec.file WHERE path LIKE '%/3.png'"
        )
        with ThreadPoolExecutor(1) as pool:
            pruning = pool.submit(missing.prune, conn, timedelta(0), dry_run=False)
            wait_for_lock(dsn)
            ingesting.commit()
            assert pruning.result(timeout=30) == missing.Pruned(1, 0)
    assert (number(conn, "file"), number(conn, "image")) == (10, 10)


def test_a_dry_run_of_prune_waits_for_nobody(conn: Connection, dsn: str, folder: Path) -> None:
    (folder / "3.png").unlink()
    run(conn, folder)
    with psycopg.connect(dsn) as busy:
        busy.execute("LOCK TABLE imrec.file, imrec.missing, imrec.image IN EXCLUSIVE MODE")
        conn.execute("SET lock_timeout = '5s'")
        assert missing.prune(conn, timedelta(0), dry_run=True) == missing.Pruned(1, 1)


def wait_for_lock(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as watcher:
        for _ in range(600):
            waiting = watcher.execute(
                "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if waiting.rowcount:
                return
            time.sleep(0.05)
    pytest.fail("nobody waits for a lock")


def test_names_in_no_encoding_are_followed_too(conn: Connection, folder: Path) -> None:
    name = os.fsencode(folder) + b"/\xff\xfe \n'.png"
    (folder / "3.png").rename(os.fsdecode(name))
    run(conn, folder)
    assert number(conn, "missing") == 1
    Path(os.fsdecode(name)).unlink()
    assert run(conn, folder).changes == Changes(gone=1, known=10)
