"""Find the files to work on: walk the folders, name each file by its root, ask the database what it knows."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar
from uuid import UUID

from imrec_pg.catalogue import files as catalogue_files
from imrec_pg.catalogue import roots as stored_roots
from imrec_pg.db.connection import Connection
from imrec_pg.db.retry import RetryingSession
from imrec_pg.db.rows import paged
from imrec_pg.errors import FolderNotFoundError, UsageError
from imrec_pg.images.formats import CANDIDATE_EXTENSIONS, extension
from imrec_pg.images.walk import VANISHED, Walk, mtime_of
from imrec_pg.ingest.tally import Tally
from imrec_pg.paths import absolute, display_path, file_id, is_url, slashed, stored_path
from imrec_pg.records import FoundFile, Root, Wanted
from imrec_pg.settings import this_host

# One question to the database: at 1,000 the round trip is a hundredth of the walk, and memory stays small.
_QUESTION = 1000

T = TypeVar("T")
OnError = Callable[[bytes, OSError], None]


@dataclass(frozen=True, slots=True)
class Scope:
    """Where to look; raw absolute paths. Nowhere means all files with a recorded failure.

    Attributes:
        folders: walked.
        files: looked at one by one.
        vanished: not there any more when somebody looked, files or folders.
        top: folders in which all the others lie; each is a root where it lies in none, and is judged by
            itself when files of it are gone.
    """

    top: tuple[bytes, ...] = ()
    folders: tuple[bytes, ...] = ()
    files: tuple[bytes, ...] = ()
    vanished: tuple[bytes, ...] = ()

    @property
    def walked_from(self) -> tuple[bytes, ...]:
        """The outermost of top: what their ignore files leave out is left out in all the others."""
        return tuple(outermost(self.top))

    def __bool__(self) -> bool:
        return bool(self.folders or self.files or self.vanished)


class Roots:
    """The known roots and those to be made; a file belongs to the innermost one around it."""

    def __init__(self, database: RetryingSession, folders: Sequence[bytes]) -> None:
        self._database = database
        self._host = this_host()
        self._here = database.run(stored_roots.roots_here, self._host)
        self._unsaved: set[UUID] = set()
        for folder in folders:
            if self._here.around(folder) is None:
                root = new_root(self._here.all, folder)
                self._here.add(root)
                self._unsaved.add(root.root_id)

    def locate(self, path: bytes, size: int, mtime_ns: int) -> FoundFile:
        """Return the file with its ids; a new root is stored with the first file that it holds."""
        root, relative = self._placed(path)
        if root.root_id in self._unsaved:
            self._database.run(stored_roots.add_root, root, self._host)
            self._unsaved.remove(root.root_id)
        return _found(root, relative, path, size, mtime_ns)

    def place_of(self, path: bytes) -> UUID:
        """Return the id that a file has or would have; its folder lies below those given."""
        root, relative = self._placed(path)
        return file_id(root.root_id, relative)

    def _placed(self, path: bytes) -> tuple[Root, bytes]:
        root = self._here.around(os.path.dirname(path))  # noqa: PTH120 - bytes
        assert root is not None, "each folder that is looked at lies in a root"
        return root, stored_path(path[len(slashed(root.here)) :])


def root_of(folder: bytes, name: str | None = None) -> Root:
    """Return the root that a folder makes, named by its path where nobody named it."""
    digest = hashlib.sha256(b"root:" + (folder if name is None else name.encode())).digest()
    return Root(UUID(bytes=digest[:16]), display_path(folder) if name is None else name, folder)


def new_root(known: Sequence[Root], folder: bytes, name: str | None = None) -> Root:
    """Return a root for a folder, unlike those known.

    Its path may be the name of one that has moved since, and its name may have been another's before.
    """
    root, number = root_of(folder, name), 2
    wanted = root.name
    ids, names = {other.root_id for other in known}, {other.name for other in known}
    while root.root_id in ids or root.name in names:
        root, number = root_of(folder, f"{wanted} ({number})"), number + 1
    return root


def check_folders(paths: Sequence[str | bytes | os.PathLike[str]]) -> list[bytes]:
    """Return absolute folders, none inside another, as given otherwise.

    Raises:
        UsageError: one does not exist or is no folder.
    """
    return outermost(named_folders(paths))


def named_folders(paths: Sequence[str | bytes | os.PathLike[str]]) -> list[bytes]:
    """Return absolute folders, sorted, as given otherwise.

    Links stay as they are spelled: the database shows the paths that the user knows.

    Raises:
        UsageError: one is empty, does not exist or is no folder.
    """
    for path in paths:
        if is_url(path) and not os.path.lexists(path):
            raise UsageError(
                f"{display_path(os.fsencode(path))} is a URL: copy its photos into a folder first"
            )
    folders = sorted({absolute(path) for path in paths})
    for folder in folders:
        if not os.path.lexists(folder):
            raise FolderNotFoundError(display_path(folder))
        if not os.path.isdir(folder):  # noqa: PTH112 - bytes
            parent = display_path(os.path.dirname(folder))  # noqa: PTH120 - bytes
            raise UsageError(f"{display_path(folder)} is a file: name its folder, {parent}")
    return folders


def outermost(folders: Iterable[bytes]) -> list[bytes]:
    """Return the folders that lie in no other of them, sorted."""
    found: list[bytes] = []
    for folder in sorted(set(folders), key=slashed):
        if not found or not folder.startswith(slashed(found[-1])):
            found.append(folder)
    return found


def single_files(
    roots: Roots, paths: Sequence[bytes], tally: Tally, on_error: OnError, on_file: Callable[[UUID], None]
) -> Iterator[FoundFile]:
    """Yield the candidates among single paths; on_file is told of each as well."""
    for path in paths:
        if extension(path) not in CANDIDATE_EXTENSIONS:
            tally.ignored += 1
            continue
        try:
            status = os.stat(path)  # noqa: PTH116 - bytes
        except OSError as error:
            if error.errno not in VANISHED:
                on_error(path, error)
            continue
        if stat.S_ISREG(status.st_mode):
            tally.found += 1
            file = roots.locate(path, status.st_size, mtime_of(status))
            on_file(file.file_id)
            yield file


def folders_of(conn: Connection, paths: Sequence[bytes]) -> list[bytes]:
    """Return the paths; a bare word that is no file here but names a root becomes that root's folder."""
    if not any(_is_word(path) for path in paths):
        return list(paths)
    here = stored_roots.roots_here(conn, this_host())
    named = {path: here.named(display_path(path)) for path in paths if _is_word(path)}
    return [root.here if (root := named.get(path)) else path for path in paths]


