"""Files and folders that a user names to be written: what they may replace, and how they are written.

A file is replaced only if imrec-pg wrote it, or if that is forced; a query and a stored photo never are.
How a file is known to be ours is told by whoever writes its kind, from a mark that it leaves inside.

What is written is private (0600, folders 0700), has a random name in the target's folder until it is
complete, and takes the target's name only if nothing has come or changed there meanwhile. So a name that
somebody else planted, in a folder where others may write, leads nowhere.
"""

import logging
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TypeAlias

from imrec_pg.errors import FileInTheWayError, ImrecError, KeptFileError, OutputExistsError, UsageError
from imrec_pg.paths import absolute, display_path

logger = logging.getLogger(__name__)

Kept: TypeAlias = Callable[[Path], str | None]
"""Says what a file is that must never be replaced, such as "a stored photo"; None for any other."""

_PREFIX, _SUFFIX = ".imrec-pg-", ".partial"
_LEFT_OVER_S = 24 * 3600
_MARKED = 1 << 16  # bytes at both ends of a file among which its mark is looked for
# Windows lacks these; there the exclusive creation alone has to do.
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)


def nothing_kept(_path: Path) -> None:
    """Return that no file has to stay."""


def place(target: Path) -> Path:
    """Return a target as an absolute path, "~" expanded."""
    return Path(os.fsdecode(absolute(target)))


def shown(path: Path) -> str:
    """Return a path for people."""
    return display_path(os.fsencode(path))


def check(
    target: Path,
    what: str,
    is_ours: Callable[[Path], bool],
    *,
    overwrite: bool = True,
    force: bool = False,
    kept: Kept = nothing_kept,
) -> os.stat_result | None:
    """Return the status of the file that an output may replace, or None if there is nothing.

    Args:
        target: from place().
        what: the kind of output, such as "a dump".
        is_ours: whether a regular file is an output of that kind.
        overwrite: whether an earlier output may be replaced.
        force: whether any other regular file, or link, may be replaced.
        kept: what must not be replaced, even if forced.

    Raises:
        KeptFileError: the file must not be replaced, whatever is asked for.
        OutputExistsError: it is an earlier output, and overwrite and force are False.
        FileInTheWayError: imrec-pg did not write it, and force is False.
        UsageError: its folder does not exist; or it is a folder, a device, a pipe or the like.
    """
    if not target.parent.is_dir():
        raise UsageError(f"{shown(target.parent)} is not a folder: create it, or choose another one")
    found = status(target)
    if found is None:
        return None
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a device or a pipe"
        raise UsageError(f"{shown(target)} is {kind}: name a file for {what}")
    if (reason := kept(target)) is not None:
        raise KeptFileError(shown(target), reason)
    if force:
        return found
    # A link is nothing that imrec-pg makes.
    if not stat.S_ISREG(found.st_mode) or not is_ours(target):
        raise FileInTheWayError(shown(target), what)
    if not overwrite:
        raise OutputExistsError(shown(target), what)
    return found


@contextmanager
def new_file(target: Path, replaced: os.stat_result | None) -> Iterator[IO[bytes]]:
    """Yield a file to write into, which becomes the target when the block ends well; else it is removed.

    Args:
        target: from place().
        replaced: what check() returned.

    Raises:
        ImrecError: another file has appeared at the target meanwhile.
        OSError: the disk is full, or another trouble of the file system.
    """
    unfinished = unused_name(target)
    file = create(unfinished)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            _put(unfinished, target, os.fstat(file.fileno()), replaced)
        to_disk(target.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def new_folder(target: Path) -> Path:
    """Create a private folder with a random name beside the target, and return it."""
    folder = unused_name(target)
    folder.mkdir(mode=0o700)
    return folder


def create(path: Path) -> IO[bytes]:
    """Return a new private file, open for reading and writing; whatever has its name is an error."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_LINKS, 0o600)
    return os.fdopen(descriptor, "w+b")


def is_marked(path: Path, heads: tuple[bytes, ...], *marks: bytes) -> bool:
    """Return whether a file begins with one of the heads, and one of the marks stands near an end of it."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | _NO_LINKS), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return False
            ends = file.read(_MARKED)
            file.seek(max(0, os.fstat(file.fileno()).st_size - _MARKED))
            ends += b"\0" + file.read(_MARKED)
    except OSError:
        return False
    return ends.startswith(heads) and any(mark in ends for mark in marks)


def status(path: Path) -> os.stat_result | None:
    """Return the status of what has this name, a link itself included; None if nothing has."""
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def is_unchanged(path: Path, before: os.stat_result | None) -> bool:
    """Return whether a name still stands for what it stood for."""
    now = status(path)
    if now is None or before is None:
        return now is before
    return os.path.samestat(now, before) and (now.st_size, now.st_mtime_ns) == (
        before.st_size,
        before.st_mtime_ns,
    )


def to_disk(path: Path) -> None:
    """Wait until a power cut could no longer take a file or folder."""
    if os.name == "nt":
        return
    opened = os.open(path, os.O_RDONLY | _NO_LINKS)
    try:
        with suppress(OSError):  # some network disks do that by themselves, and refuse to be told
            os.fsync(opened)
    finally:
        os.close(opened)


def unused_name(target: Path) -> Path:
    """Return a hidden random name beside the target."""
    _tell_of_left_overs(target.parent)
    return target.with_name(f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}")


def _tell_of_left_overs(folder: Path) -> None:
    """Warn of what killed runs left; to remove it unasked would let others choose what is removed."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not (entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX)):
                continue
            if time.time() - entry.stat(follow_symlinks=False).st_mtime > _LEFT_OVER_S:
                logger.warning("%s was left by a run that was killed: delete it", shown(Path(entry.path)))


def _put(unfinished: Path, target: Path, written: os.stat_result, replaced: os.stat_result | None) -> None:
    if not os.path.samestat(unfinished.lstat(), written):
        raise ImrecError(
            f"another program took away what was written for {shown(target)}: "
            "choose a folder in which nobody else may write"
        )
    if replaced is None:
        try:
            # Unlike a rename this fails if the name is taken by now.
            os.link(unfinished, target, follow_symlinks=False)
        except FileExistsError:
            raise _changed(target) from None
        except (OSError, NotImplementedError):  # FAT and some network disks have no hard links
            pass
        else:
            return
    if not is_unchanged(target, replaced):
        raise _changed(target)
    unfinished.replace(target)


def _changed(target: Path) -> ImrecError:
    return ImrecError(f"another program has just written {shown(target)}: nothing was replaced; try again")
