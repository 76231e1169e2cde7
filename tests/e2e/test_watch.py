"""imrec-pg watch: what changes in a folder is in the database soon after."""

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.command import Imrec, Started, until
from e2e.database import counts, one
from e2e.photos import GARBAGE, save_scenes

LIGHT = ("--features", "histogram,average_hash,difference_hash", "--workers", "1")
FILES = "SELECT count(*) FROM imrec.file WHERE file_id NOT IN (SELECT file_id FROM imrec.missing)"
CONNECTED = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'imrec-pg'"


@pytest.fixture
def watching(run: Imrec, dsn: str, folder: Path) -> Iterator[Started]:
    """Yield a watch of a folder of three photos, which are stored."""
    save_scenes(folder, range(3))
    started = run.start("watch", folder, *LIGHT, "--settle", "0.3", "--json")
    started.until(lambda: one(dsn, FILES) == 3)
    yield started
    if started.process.poll() is None:
        started.signal(signal.SIGKILL, group=True)
        started.process.communicate()


def test_new_changed_moved_and_deleted_photos(watching: Started, dsn: str, folder: Path) -> None:
    (made,) = save_scenes(folder / "new" / "deeper", [3])
    watching.until(lambda: one(dsn, FILES) == 4)
    before = counts(dsn)["image"]
    made.write_bytes(save_scenes(folder.parent / "outside", [4])[0].read_bytes())
    watching.until(
        lambda: one(
            dsn,
            "SELECT count(*) FROM imrec.file WHERE path = %s AND size = %s",
            str(made),
            made.stat().st_size,
        )
    )
    assert counts(dsn)["image"] == before
    (folder / "0000.jpg").rename(folder / "moved.jpg")
    watching.until(lambda: one(dsn, "SELECT count(*) FROM imrec.file WHERE path LIKE '%%moved.jpg'"))
    watching.until(lambda: one(dsn, FILES) == 4)
    (folder / "0001.jpg").unlink()
    watching.until(lambda: one(dsn, FILES) == 3)
    (folder / "broken.jpg").write_bytes(GARBAGE)
    watching.until(lambda: counts(dsn)["failure"] == 1)
    (folder / "broken.jpg").unlink()
    watching.until(lambda: counts(dsn)["failure"] == 0)
    watching.signal(signal.SIGINT, group=True)
    done = watching.wait()
    assert done.code == 0
    results = [json.loads(line) for line in done.raw_out.splitlines()]
    assert results[0]["new"] == 3
    assert sum(result["new"] for result in results) == 5
    assert sum(result["missing"] for result in results) == 2


def test_a_folder_that_is_moved_away_and_back(watching: Started, dsn: str, folder: Path) -> None:
    """The system tells of the folder alone, not of the photos in it."""
    save_scenes(folder / "album", range(10, 16))
    watching.until(lambda: one(dsn, FILES) == 9)
    (folder / "album").rename(folder.parent / "away")
    watching.until(lambda: one(dsn, FILES) == 3)
    (folder.parent / "away").rename(folder / "album")
    watching.until(lambda: one(dsn, FILES) == 9)
    watching.signal(signal.SIGTERM, group=True)
    done = watching.wait()
    assert done.code == 0
    assert sum(json.loads(line)["back"] for line in done.raw_out.splitlines()) == 6


def test_hidden_files_and_names_in_any_encoding(watching: Started, dsn: str, folder: Path) -> None:
    photo = (folder / "0002.jpg").read_bytes()
    (folder / ".thumbnails").mkdir()
    (folder / ".thumbnails" / "a.jpg").write_bytes(photo + b"1")
    (folder / ".upload.jpg").write_bytes(photo + b"2")
    strange = bytes(folder) + b"/latin-\xe9.jpg"
    with open(strange, "wb") as file:  # noqa: PTH123 - bytes
        file.write(photo + b"3")
    watching.until(lambda: one(dsn, FILES) == 4)
    found = one(dsn, "SELECT relative_path FROM imrec.file WHERE size = %s", len(photo) + 1)
    assert bytes(found) == b"latin-\xe9.jpg"


