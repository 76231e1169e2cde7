"""Walk folders for photos.

Paths are raw bytes throughout, so that a name in any encoding, or in none, leads back to its file.
"""

import errno
import os
import stat
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from imrec_pg.images.formats import CANDIDATE_EXTENSIONS, extension

VANISHED = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ESTALE})
"""Errors for a file that was there a moment ago (ESTALE: on NFS), or for a dangling link."""

NEVER = -(2**63)
"""A modification time that mtime_of() gives no file."""

# Thumbnails, recycle bins and resource forks of NAS, Windows and macOS; hidden ones are skipped anyway.
_SYSTEM_FOLDERS = frozenset(
    {
        b"@eadir",
        b"@recycle",
        b"#recycle",
        b"#snapshot",
        b"$recycle.bin",
        b"system volume information",
        b"lost+found",
        b"__macosx",
    }
)

OnError = Callable[[bytes, OSError], None]


@dataclass(frozen=True, slots=True)
class WalkEntry:
    """A candidate file.

    Attributes:
        path: raw bytes of the absolute path; begins with the folder walked, exactly as given.
        size: bytes.
        mtime_ns: nanoseconds since 1970, as mtime_of() gives them.
    """

    path: bytes
    size: int
    mtime_ns: int


@dataclass(slots=True)
class _Listing:
    """What one folder contains; links to folders wait until all real folders are done."""

    files: list[bytes]
    folders: list[bytes]
    links: list[bytes]


class Walk:
    """The candidate files below some folders: iterate over it once.

    A folder yields its own files first, sorted by name as bytes, then its subfolders, so that memory holds
    the names of one folder's files and of the subfolders on the way to it. Hidden and system files and
    folders are skipped, unless the user named them.

    A folder is visited once, whatever links lead to it. A set of the ancestors would stop loops too, but n
    folders that link to each other have n! loop-free paths through them. Links to folders come after all real
    folders, so that a photo is found under its real path if it has one, and stays there when a link comes or
    goes. The set costs about 200 bytes a folder.

    Attributes:
        ignored: how many files were skipped because their name is not an image's, or because they are
            sockets, FIFOs or devices (never opened: that could hang) or dangling links.
    """

    def __init__(self, folders: Sequence[bytes], on_error: OnError) -> None:
        """Prepare a walk.

        on_error is called for each folder and file that cannot be read; then the walk goes on. What lies
        below such a folder is unknown, not gone. What vanishes between listing and stat is skipped silently,
        but a missing folder in folders is an error.
        """
        self.ignored = 0
        self._folders = [_absolute(folder) for folder in folders]
        self._on_error = on_error
        self._visited: set[tuple[int, int]] = set()

    def __iter__(self) -> Iterator[WalkEntry]:
        """Yield the regular files; links to files count, under the link's path."""
        for path in self.paths():
            try:
                status = os.stat(path)  # noqa: PTH116 - bytes
            except OSError as error:
                self._report(path, error)
                continue
            if stat.S_ISREG(status.st_mode):
                yield WalkEntry(path, status.st_size, mtime_of(status))

    def paths(self) -> Iterator[bytes]:
        """Yield the candidates' paths without a stat for each."""
        linked: deque[bytes] = deque()
        for folder in self._folders:
            yield from self._below(folder, linked, named_by_user=True)
        while linked:
            yield from self._below(linked.popleft(), linked, named_by_user=False)

    def _below(self, top: bytes, linked: deque[bytes], *, named_by_user: bool) -> Iterator[bytes]:
        # A stack of iterators, not recursion: trees may be deeper than Python's 1000 calls.
        levels: list[Iterator[bytes]] = [iter((top,))]
        while levels:
            folder = next(levels[-1], None)
            if folder is None:
                levels.pop()
                continue
            listing = self._list(folder, silent=not (named_by_user and folder == top))
            linked.extend(listing.links)
            yield from listing.files
            levels.append(iter(listing.folders))

    def _list(self, folder: bytes, *, silent: bool) -> _Listing:
        listing = _Listing([], [], [])
        try:
            if not self._is_new(folder):
                return listing
            with os.scandir(folder) as entries:
                for entry in entries:
                    self._sort_in(entry, listing)
        except OSError as error:
            # What was listed before the error (bad sector, lost connection) still counts.
            self._report(folder, error, silent=silent)
        for paths in (listing.files, listing.folders, listing.links):
            paths.sort()
        return listing

    def _is_new(self, folder: bytes) -> bool:
        status = os.stat(folder)  # noqa: PTH116 - bytes
        key = (status.st_dev, status.st_ino)
        # Some network and FUSE file systems give no inode numbers: every folder there would look the same.
        if status.st_ino == 0:
            return True
        if key in self._visited:
            return False
        self._visited.add(key)
        return True

    def _sort_in(self, entry: os.DirEntry[bytes], listing: _Listing) -> None:
        if entry.name.startswith(b"."):
            return
        try:
            if entry.is_dir():
                if entry.name.lower() not in _SYSTEM_FOLDERS:
                    (listing.links if entry.is_symlink() else listing.folders).append(entry.path)
            elif entry.is_file() and extension(entry.name) in CANDIDATE_EXTENSIONS:
                listing.files.append(entry.path)
            else:
                self.ignored += 1
        except OSError as error:
            self._report(entry.path, error)

    def _report(self, path: bytes, error: OSError, *, silent: bool = True) -> None:
        if not (silent and error.errno in VANISHED):
            self._on_error(path, error)


def mtime_of(status: os.stat_result) -> int:
    """Return the modification time in nanoseconds since 1970, brought within what a bigint holds.

    It holds the years from 1677 to 2262, and file systems more. All times beyond an end are the same one.
    """
    return max(NEVER + 1, min(status.st_mtime_ns, 2**63 - 1))


def is_passed_over(below: bytes) -> bool:
    """Return whether a walk would skip this path, which is relative to the folder walked."""
    return any(part.startswith(b".") or part.lower() in _SYSTEM_FOLDERS for part in below.split(b"/"))


def _absolute(folder: bytes) -> bytes:
    # os.path.abspath would also drop "link/..", which may lead elsewhere than the folder of the link.
    return folder if folder.startswith(b"/") else os.path.join(os.getcwdb(), folder)  # noqa: PTH109, PTH118


def count(folder: bytes) -> int:
    """Return how many candidates a walk of the folder will meet, for a progress bar's total.

    It only reads names: one stat per folder, none per file. Errors are left to the walk to report.
    """
    return sum(1 for _ in Walk([folder], lambda _path, _error: None).paths())
