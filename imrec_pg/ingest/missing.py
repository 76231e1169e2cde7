"""After a walk: which of the files that the catalogue knows are gone, and which are back."""

import os
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from imrec_pg.catalogue import files as catalogue_files
from imrec_pg.catalogue import missing
from imrec_pg.catalogue.files import FailedPath
from imrec_pg.catalogue.missing import KnownFile
from imrec_pg.catalogue.roots import RootsHere, roots_here
from imrec_pg.db.retry import RetryingSession
from imrec_pg.db.rows import paged
from imrec_pg.images.walk import VANISHED
from imrec_pg.ingest.find import batched
from imrec_pg.paths import slashed
from imrec_pg.records import StoredImage
from imrec_pg.settings import this_host

# A disk that is not mounted leaves an empty folder, or one with a few files of its own. People delete many
# photos at once too, but seldom more than half of all.
_MOST_GONE, _FEW = 0.5, 20
_PAGE = 5_000


class Seen:
    """Which files a walk met: 8 bytes a file, so that ten million take 80 MB."""

    def __init__(self) -> None:
        self._keys = array("Q")

    def add(self, file_id: UUID) -> None:
        """Remember a file."""
        self._keys.append(file_id.int >> 64)

    def sorted(self) -> NDArray[np.uint64]:
        """Return the first 8 bytes of each id, in order."""
        return np.sort(np.frombuffer(self._keys, dtype=np.uint64)) if self._keys else np.empty(0, np.uint64)


@dataclass(frozen=True, slots=True)
class DoubtedFolder:
    """A folder, or a root inside it, of which suddenly most files are gone; none of them was marked.

    Attributes:
        folder: raw bytes, absolute, on this host.
        gone: files that are not there.
        known: files that were believed to be there.
    """

    folder: bytes
    gone: int
    known: int


@dataclass(frozen=True, slots=True)
class Changes:
    """What a walk found out of known files.

    Attributes:
        gone: files that are missing from now on.
        back: files that were missing and are there again.
        known: files that were believed to be there.
        doubts: folders of which so many files seem gone that none of them was marked.
    """

    gone: int = 0
    back: int = 0
    known: int = 0
    doubts: tuple[DoubtedFolder, ...] = ()

    @property
    def doubted(self) -> int:
        """Files that seem gone, but were not marked."""
        return sum(doubt.gone for doubt in self.doubts)


NO_CHANGES = Changes()


@dataclass(slots=True, eq=False)
class _Part:
    """What is known of the files of one root below one of the folders that the user named."""

    folder: bytes
    known: int = 0
    gone: list[UUID] = field(default_factory=list)

    @property
    def mostly_gone(self) -> bool:
        return len(self.gone) > _MOST_GONE * self.known

    @property
    def doubt(self) -> DoubtedFolder:
        return DoubtedFolder(self.folder.rstrip(b"/") or b"/", len(self.gone), self.known)


class _Parts:
    """The files by root and named folder: each of them may be a disk of its own."""

    def __init__(self, roots: RootsHere, named: Sequence[bytes]) -> None:
        self._roots = {root.root_id: slashed(root.here) for root in roots.counting()}
        self._named = frozenset(map(slashed, named))
        self._parts: dict[tuple[UUID, bytes], _Part] = {}

    def of(self, root_id: UUID, path: bytes) -> _Part:
        """Return the part in which a file lies."""
        named = path
        while named and named not in self._named:
            named = named[: named.rfind(b"/", 0, -1) + 1]
        # Of the two the folder that lies inside the other.
        folder = max(named, self._roots.get(root_id, b""), key=len)
        return self._parts.setdefault((root_id, named), _Part(folder))

    def all(self) -> list[_Part]:
        """Return those that hold files, by folder."""
        return sorted(self._parts.values(), key=lambda part: part.folder)

    def doubted(self) -> list[_Part]:
        """Return those that suddenly lack most of their files; small ones only if many of them do."""
        suspects = [part for part in self.all() if part.mostly_gone]
        large = [part for part in suspects if len(part.gone) > _FEW]
        small = [part for part in suspects if len(part.gone) <= _FEW]
        return large + (small if sum(len(part.gone) for part in small) > _FEW else [])


