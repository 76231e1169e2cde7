"""Walk folders for photos.

Paths are raw bytes throughout, so that a name in any encoding, or in none, leads back to its file.
"""

import errno
import os
import stat
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from imrec_pg.images.exclude import IGNORE_FILE, Exclusion, exclusion, exclusion_in, is_excluded
from imrec_pg.images.formats import CANDIDATE_EXTENSIONS, extension
from imrec_pg.paths import slashed

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

# Folders that are one thing to their program. Of Apple's only the originals are photos of the user's; what
# Lightroom renders into .lrdata is all of it small copies.
_PACKAGES = frozenset({b"photoslibrary", b"photolibrary", b"migratedphotolibrary", b"aplibrary"})
_ORIGINALS = frozenset({b"originals", b"masters"})
_PREVIEWS = b"lrdata"

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
    """What one folder contains; links to folders wait until all real folders are done.

    Attributes:
        exclusions: what is left out in the folder and below.
        has_own: whether the folder has an ignore file.
    """

    files: list[bytes]
    folders: list[bytes]
    links: list[bytes]
    exclusions: tuple[Exclusion, ...]
    has_own: bool = False


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
        excluded: how many files and folders the patterns of the user left out.
        previews: how many folders of small copies were skipped, inside the libraries of other programs.
    """

    def __init__(
        self,
        folders: Sequence[bytes],
        on_error: OnError,
        exclude: Sequence[str] = (),
        tops: Sequence[bytes] = (),
    ) -> None:
        """Prepare a walk.

        exclude are patterns (images.exclude) for each of tops, in which the folders lie; without tops, for
        each of the folders.

        on_error is called for each folder and file that cannot be read; then the walk goes on. What lies
        below such a folder is unknown, not gone. What vanishes between listing and stat is skipped silently,
        but a missing folder in folders is an error.
        """
        self.ignored = self.excluded = self.previews = 0
        self._exclude = tuple(exclude)
        self._tops = tuple(tops)
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
        linked: deque[tuple[bytes, tuple[Exclusion, ...]]] = deque()
        for folder in self._folders:
            around = exclusions_around(folder, self._exclude, self._tops, self._on_error)
            if around is None:
                self.excluded += 1
                continue
            yield from self._below(folder, around, linked, named_by_user=True)
        while linked:
            yield from self._below(*linked.popleft(), linked, named_by_user=False)

    def _below(
        self,
        top: bytes,
        around: tuple[Exclusion, ...],
        linked: deque[tuple[bytes, tuple[Exclusion, ...]]],
        *,
        named_by_user: bool,
    ) -> Iterator[bytes]:
        # A stack of iterators, not recursion: trees may be deeper than Python's 1000 calls.
        levels = [(iter((top,)), around)]
        while levels:
            folders, exclusions = levels[-1]
            folder = next(folders, None)
            if folder is None:
                levels.pop()
                continue
            listing = self._list(folder, exclusions, silent=not (named_by_user and folder == top))
            linked.extend((link, listing.exclusions) for link in listing.links)
            yield from listing.files
            levels.append((iter(listing.folders), listing.exclusions))

    def _list(self, folder: bytes, exclusions: tuple[Exclusion, ...], *, silent: bool) -> _Listing:
        listing = _Listing([], [], [], exclusions)
        try:
            if not self._is_new(folder):
                return listing
            with os.scandir(folder) as entries:
                for entry in entries:
                    self._sort_in(entry, listing)
        except OSError as error:
            # What was listed before the error (bad sector, lost connection) still counts.
            self._report(folder, error, silent=silent)
        if listing.has_own:
            listing.exclusions = _with_own(folder, exclusions, self._on_error)
        for paths, folders in ((listing.files, False), (listing.folders, True), (listing.links, True)):
            self._exclude_from(paths, listing.exclusions, folders=folders)
            paths.sort()
        return listing

    def _exclude_from(self, paths: list[bytes], exclusions: tuple[Exclusion, ...], *, folders: bool) -> None:
        if exclusions:
            kept = [path for path in paths if not is_excluded(exclusions, path, folder=folders)]
            self.excluded += len(paths) - len(kept)
            paths[:] = kept

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
            listing.has_own |= entry.name == IGNORE_FILE
            return
        try:
            if entry.is_dir():
                if entry.name.lower() in _SYSTEM_FOLDERS:
                    return
                if _is_previews(os.path.dirname(entry.path), entry.name):  # noqa: PTH120 - bytes
                    self.previews += 1
                else:
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


def is_passed_over(path: bytes, top: bytes, exclude: Sequence[str] = ()) -> bool:
    """Return whether a walk of the folder top would skip this path below it."""
    folder = slashed(top)
    *above, name = path[len(folder) :].split(b"/")
    for part in above:
        if part.lower() in _SYSTEM_FOLDERS or part.startswith(b".") or _is_previews(folder[:-1], part):
            return True
        folder += part + b"/"
    if name.startswith(b".") or name.lower() in _SYSTEM_FOLDERS or _is_previews(folder[:-1], name):
        return True
    around = exclusions_around(folder[:-1] or b"/", exclude, (top,), lambda _path, _error: None)
    if around is None:
        return True
    around = _with_own(folder[:-1] or b"/", around, lambda _path, _error: None)
    return bool(name) and is_excluded(around, path, folder=os.path.isdir(path))  # noqa: PTH112 - bytes


def exclusions_around(
    folder: bytes, exclude: Sequence[str], tops: Sequence[bytes], on_error: OnError
) -> tuple[Exclusion, ...] | None:
    """Return what the folders around a folder leave out in it, from the one of tops in which it lies.

    None: they leave out the folder itself.
    """
    top = next((top for top in tops if folder.startswith(slashed(top))), folder)
    found: tuple[Exclusion, ...] = (exclusion(top, exclude),) if exclude else ()
    at = top
    for part in folder[len(slashed(top)) :].split(b"/") if folder != top else ():
        found = _with_own(at, found, on_error)
        at = slashed(at) + part
        if is_excluded(found, at, folder=True):
            return None
    return found


def _with_own(folder: bytes, exclusions: tuple[Exclusion, ...], on_error: OnError) -> tuple[Exclusion, ...]:
    try:
        own = exclusion_in(folder)
    except OSError as error:
        on_error(slashed(folder) + IGNORE_FILE, error)
        return exclusions
    return exclusions if own is None else (*exclusions, own)


def _is_previews(parent: bytes, name: bytes) -> bool:
    if extension(name) == _PREVIEWS:
        return True
    return extension(parent) in _PACKAGES and name.lower() not in _ORIGINALS


def _absolute(folder: bytes) -> bytes:
    # os.path.abspath would also drop "link/..", which may lead elsewhere than the folder of the link.
    return folder if folder.startswith(b"/") else os.path.join(os.getcwdb(), folder)  # noqa: PTH109, PTH118


def count(folder: bytes, exclude: Sequence[str] = (), tops: Sequence[bytes] = ()) -> int:
    """Return how many candidates a walk of the folder will meet, for a progress bar's total.

    It only reads names: one stat per folder, none per file. Errors are left to the walk to report.
    """
    return sum(1 for _ in Walk([folder], lambda _path, _error: None, exclude, tops).paths())