def test_a_watched_folder_that_is_gone_ends_it_and_marks_nothing(
    watching: Started, dsn: str, folder: Path
) -> None:
    folder.rename(folder.parent / "unmounted")
    done = watching.wait()
    assert done.code == 1
    assert "mount it and watch again" in done.err.splitlines()[-1]
    assert one(dsn, FILES) == 3
    shutil.rmtree(folder.parent / "unmounted")


def test_polling_and_looking_at_everything_again(run: Imrec, dsn: str, folder: Path) -> None:
    save_scenes(folder, range(2))
    polling = run.start("watch", folder, *LIGHT, "--settle", "0.1", "--poll")
    polling.until(lambda: one(dsn, FILES) == 2)
    save_scenes(folder, [2])
    polling.until(lambda: one(dsn, FILES) == 3)
    polling.signal(signal.SIGINT, group=True)
    done = polling.wait()
    assert done.out.splitlines()[0].startswith("2 new, ")
    assert "watching; Ctrl-C ends it" in done.err
    # What nothing was told of, here since the wait to settle is endless.
    again = run.start("watch", folder, *LIGHT, "--settle", "3600", "--rescan", "0.5")
    again.until(lambda: one(dsn, CONNECTED))
    save_scenes(folder, [3])
    again.until(lambda: one(dsn, FILES) == 4)
    again.signal(signal.SIGINT, group=True)
    assert again.wait().code == 0


def test_an_inbox_without_photos_is_watched(run: Imrec, dsn: str, folder: Path) -> None:
    (folder / "read me.txt").write_text("photos go here", encoding="ascii")
    (folder / "later").mkdir()
    inbox = run.start("watch", folder, *LIGHT, "--settle", "0.1", "--json")
    inbox.until(lambda: one(dsn, CONNECTED))
    save_scenes(folder / "later", range(2))
    inbox.until(lambda: one(dsn, FILES) == 2)
    inbox.signal(signal.SIGINT, group=True)
    assert inbox.wait().code == 0


def test_a_look_at_everything_marks_photos_that_were_all_moved_out(
    run: Imrec, dsn: str, folder: Path
) -> None:
    """Nobody is told of it here, since the wait to settle is endless."""
    photos = save_scenes(folder, range(3))
    watching = run.start("watch", folder, *LIGHT, "--settle", "3600", "--rescan", "0.5", "--json")
    watching.until(lambda: one(dsn, FILES) == 3)
    for photo in photos:
        photo.rename(folder.parent / photo.name)
    watching.until(lambda: one(dsn, FILES) == 0)
    save_scenes(folder, [3])
    watching.until(lambda: one(dsn, FILES) == 1)
    watching.signal(signal.SIGINT, group=True)
    done = watching.wait()
    assert done.code == 0
    assert sum(json.loads(line)["missing"] for line in done.raw_out.splitlines()) == 3


def test_a_look_at_everything_doubts_that_many_photos_are_deleted_and_goes_on(
    run: Imrec, dsn: str, folder: Path
) -> None:
    save_scenes(folder / "album", range(25))
    watching = run.start("watch", folder, *LIGHT, "--settle", "3600", "--rescan", "0.5")
    watching.until(lambda: one(dsn, FILES) == 25)
    (folder / "album").rename(folder.parent / "album")
    save_scenes(folder, [25])
    watching.until(lambda: one(dsn, FILES) == 26)
    # When the next one is stored, the result of the look before has been printed.
    save_scenes(folder, [26])
    watching.until(lambda: one(dsn, FILES) == 27)
    watching.signal(signal.SIGINT, group=True)
    done = watching.wait()
    assert done.code == 0
    assert "25 of 26 known files are gone" in done.err


def test_ctrl_c_at_any_moment_ends_cleanly(run: Imrec, folder: Path, dsn: str) -> None:
    save_scenes(folder, range(30))
    started = run.start("watch", folder, *LIGHT)
    started.until(lambda: one(dsn, "SELECT count(*) FROM imrec.root"))
    started.signal(signal.SIGINT, group=True)
    assert started.wait().code == 0
    until(lambda: not started.others(), "the workers end")
