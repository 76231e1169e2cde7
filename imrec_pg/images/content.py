"""Read image files: the whole content as of one moment, or a DecodeError.

The kinds of DecodeError, here and in images.decode:
    Vanished, Unreadable, ChangedWhileRead, OutOfMemory, DecoderMissing: they depend on the moment; the same
        file may decode next time.
    Empty, TooLarge, TooManyPixels, Truncated, Corrupt, NotAnImage, UnsupportedFormat: they depend on the
        content.
    OutsideRoot: of read_beneath() alone.
"""

import errno
import hashlib
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO
from uuid import UUID

from imrec_pg.errors import DecodeError
from imrec_pg.images import decoders, formats
from imrec_pg.images.beneath import OutsideError, open_beneath
from imrec_pg.images.decode_errors import one_line
from imrec_pg.images.walk import VANISHED, mtime_of
from imrec_pg.paths import display_path, slashed

MAX_PIXELS = 200_000_000
"""The largest phone cameras make 199.8 million; one such picture takes 0.8 GB decoded."""

CONTENT_KINDS = frozenset(
    {"Empty", "TooLarge", "TooManyPixels", "Truncated", "Corrupt", "NotAnImage", "UnsupportedFormat"}
)
"""Kinds of DecodeError that come from the content: the file no longer holds the image it held before."""

# Of a file this large, so much must be on the disk. Holes read as zeros and cost nothing to make, but 511 MB of
# them took 39 s to hash and decode: a few bytes could keep an ingest busy for days.
_LARGE = 16 * 1024 * 1024
_STORED_SHARE = 16

# File systems take times from a clock that may tick only 100 times a second.
_TICK_NS = 20_000_000
_LOOKS = 25


@dataclass(frozen=True, slots=True)
class Limits:
    """What is refused: larger images, and truncated ones unless they are accepted.

    Attributes:
        max_size: size of the file.
        max_pixels: width times height, checked before the pixels are decoded; never more than MAX_PIXELS.
        accept_truncated: take a JPEG whose end is missing, as far as it goes.
    """

    max_size: int = 512 * 1024 * 1024
    max_pixels: int = MAX_PIXELS
    accept_truncated: bool = False


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class FileContent:
    """A whole file, as it was at one moment.

    Attributes:
        image_id: depends on the content alone.
    """

    data: bytes = field(repr=False)
    size: int
    mtime_ns: int
    image_id: UUID


def image_id_of(data: bytes) -> UUID:
    """Return the first 128 bits of the content's SHA-256."""
    return UUID(bytes=hashlib.sha256(data).digest()[:16])


def read(path: bytes, limits: Limits = DEFAULT_LIMITS) -> FileContent:
    """Return a file's content, read once; links are followed.

    Raises:
        DecodeError: it cannot be read, changed meanwhile, is empty or too large, or begins like a format
            that cannot be decoded here (else a folder of camera raws, 30 MB a file, is read for nothing).
    """
    with _explained(display_path(path)), open(path, "rb", opener=_open_without_waiting) as file:
        return _read(file, path, display_path(path), limits)


def read_beneath(folder: bytes, relative: bytes, limits: Limits = DEFAULT_LIMITS) -> FileContent:
    """Return the content of a file in a folder, as read() does, unless links lead out of the folder.

    Raises:
        DecodeError: as read(), and OutsideRoot.
    """
    path = slashed(folder) + relative
    with _explained(display_path(path)), open_beneath(folder, relative) as file:
        return _read(file, path, display_path(path), limits)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except OutsideError as error:
        raise DecodeError(name, "OutsideRoot", str(error)) from error
    except OSError as error:
        kind = "Vanished" if error.errno in VANISHED else "Unreadable"
        raise DecodeError(name, kind, one_line(error.strerror or str(error))) from error
    except ValueError as error:  # a NUL in the path
        raise DecodeError(name, "Unreadable", one_line(str(error))) from error
    except MemoryError as error:
        raise DecodeError(name, "OutOfMemory", "not enough memory to read the file") from error


def _open_without_waiting(path: bytes | str, flags: int) -> int:
    # A FIFO that replaced the file since the walk would block until somebody writes to it.
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _read(file: IO[bytes], path: bytes, name: str, limits: Limits) -> FileContent:
    before = _settled(file.fileno(), name)
    if not stat.S_ISREG(before.st_mode):
        raise DecodeError(name, "Unreadable", "not a regular file")
    if before.st_size <= 0:  # below: from a broken FUSE file system; read() would take it for "all"
        raise DecodeError(name, "Empty", "the file is empty")
    if before.st_size > limits.max_size:
        reason = f"{before.st_size:,} bytes, more than the limit of {limits.max_size:,}"
        raise DecodeError(name, "TooLarge", reason)
    head = os.pread(file.fileno(), formats.HEAD_SIZE, 0)
    decoders.check(formats.recognise(head, formats.extension(path)), name)
    _check_stored(file.fileno(), before.st_size, name)
    data = file.read(before.st_size)
    after = os.fstat(file.fileno())
    if len(data) != before.st_size or _changed(before, after):
        raise DecodeError(name, "ChangedWhileRead", "the file changed while it was read")
    return FileContent(data, len(data), mtime_of(before), image_id_of(data))


def _check_stored(descriptor: int, size: int, name: str) -> None:
    """Check that a large file is not nearly all holes.

    Holes, not blocks: a file system that compresses takes few blocks for a large picture of one colour, and some
    network file systems report none at all; those that know no holes say that all is data.

    Raises:
        DecodeError: less than a sixteenth is data.
    """
    if size < _LARGE or not hasattr(os, "SEEK_DATA"):
        return
    stored = end = 0
    while stored < size // _STORED_SHARE:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
            end = os.lseek(descriptor, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno != errno.ENXIO:  # this file system cannot tell
                break
            reason = (
                f"of {size:,} bytes only {stored:,} are on the disk: an unfinished download, or a sparse file"
            )
            raise DecodeError(name, "Unreadable", reason) from error
        stored += end - start
    os.lseek(descriptor, 0, os.SEEK_SET)


def _settled(descriptor: int, name: str) -> os.stat_result:
    """Return the file's status once nobody has written for a tick, so that the next change will show.

    Raises:
        DecodeError: somebody keeps writing.
    """
    for _ in range(_LOOKS):
        status = os.fstat(descriptor)
        # A write sets the time before it copies the bytes, and two in the same tick get the same time.
        if abs(time.time_ns() - status.st_ctime_ns) >= _TICK_NS:
            return status
        time.sleep(_TICK_NS / 1e9)
    raise DecodeError(name, "ChangedWhileRead", "another program is writing the file")


def _changed(before: os.stat_result, after: os.stat_result) -> bool:
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        return True
    # Programs can set the modification time back, but not this one; it also changes when a link goes.
    return after.st_ctime_ns != before.st_ctime_ns and after.st_nlink == before.st_nlink
