"""Roots on several hosts, inside: what is judged, what is rewritten, what is forgotten."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import AddImage, ingest_into, settings_for

from imrec_pg.catalogue import root_files
from imrec_pg.catalogue.root_files import Contents
from imrec_pg.catalogue.roots import add_root, roots_here
from imrec_pg.db.connection import Connection
from imrec_pg.errors import UsageError
from imrec_pg.features.model import EmbedderSource
from imrec_pg.ingest.find import folders_of, root_of
from imrec_pg.ingest.missing import Changes
from imrec_pg.ingest.pipeline import IngestOptions, IngestResult
from imrec_pg.ingest.roots import NamedRoots, Outcome
from imrec_pg.records import Feature

LIGHT = IngestOptions(features=(Feature.AVERAGE_HASH,), workers=1)


def save(path: Path, seed: int) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (15, 20, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def run(conn: Connection, *folders: Path) -> IngestResult:
    return ingest_into(
        conn, [os.fsencode(folder) for folder in folders], EmbedderSource(settings_for("")), LIGHT
    )


def value(conn: Connection, statement: str) -> object:
    row = conn.execute(statement.encode()).fetchone()
    assert row is not None
    return row[0]


@pytest.fixture
def folder(tmp_path: Path, conn: Connection, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of ten photos and a broken file, which are stored by the host a."""
    monkeypatch.setenv("IMREC_HOST", "a")
    for i in range(10):
        save(tmp_path / "photos" / f"{i}.png", i)
    (tmp_path / "photos" / "broken.png").write_bytes(b"no image at all, but long enough")
    assert run(conn, tmp_path / "photos").tally.failed == 1
    return tmp_path / "photos"


