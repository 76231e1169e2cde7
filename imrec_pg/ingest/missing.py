"""After a walk: which of the files that the catalogue knows are gone, and which are back."""

import os
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from imrec_pg.catalogue import files as catalogue_files
from imrec_pg.catalogue import missing
from imrec_pg.catalogue.roots import RootsHere, roots_here
from imrec_pg.db.connection import Connection
from imrec_pg.images.walk import VANISHED
from imrec_pg.paths import slashed
from imrec_pg.settings import this_host

# A disk that is not mounted leaves an empty folder, or one with a few files of its own. People delete many
# photos at once too, but seldom more than half of all.
_MOST_GONE, _FEW = 0.5, 20


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
    conn: Connection, folders: Sequence[bytes], files: Mapping[UUID, bytes], seen: Seen, *, accept: bool
) -> Changes:
    """Mark the known files that are not there, unless suddenly most of them are not.

    Those are meant below the folders, and single ones by file_id. A file that the walk did not meet is
    looked for itself: it may lie in a folder that could not be read. With accept they are marked however many
    they are.
    """
    keys, roots = seen.sorted(), roots_here(conn, this_host())
    known, gone, back = 0, [], []
    for file in chain(missing.known_files(conn, roots, folders), missing.known_places(conn, files)):
        known += not file.missing
        if _among(keys, file.file_id) or not _vanished(file.path):
            if file.missing:
                back.append(file.file_id)
        elif not file.missing:
            gone.append(file.file_id)
    missing.unmark(conn, back)
    if len(gone) > max(_FEW, _MOST_GONE * known) and not accept:
        return Changes(back=len(back), doubted=len(gone), known=known)
    missing.mark(conn, gone)
    _forget_failures(conn, roots, folders)
    catalogue_files.forget_failures(conn, [key for key, path in files.items() if _vanished(path)])
    return Changes(gone=len(gone), back=len(back), known=known)


def _forget_failures(conn: Connection, roots: RootsHere, folders: Sequence[bytes]) -> None:
    """What could not be read and is gone needs no mending."""
    below = tuple(slashed(folder) for folder in folders)
    forgotten = []
    for key, root, relative in catalogue_files.failed_files(conn, roots):
        path = slashed(root.here) + relative
        if path.startswith(below) and _vanished(path):
            forgotten.append(key)
    catalogue_files.forget_failures(conn, forgotten)


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