def find_missing(
    database: RetryingSession,
    folders: Sequence[bytes],
    files: Mapping[UUID, bytes],
    seen: Seen,
    *,
    named: Sequence[bytes] = (),
    accept: bool,
) -> Changes:
    """Mark the known files that are not there, but none of a folder that suddenly lacks most of them.

    Those are meant below the folders, and single ones by file_id. A file that the walk did not meet is
    looked for itself: it may lie in a folder that could not be read. Each root below each named folder is
    judged by itself. With accept the files are marked however many they are.
    """
    keys, roots = seen.sorted(), database.run(roots_here, this_host())
    parts, back = _Parts(roots, named or folders), []
    # What lies below the folders is met there.
    below = tuple(slashed(folder) for folder in folders)
    files = {file_id: path for file_id, path in files.items() if not path.startswith(below)}
    for file in chain(_known_files(database, roots, folders), _known_places(database, files)):
        part = parts.of(file.root_id, file.path)
        part.known += not file.missing
        if _among(keys, file.file_id) or not _vanished(file.path):
            if file.missing:
                back.append(file.file_id)
        elif not file.missing:
            part.gone.append(file.file_id)
    database.run(missing.unmark, back)
    doubted = [] if accept else parts.doubted()
    gone = [file_id for part in parts.all() if part not in doubted for file_id in part.gone]
    database.run(missing.mark, gone)
    forgotten = [
        failed.file_id
        for failed, path in _vanished_failures(database, roots, folders)
        if parts.of(failed.root_id, path) not in doubted
    ]
    if not doubted:
        forgotten += [key for key, path in files.items() if _vanished(path)]
    database.run(catalogue_files.forget_failures, forgotten)
    known = sum(part.known for part in parts.all())
    return Changes(len(gone), len(back), known, tuple(part.doubt for part in doubted))


def mark_moved(database: RetryingSession, images: Sequence[StoredImage], walked: Sequence[bytes]) -> int:
    """Mark the other files of images just stored that are gone: the photos have moved; return how many.

    Else a search would go on naming the old path of a folder that was renamed and is never walked again. What
    lies below the folders that are walked is judged at the end of the walk, all together.
    """
    file_ids = [file.file_id for image in images for file in image.files]
    if not file_ids:
        return 0
    roots = database.run(roots_here, this_host())
    others = database.run(missing.other_files, roots, [image.image_id for image in images], file_ids)
    below = tuple(slashed(folder) for folder in walked)
    gone = [file.file_id for file in others if not file.path.startswith(below) and _vanished(file.path)]
    database.run(missing.mark, gone)
    return len(gone)


def _known_files(
    database: RetryingSession, roots: RootsHere, folders: Sequence[bytes]
) -> Iterator[KnownFile]:
    return paged(lambda after, size: database.run(missing.known_files, roots, folders, after, size), _PAGE)


def _known_places(database: RetryingSession, files: Mapping[UUID, bytes]) -> Iterator[KnownFile]:
    for places in batched(files.items(), _PAGE):
        yield from database.run(missing.known_places, dict(places))


def _vanished_failures(
    database: RetryingSession, roots: RootsHere, folders: Sequence[bytes]
) -> Iterator[tuple[FailedPath, bytes]]:
    """Yield the failures of files below the folders that no longer exist, each with its path."""
    by_id = {root.root_id: slashed(root.here) for root in roots.counting()}
    below = tuple(slashed(folder) for folder in folders)
    for failed in paged(
        lambda after, size: database.run(catalogue_files.failed_paths, list(by_id), after, size), _PAGE
    ):
        path = by_id[failed.root_id] + failed.relative_path
        if path.startswith(below) and _vanished(path):
            yield failed, path


def _among(keys: NDArray[np.uint64], file_id: UUID) -> bool:
    key = np.uint64(file_id.int >> 64)
    place = int(np.searchsorted(keys, key))
    return place < len(keys) and keys[place] == key


def _vanished(path: bytes) -> bool:
    try:
        os.stat(path)  # noqa: PTH116 - bytes
    except OSError as error:
        # Another error, such as of a folder that may not be entered, says nothing of the file.
        return error.errno in VANISHED
    return False
