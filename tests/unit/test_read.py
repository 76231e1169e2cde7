"""Reading a file once and whole, whatever happens to it meanwhile."""

import errno
import os
import pickle
from pathlib import Path
from uuid import UUID

import pytest

from imrec_pg.errors import DecodeError
from imrec_pg.images import content, decoders
from imrec_pg.images.content import FileContent, Limits, read


def failure(path: Path | bytes, limits: Limits | None = None) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        read(path if isinstance(path, bytes) else os.fsencode(path), limits or Limits())
    return caught.value


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A file of three bytes; reading does not ask whether they are a picture."""
    path = tmp_path / "a.jpg"
    path.write_bytes(b"abc")
    os.utime(path, ns=(1, 1_700_000_000_123_456_789))
    return path


def when_first_looked_at(monkeypatch: pytest.MonkeyPatch, path: Path, data: bytes) -> None:
    """Let another program write data into the file between the first fstat and the reading."""
    real_fstat = os.fstat
    calls: list[int] = []

    def fstat(descriptor: int) -> os.stat_result:
        status = real_fstat(descriptor)
        if not calls:
            path.write_bytes(data)
        calls.append(descriptor)
        return status

    monkeypatch.setattr("os.fstat", fstat)
    monkeypatch.setattr(content, "_TICK_NS", 0)  # else a file that was just written is looked at twice


def test_content_and_its_id(photo: Path) -> None:
    # The SHA-256 of "abc" is in FIPS 180-2.
    expected = FileContent(b"abc", 3, 1_700_000_000_123_456_789, UUID("ba7816bf-8f01-cfea-4141-40de5dae2223"))
    assert read(os.fsencode(photo)) == expected


def test_content_is_not_in_the_repr(photo: Path) -> None:
    """A log line with a whole photo in it helps nobody."""
    assert "abc" not in repr(read(os.fsencode(photo)))


def test_link_is_followed(photo: Path, tmp_path: Path) -> None:
    (tmp_path / "link.jpg").symlink_to(photo)
    assert read(os.fsencode(tmp_path / "link.jpg")).data == b"abc"


def test_name_that_is_no_utf_8(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\n.jpg"
    Path(os.fsdecode(path)).write_bytes(b"abc")
    assert read(path).size == 3


@pytest.mark.parametrize(
    "data", [b"abcd", b"ab", b"", b"xyz"], ids=["grown", "shrunk", "emptied", "same size"]
)
def test_file_that_changes_while_read(photo: Path, monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    when_first_looked_at(monkeypatch, photo, data)
    error = failure(photo)
    assert (error.kind, error.path) == ("ChangedWhileRead", str(photo))


def test_a_change_whose_time_is_set_back_is_noticed(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, real_pread = photo.stat(), os.pread

    def pread(descriptor: int, length: int, offset: int) -> bytes:
        photo.write_bytes(b"xyz")
        os.utime(photo, ns=(status.st_atime_ns, status.st_mtime_ns))
        return real_pread(descriptor, length, offset)

    monkeypatch.setattr("os.pread", pread)
    assert failure(photo).kind == "ChangedWhileRead"


def test_a_file_that_is_being_written_is_not_read(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_fstat = os.fstat

    def fstat(descriptor: int) -> os.stat_result:
        photo.write_bytes(b"xyz")
        return real_fstat(descriptor)

    monkeypatch.setattr("os.fstat", fstat)
    error = failure(photo)
    assert (error.kind, error.reason) == ("ChangedWhileRead", "another program is writing the file")


def test_file_replaced_while_read_gives_the_old_content_whole(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs that save by rename leave the open file as it was."""
    other = tmp_path / "new.jpg"
    other.write_bytes(b"new")
    real_pread = os.pread

    def pread(descriptor: int, length: int, offset: int) -> bytes:
        other.rename(photo)
        return real_pread(descriptor, length, offset)

    monkeypatch.setattr("os.pread", pread)
    assert read(os.fsencode(photo)).data == b"abc"
    assert photo.read_bytes() == b"new"


def test_empty_file(photo: Path) -> None:
    photo.write_bytes(b"")
    assert failure(photo).kind == "Empty"


def test_size_limit_is_inclusive(photo: Path) -> None:
    assert read(os.fsencode(photo), Limits(max_size=3)).size == 3
    error = failure(photo, Limits(max_size=2))
    assert (error.kind, error.reason) == ("TooLarge", "3 bytes, more than the limit of 2")


def test_huge_sparse_file_is_refused_unread(photo: Path) -> None:
    os.truncate(photo, 2**40)
    assert failure(photo).kind == "TooLarge"


def test_missing_file_has_vanished(tmp_path: Path) -> None:
    assert failure(tmp_path / "missing.jpg").kind == "Vanished"
    (tmp_path / "file").write_bytes(b"x")
    assert failure(tmp_path / "file/a.jpg").kind == "Vanished"
    (tmp_path / "link.jpg").symlink_to("nowhere")
    assert failure(tmp_path / "link.jpg").kind == "Vanished"


def test_folder_and_fifo_and_device_are_unreadable_and_do_not_hang(tmp_path: Path) -> None:
    assert failure(tmp_path).kind == "Unreadable"
    os.mkfifo(tmp_path / "pipe.jpg")
    assert failure(tmp_path / "pipe.jpg").kind == "Unreadable"
    assert failure(b"/dev/zero").kind == "Unreadable"


def test_impossible_paths_are_unreadable(tmp_path: Path) -> None:
    assert failure(b"/tmp/a\0b.jpg").kind == "Unreadable"
    assert failure(tmp_path / ("x" * 300 + ".jpg")).kind == "Unreadable"
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    assert failure(tmp_path / "loop.jpg").kind == "Unreadable"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_file_without_permission_is_unreadable(photo: Path) -> None:
    photo.chmod(0)
    error = failure(photo)
    assert (error.kind, error.reason) == ("Unreadable", "Permission denied")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_what_the_system_says_becomes_the_reason(
    photo: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_args: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.pread", refuse)
    error = failure(photo)
    assert error.kind == ("Vanished" if number == errno.ESTALE else "Unreadable")
    assert error.reason == os.strerror(number)


def test_no_memory_is_a_failure_of_the_moment(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object) -> int:
        raise MemoryError

    monkeypatch.setattr("os.pread", refuse)
    assert failure(photo).kind == "OutOfMemory"


def test_what_cannot_be_decoded_is_refused_by_its_first_bytes(tmp_path: Path) -> None:
    """Its other 30 MB are not read: the file is sparse and far longer than memory, but within the limit."""
    path = tmp_path / "a.jpg"
    path.write_bytes(b"icns")
    os.truncate(path, 2**40)
    error = failure(path, Limits(max_size=2**41))
    assert error.kind == "UnsupportedFormat"
    assert "ICNS" in error.reason


@pytest.mark.parametrize(("missing", "kind"), [(True, "DecoderMissing"), (False, None)])
def test_a_raw_is_read_where_its_decoder_is(
    photo: Path, monkeypatch: pytest.MonkeyPatch, missing: bool, kind: str | None
) -> None:
    monkeypatch.setattr(decoders, "find_spec", lambda _name: None if missing else True)
    path = photo.rename(photo.with_suffix(".nef"))
    if kind is None:
        assert read(os.fsencode(path)).size == 3
    else:
        assert failure(path).kind == kind


def test_failure_travels_between_processes(tmp_path: Path) -> None:
    error = failure(tmp_path / "missing.jpg")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (copy.path, copy.kind, copy.reason) == (error.path, error.kind, error.reason)
