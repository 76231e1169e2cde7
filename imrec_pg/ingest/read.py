"""Read and hash files ahead of the decoders, and ask the database which contents it already has."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import UUID

from imrec_pg.catalogue import files as catalogue_files
from imrec_pg.db.retry import RetryingSession
from imrec_pg.errors import DecodeError
from imrec_pg.images.content import CONTENT_KINDS, FileContent, Limits, read
from imrec_pg.images.walk import NEVER
from imrec_pg.records import NO_IMAGE, FailedFile, Feature, Features, FoundFile, StoredImage, Wanted

# Threads, not processes: reading and SHA-256 let go of Python's lock.
_THREADS = 4
# A group is held in memory and asked about at once; photos of 5 MB end it by bytes, small ones by count.
_GROUP_FILES = 64
_GROUP_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of an image that lacks features, and every file of the group that holds them.

    Attributes:
        known: whether the image is stored already.
    """

    content: FileContent
    files: tuple[FoundFile, ...]
    lacking: frozenset[Feature]
    known: bool = False


def read_contents(
    database: RetryingSession, files: Iterable[FoundFile], wanted: Wanted, limits: Limits
) -> Iterator[Content | StoredImage | FailedFile]:
    """Yield what has to be decoded, what is known by its bytes already, and what could not be read."""
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="imrec-read") as pool:
        for group in _groups(files):
            results = list(pool.map(lambda file: _read(file, limits), group))
            yield from (result for result in results if isinstance(result, FailedFile))
            yield from _ask(database, [r for r in results if isinstance(r, tuple)], wanted)


def _ask(
    database: RetryingSession, contents: Sequence[tuple[FoundFile, FileContent]], wanted: Wanted
) -> Iterator[Content | StoredImage]:
    by_image: dict[UUID, list[tuple[FoundFile, FileContent]]] = {}
    for file, content in contents:
        by_image.setdefault(content.image_id, []).append((file, content))
    lacking = database.run(catalogue_files.lacking_features, list(by_image), wanted)
    for (image_id, same), lacks in zip(by_image.items(), lacking, strict=True):
        files = tuple(file for file, _ in same)
        if lacks is not None and not lacks:
            yield StoredImage(image_id, None, files, Features())
        else:
            features = wanted.features if lacks is None else lacks.features
            yield Content(same[0][1], files, features, known=lacks is not None)


def _read(file: FoundFile, limits: Limits) -> tuple[FoundFile, FileContent] | FailedFile | None:
    try:
        content = read(file.path, limits)
    except DecodeError as error:
        if error.kind == "Vanished":
            return None
        if error.kind == "ChangedWhileRead":
            # It may have the old time again by now: the next run must not take it for unchanged.
            file = dataclasses.replace(file, mtime_ns=NEVER)
        held = NO_IMAGE if error.kind in CONTENT_KINDS else None
        return FailedFile(file, held, error.kind, error.reason)
    # What the open file said, not what the walk saw: it may have changed in between.
    return dataclasses.replace(file, size=content.size, mtime_ns=content.mtime_ns), content


def _groups(files: Iterable[FoundFile]) -> Iterator[list[FoundFile]]:
    group: list[FoundFile] = []
    size = 0
    for file in files:
        if group and (len(group) >= _GROUP_FILES or size + file.size > _GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append(file)
        size += file.size
    if group:
        yield group
