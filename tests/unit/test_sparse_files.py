"""Files that are nearly all holes, which cost nothing to make and much to read."""

import os
from pathlib import Path

import pytest
from support_images import noise, saved

from imrec_pg.errors import DecodeError
from imrec_pg.images.content import read

MEGABYTE = 1024 * 1024


def sparse(path: Path, size: int, *, stored: int = 0, at: int = 0) -> bytes:
    """Make a file of that size, of which that many bytes are written."""
    with path.open("wb") as file:
        file.truncate(size)
        file.write(saved(noise(), "JPEG")[:500])
        file.seek(at)
        file.write(os.urandom(stored))
        file.flush()
        os.fsync(file.fileno())
    if path.stat().st_blocks * 512 > size // 2 + stored:
        pytest.skip("the file system of the temporary folder has no holes")
    return bytes(path)


@pytest.mark.parametrize("size", [16 * MEGABYTE, 511 * MEGABYTE])
def test_a_large_file_of_holes_is_not_read(size: int, tmp_path: Path) -> None:
    path = sparse(tmp_path / "a.jpg", size)
    # Reading would take seconds and as much memory; no time is asserted.
    with pytest.raises(DecodeError, match=r"of [0-9,]+ bytes only [0-9,]+ are on the disk") as caught:
        read(path)
    assert caught.value.kind == "Unreadable"


@pytest.mark.parametrize(("stored", "at"), [(2 * MEGABYTE, 0), (2 * MEGABYTE, 30 * MEGABYTE)])
def test_a_file_with_holes_and_enough_data_is_read_whole(stored: int, at: int, tmp_path: Path) -> None:
    path = sparse(tmp_path / "a.jpg", 32 * MEGABYTE, stored=stored, at=at)
    assert read(path).data == Path(os.fsdecode(path)).read_bytes()


def test_small_files_of_holes_are_read(tmp_path: Path) -> None:
    path = sparse(tmp_path / "a.jpg", 4 * MEGABYTE)
    assert read(path).size == 4 * MEGABYTE


def test_a_file_system_that_cannot_tell_holes_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(saved(noise(), "JPEG") + bytes(17 * MEGABYTE))
    seek = os.lseek

    def without_holes(descriptor: int, position: int, how: int) -> int:
        if how in {os.SEEK_DATA, os.SEEK_HOLE}:
            raise OSError(22, "Invalid argument")
        return seek(descriptor, position, how)

    monkeypatch.setattr(os, "lseek", without_holes)
    assert read(bytes(path)).data == path.read_bytes()
