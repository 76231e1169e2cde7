"""After a walk: which of the files that the catalogue knows are gone, and which are back."""

import os
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from imrec_pg.catalogue import files as catalogue_files
from imrec_pg.catalogue import missing
from imrec_pg.catalogue.missing import KnownFile
from imrec_pg.catalogue.roots import RootsHere, roots_here
from imrec_pg.db.retry import RetryingSession
from imrec_pg.db.rows import paged
from imrec_pg.images.walk import VANISHED
from imrec_pg.ingest.find import batched
from imrec_pg.paths import slashed
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
class Changes:
    """What a walk found out of known files.

    Attributes:
        gone: files that are missing from now on.
        back: files that were missing and are there again.
        doubted: files that seem gone, but are so many that nothing was marked.
        known: files that were believed to be there.
    """

    gone: int = 0
    back: int = 0
    doubted: int = 0
    known: int = 0


NO_CHANGES = Changes()


def find_missing(
    database: RetryingSession,
    folders: Sequence[bytes],
    files: Mapping[UUID, bytes],
    seen: Seen,
    *,
    accept: bool,
) -> Changes:
    """Mark the known files that are not there, unless suddenly most of them are not.

    Those are meant below the folders, and single ones by file_id. A file that the walk did not meet is
    looked for itself: it may lie in a folder that could not be read. With accept they are marked however many
    they are.
    """
    keys, roots = seen.sorted(), database.run(roots_here, this_host())
    known, gone, back = 0, [], []
    for file in chain(_known_files(database, roots, folders), _known_places(database, files)):
        known += not file.missing
        if _among(keys, file.file_id) or not _vanished(file.path):
            if file.missing:
                back.append(file.file_id)
        elif not file.missing:
            gone.append(file.file_id)
    database.run(missing.unmark, back)
    if len(gone) > max(_FEW, _MOST_GONE * known) and not accept:
        return Changes(back=len(back), doubted=len(gone), known=known)
    database.run(missing.mark, gone)
    forgotten = _vanished_failures(database, roots, folders)
    forgotten += [key for key, path in files.items() if _vanished(path)]
    database.run(catalogue_files.forget_failures, forgotten)
    return Changes(gone=len(gone), back=len(back), known=known)


def _known_files(
    database: RetryingSession, roots: RootsHere, folders: Sequence[bytes]
) -> Iterator[KnownFile]:
    return paged(lambda after, size: database.run(missing.known_files, roots, folders, after, size), _PAGE)


def _known_places(database: RetryingSession, files: Mapping[UUID, bytes]) -> Iterator[KnownFile]:
    for places in batched(files.items(), _PAGE):
        yield from database.run(missing.known_places, dict(places))


def _vanished_failures(database: RetryingSession, roots: RootsHere, folders: Sequence[bytes]) -> list[UUID]:
    """Return the failures of files below the folders that no longer exist."""
    by_id = {root.root_id: slashed(root.here) for root in roots.counting()}
    below = tuple(slashed(folder) for folder in folders)
    forgotten = []
    for failed in paged(
        lambda after, size: database.run(catalogue_files.failed_paths, list(by_id), after, size), _PAGE
    ):
        path = by_id[failed.root_id] + failed.relative_path
        if path.startswith(below) and _vanished(path):
            forgotten.append(failed.file_id)
    return forgotten


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