def _is_word(path: bytes) -> bool:
    return not os.path.dirname(path) and not os.path.lexists(path)  # noqa: PTH120 - bytes


def walk_files(
    roots: Roots,
    folders: Sequence[bytes],
    tally: Tally,
    on_error: OnError,
    on_file: Callable[[UUID], None] = lambda _location_id: None,
    exclude: Sequence[str] = (),
    tops: Sequence[bytes] = (),
) -> Iterator[FoundFile]:
    """Yield every candidate file below the folders; on_file is told of each as well."""
    walk = Walk(folders, on_error, exclude, tops)
    for entry in walk:
        tally.found += 1
        file = roots.locate(entry.path, entry.size, entry.mtime_ns)
        on_file(file.file_id)
        yield file
    tally.ignored, tally.excluded, tally.previews = walk.ignored, walk.excluded, walk.previews


def failed_files(database: RetryingSession, tally: Tally) -> Iterator[FoundFile]:
    """Yield every file with a recorded failure that is still there; forget the others.

    Of a root whose folder is not there nothing is forgotten: it may lie on another host, or on a disk that is
    not mounted.
    """
    roots = {r.root_id: r for r in database.run(stored_roots.roots_here, this_host()).counting()}
    for failed in paged(
        lambda after, size: database.run(catalogue_files.failed_paths, list(roots), after, size), _QUESTION
    ):
        root = roots[failed.root_id]
        path = slashed(root.here) + failed.relative_path
        try:
            status = os.stat(path)  # noqa: PTH116 - bytes
        except OSError as error:
            if error.errno in VANISHED and os.path.isdir(root.here):  # noqa: PTH112 - bytes
                database.run(catalogue_files.forget_failures, [failed.file_id])
            continue
        tally.found += 1
        yield _found(root, failed.relative_path, path, status.st_size, mtime_of(status))


def files_to_do(
    database: RetryingSession,
    files: Iterable[FoundFile],
    wanted: Wanted,
    tally: Tally,
    *,
    retry: bool,
) -> Iterator[FoundFile]:
    """Yield the files that are new, changed or lack a wanted feature; count the others."""
    for group in batched(files, _QUESTION):
        states = database.run(catalogue_files.file_states, group, wanted, retry=retry)
        for file, state in zip(group, states, strict=True):
            match state:
                case "unchanged":
                    tally.unchanged += 1
                case "failed":
                    tally.known_failures += 1
                case _:
                    yield file
        tally.report()


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of size items, the last one shorter; itertools has it from Python 3.12 on."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _found(root: Root, relative: bytes, path: bytes, size: int, mtime_ns: int) -> FoundFile:
    key, known_as = file_id(root.root_id, relative), slashed(root.raw_path) + relative
    return FoundFile(root.root_id, key, relative, path, size, mtime_ns, known_as)