def test_a_library_that_was_moved_is_read_but_not_decoded_again(
    conn: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(10):
        save(tmp_path / "disk" / "2023" / f"{i}.png", i)
    run(conn, tmp_path / "disk")
    (tmp_path / "disk" / "2023").rename(tmp_path / "disk" / "archive")

    def no_decoder(_number: int) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr("imrec_pg.ingest.workers.Workers", no_decoder)
    result = run(conn, tmp_path / "disk")
    assert (result.tally.duplicates, result.tally.new) == (10, 0)
    assert result.changes == Changes(gone=10, known=20)
    assert (value(conn, "SELECT count(*) FROM imrec.image"), result.tally.failed) == (10, 0)
    # Under a root of its own too.
    (tmp_path / "disk" / "archive").rename(tmp_path / "elsewhere")
    result = run(conn, tmp_path / "elsewhere")
    assert (result.tally.duplicates, result.tally.new) == (10, 0)


def test_paths_follow_in_batches_and_a_second_call_finds_nothing(
    conn: Connection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(root_files, "_BATCH", 3)
    moved = folder.rename(folder.parent / "moved")
    told: list[int] = []
    roots = NamedRoots(conn, "a")
    placed = roots.add(str(folder), moved, on_progress=told.append)
    assert (placed.outcome, placed.rewritten) == (Outcome.MOVED, 11)
    assert told == [3, 6, 9, 10, 11]
    paths = conn.execute("SELECT path FROM imrec.file UNION SELECT path FROM imrec.failure").fetchall()
    assert {str(row[0]) for row in paths} == {str(path) for path in moved.iterdir()}
    placed = roots.add(str(folder), moved)
    assert (placed.outcome, placed.rewritten) == (Outcome.KEPT, 0)


def test_a_move_that_broke_off_is_completed_by_the_same_call(
    conn: Connection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(root_files, "_BATCH", 3)
    moved = folder.rename(folder.parent / "moved")

    def interrupt(done: int) -> None:
        if done == 6:
            raise KeyboardInterrupt

    roots = NamedRoots(conn, "a")
    with pytest.raises(KeyboardInterrupt):
        roots.add(str(folder), moved, on_progress=interrupt)
    # Ingest already knows where the files are.
    assert run(conn, moved).tally.unchanged == 10
    assert roots.add(str(folder), moved).rewritten == 5
    assert value(conn, "SELECT count(*) FROM imrec.file WHERE path LIKE '%/moved/%'") == 10


def test_a_removal_that_broke_off_is_completed_by_the_same_call(
    conn: Connection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(root_files, "_BATCH", 3)
    other = folder.parent / "other"
    other.mkdir()
    (other / "copy.png").write_bytes((folder / "4.png").read_bytes())
    (folder / "again.png").write_bytes((folder / "5.png").read_bytes())
    (folder / "7.png").unlink()
    run(conn, folder, other)
    roots = NamedRoots(conn, "a")
    assert roots.contents(str(folder)) == Contents(11, 9)

    def interrupt(done: int) -> None:
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        roots.remove(str(folder), on_progress=interrupt)
    assert roots.remove(str(folder)).files == 5
    assert conn.execute("SELECT path FROM imrec.file").fetchall() == [(str(other / "copy.png"),)]
    for table in ("image", "average_hash", "root", "mount"):
        assert value(conn, f"SELECT count(*) FROM imrec.{table}") == 1
    for table in ("missing", "failure"):
        assert value(conn, f"SELECT count(*) FROM imrec.{table}") == 0


def test_a_root_of_which_nothing_was_said_counts_at_its_canonical_path(
    conn: Connection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conn.execute("DELETE FROM imrec.mount")  # as in a database that is older than mounts
    monkeypatch.setenv("IMREC_HOST", "b")
    assert run(conn, folder).tally.unchanged == 10
    assert value(conn, "SELECT count(*) FROM imrec.root") == 1
    assert value(conn, "SELECT count(*) FROM imrec.mount") == 0


def test_another_hosts_photos_at_the_same_path_are_not_judged(
    conn: Connection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.rename(folder.parent / "disk of a")
    save(folder / "b.png", 77)
    (folder / "bad.png").write_bytes(b"no image at all, but long enough")
    monkeypatch.setenv("IMREC_HOST", "b")
    assert NamedRoots(conn, "b").add("b's", folder).outcome is Outcome.NEW
    result = run(conn, folder)
    assert (result.tally.new, result.tally.failed, result.changes) == (1, 1, Changes(known=1))
    assert ingest_into(conn, [], EmbedderSource(settings_for("")), LIGHT).tally.found == 1
    assert value(conn, "SELECT count(*) FROM imrec.failure") == 2
    assert value(conn, "SELECT count(*) FROM imrec.missing") == 0


def test_failures_in_a_root_that_is_not_here_are_not_forgotten(conn: Connection, folder: Path) -> None:
    away = folder.rename(folder.parent / "not mounted")
    assert ingest_into(conn, [], EmbedderSource(settings_for("")), LIGHT).tally.found == 0
    assert value(conn, "SELECT count(*) FROM imrec.failure") == 1
    away.rename(folder)
    (folder / "broken.png").unlink()
    ingest_into(conn, [], EmbedderSource(settings_for("")), LIGHT)
    assert value(conn, "SELECT count(*) FROM imrec.failure") == 0


def test_what_a_root_inside_hides_on_this_host_is_not_judged(
    conn: Connection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(folder / "scans" / "hidden.png", 70)
    run(conn, folder)
    away = save(folder.parent / "elsewhere" / "scan.png", 71).parent
    NamedRoots(conn, "a").add("scans", away)
    run(conn, away)
    # On b the second root is mounted over a folder of the first one.
    monkeypatch.setenv("IMREC_HOST", "b")
    (folder / "scans" / "hidden.png").unlink()
    (away / "scan.png").rename(folder / "scans" / "scan.png")
    NamedRoots(conn, "b").add(str(folder), folder)
    conn.execute(
        "INSERT INTO imrec.mount SELECT root_id, 'b', %s FROM imrec.root WHERE name = 'scans'",
        (os.fsencode(folder / "scans"),),
    )
    result = run(conn, folder)
    assert (result.tally.unchanged, result.changes) == (11, Changes(known=11))


def test_an_answer_prefers_a_place_on_the_host_that_asks(conn: Connection, add_image: AddImage) -> None:
    stored = add_image("a.jpg")
    other = root_of(b"/z")
    add_root(conn, other, "b")
    conn.execute(
        "INSERT INTO imrec.file SELECT image_id, gen_random_uuid(), %s, relative_path, '/z/a.jpg', 9, 9 "
        "FROM imrec.file",
        (other.root_id,),
    )
    asked = "SELECT path, copies FROM imrec_internal.image_file WHERE image_id = %s"
    for host, path in (("", "/photos/a.jpg"), ("a", "/photos/a.jpg"), ("b", "/z/a.jpg")):
        conn.execute("SELECT set_config('imrec.host', %s, false)", (host,))
        assert conn.execute(asked, (stored.image_id,)).fetchall() == [(path, 2)]


def test_the_canonical_path_moves_only_with_a_root_that_no_other_host_has(
    conn: Connection, folder: Path
) -> None:
    roots = NamedRoots(conn, "b")
    assert roots.add(str(folder), folder.parent).outcome is Outcome.MOUNTED
    assert roots_here(conn, "c").all[0].here == os.fsencode(folder)
    assert roots_here(conn, "c").all[0].elsewhere == ("a", "b")
    assert roots.forget_host(str(folder), "a")
    assert not roots.forget_host(str(folder), "a")
    placed = roots.add(str(folder), folder.parent)
    assert (placed.outcome, placed.rewritten) == (Outcome.MOVED, 11)


def test_what_would_store_files_twice_is_refused(conn: Connection, folder: Path) -> None:
    save(folder / "sub" / "a.png", 20)
    (folder / "empty").mkdir()
    run(conn, folder)
    roots = NamedRoots(conn, "a")
    for place, says in (
        (folder, f"is the root {folder} already: rename that root"),
        (folder / "sub", "are known already, as part of the root"),
        (folder / "none", "does not exist"),
        (folder / "1.png", "is a file"),
    ):
        with pytest.raises(UsageError, match=re.escape(says)):
            roots.add("photos", place)
    for name in ("", " ", "a\nb", os.fsdecode(b"\xff"), "x" * 256):
        with pytest.raises(UsageError, match="a root's name is one line of 1 to 255 letters"):
            roots.add(name, folder / "empty")
    assert roots.add("photos", folder / "empty").outcome is Outcome.NEW
    with pytest.raises(UsageError, match="there is a root photos already"):
        roots.rename(str(folder), "photos")
    with pytest.raises(UsageError, match="there is no root nothing"):
        roots.remove("nothing")
    # The same path on another host may be another folder.
    assert NamedRoots(conn, "b").add("photos of b", folder).outcome is Outcome.NEW


def test_a_bare_word_names_a_root_unless_a_file_has_that_name(
    conn: Connection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    NamedRoots(conn, "a").rename(str(folder), "pictures")
    monkeypatch.chdir(folder.parent)
    assert folders_of(conn, [b"pictures", b"unknown"]) == [os.fsencode(folder), b"unknown"]
    assert folders_of(conn, [b"./pictures", b"/pictures"]) == [b"./pictures", b"/pictures"]
    (folder.parent / "pictures").mkdir()
    assert folders_of(conn, [b"pictures"]) == [b"pictures"]
