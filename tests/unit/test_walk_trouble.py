"""Walking folders in trouble: what cannot be read, what vanishes, what is odd about the file system."""

import errno
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from imrec_pg.images.walk import Walk, count
from imrec_pg.paths import display_path

AS_ROOT = os.geteuid() == 0


def no_error(path: bytes, error: OSError) -> None:
    raise AssertionError((path, error))


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


class Errors:
    """Collects what a walk reports, by file name."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int | None]] = []

    def __call__(self, path: bytes, error: OSError) -> None:
        self.seen.append((os.fsdecode(path).rpartition("/")[2], error.errno))


@pytest.fixture
def deep_folder(tmp_path: Path) -> Iterator[str]:
    """A folder below more others than Python has recursion levels; 2 bytes each, to stay below PATH_MAX."""
    path, depth = str(tmp_path), sys.getrecursionlimit() + 100
    for _ in range(depth):
        path += "/d"
        Path(path).mkdir()
    yield path
    for _ in range(depth):  # pytest's own removal recurses
        shutil.rmtree(path)
        path = path.removesuffix("/d")


def test_tree_deeper_than_the_recursion_limit(tmp_path: Path, deep_folder: str) -> None:
    touch(Path(deep_folder), "a.jpg")
    assert [entry.path for entry in Walk([os.fsencode(tmp_path)], no_error)] == [
        f"{deep_folder}/a.jpg".encode()
    ]
    assert count(os.fsencode(tmp_path)) == 1


def test_missing_folder_that_the_user_named_is_reported(tmp_path: Path) -> None:
    touch(tmp_path, "there/a.jpg")
    errors = Errors()
    folders = [os.fsencode(tmp_path / "missing"), os.fsencode(tmp_path / "there")]
    assert len(list(Walk(folders, errors))) == 1
    assert errors.seen == [("missing", errno.ENOENT)]


def test_file_named_as_a_folder_is_reported(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    errors = Errors()
    assert list(Walk([os.fsencode(tmp_path / "a.jpg")], errors)) == []
    assert errors.seen == [("a.jpg", errno.ENOTDIR)]


def test_what_vanishes_after_listing_is_passed_over_in_silence(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg", "sub/c.jpg", "tub/d.jpg")
    entries = iter(Walk([os.fsencode(tmp_path)], no_error))
    found = [next(entries)]
    (tmp_path / "b.jpg").unlink()
    shutil.rmtree(tmp_path / "sub")
    found += entries
    assert [os.fsdecode(entry.path).rpartition("/")[2] for entry in found] == ["a.jpg", "d.jpg"]


def test_file_that_becomes_a_fifo_after_listing_is_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    entries = iter(Walk([os.fsencode(tmp_path)], no_error))
    next(entries)
    (tmp_path / "b.jpg").unlink()
    os.mkfifo(tmp_path / "b.jpg")
    assert list(entries) == []


@pytest.mark.skipif(AS_ROOT, reason="root may read every folder")
def test_unreadable_folder_is_reported_and_the_walk_goes_on(tmp_path: Path) -> None:
    touch(tmp_path, "locked/a.jpg", "open/b.jpg")
    (tmp_path / "locked").chmod(0)
    errors = Errors()
    try:
        assert len(list(Walk([os.fsencode(tmp_path)], errors))) == 1
    finally:
        (tmp_path / "locked").chmod(0o700)
    assert errors.seen == [("locked", errno.EACCES)]


def test_refused_folder_and_file_are_reported_and_the_walk_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "bad.jpg", "good.jpg", "locked/a.jpg", "open/b.jpg")
    real_scandir, real_stat = os.scandir, os.stat

    def scandir(path: bytes) -> Any:
        if path.endswith(b"/locked"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real_scandir(path)

    def stat(path: bytes) -> os.stat_result:
        if path.endswith(b"/bad.jpg"):
            raise OSError(errno.EIO, "Input/output error")
        return real_stat(path)

    monkeypatch.setattr("os.scandir", scandir)
    monkeypatch.setattr("os.stat", stat)
    errors = Errors()
    found = [os.fsdecode(entry.path).rpartition("/")[2] for entry in Walk([os.fsencode(tmp_path)], errors)]
    monkeypatch.undo()
    assert found == ["good.jpg", "b.jpg"]
    assert errors.seen == [("bad.jpg", errno.EIO), ("locked", errno.EACCES)]


def test_link_to_itself_is_reported(tmp_path: Path) -> None:
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    errors = Errors()
    assert list(Walk([os.fsencode(tmp_path)], errors)) == []
    assert errors.seen == [("loop.jpg", errno.ELOOP)]


def test_file_system_without_inode_numbers_loses_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a/1.jpg", "b/2.jpg")
    real_stat = os.stat

    def stat(path: bytes) -> SimpleNamespace:
        real = real_stat(path)
        return SimpleNamespace(st_dev=1, st_ino=0, st_mode=real.st_mode, st_size=1, st_mtime_ns=1)

    monkeypatch.setattr("os.stat", stat)
    found = [os.fsdecode(entry.path)[-7:] for entry in Walk([os.fsencode(tmp_path)], no_error)]
    monkeypatch.undo()
    assert found == ["a/1.jpg", "b/2.jpg"]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (b"/a/b.jpg", "/a/b.jpg"),
        ("/é/山/🏔️\u202f1.jpg".encode(), "/é/山/🏔️\u202f1.jpg"),  # macOS writes U+202F in screenshot names
        (b"/caf\xe9.jpg", r"/caf\xe9.jpg"),
        (b"/\xff\xfe", r"/\xff\xfe"),
        (b"/\xed\xa0\x80", r"/\xed\xa0\x80"),  # a surrogate in UTF-8, which Postgres refuses
        (b"", ""),
    ],
)
def test_display_path_is_text_that_utf_8_holds(path: bytes, text: str) -> None:
    assert display_path(path) == text


def test_display_path_takes_every_byte() -> None:
    display_path(bytes(range(256))).encode("utf-8")
