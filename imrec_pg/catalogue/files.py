"""What the catalogue knows of files and images."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from imrec_pg.catalogue.roots import RootsHere
from imrec_pg.db.connection import Connection, translated
from imrec_pg.db.privileges import is_restricted
from imrec_pg.db.retry import split_on_timeout
from imrec_pg.db.rows import all_rows, values
from imrec_pg.records import Feature, FoundFile, Wanted

_FAILURES = """
SELECT root_id, relative_path, size, error_class, error, attempts, last_attempt_at
FROM imrec.failure ORDER BY path LIMIT %s
"""
_VISIBLE_FAILURES = """
SELECT root_id, relative_path, size, error_class, error, attempts, last_attempt_at
FROM imrec.visible_failure ORDER BY path LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be read."""

    path: str
    bytes: int
    error_class: str
    error: str
    attempts: int
    last_attempt_at: datetime


def file_states(conn: Connection, files: Sequence[FoundFile], wanted: Wanted, *, retry: bool) -> list[str]:
    """Return for each file new, changed, incomplete, unchanged or failed, as imrec_internal.file_state says."""

    def once(part: Sequence[FoundFile]) -> list[str]:
        return values(
            conn,
            str,
            "SELECT state FROM imrec_internal.file_state("
            "%s::uuid[], %s::bigint[], %s::bigint[], %s::text[], %s::integer[], %s, %s)",
            (
                [file.file_id for file in part],
                [file.size for file in part],
                [file.mtime_ns for file in part],
                wanted.names,
                wanted.numbers,
                retry,
                wanted.refresh,
            ),
        )

    with translated(conn):
        return [state for part in split_on_timeout(files, once) for state in part]


@dataclass(frozen=True, slots=True)
class Lacking:
    """What has to be computed of an image: features that it lacks, or that an earlier version computed.

    Attributes:
        metadata: whether an earlier version read its metadata.
    """

    features: frozenset[Feature]
    metadata: bool

    def __bool__(self) -> bool:
        return bool(self.features) or self.metadata


@dataclass(frozen=True, slots=True)
class _Names:
    names: list[str] | None


def lacking_features(conn: Connection, image_ids: Sequence[UUID], wanted: Wanted) -> list[Lacking | None]:
    """Return for each image what is to be computed of it, or None when the image itself is unknown."""

    def once(part: Sequence[UUID]) -> list[_Names]:
        return all_rows(
            conn,
            _Names,
            "SELECT lacking AS names FROM imrec_internal.lacking_features("
            "%s::uuid[], %s::text[], %s::integer[], %s)",
            (list(part), wanted.names, wanted.numbers, wanted.refresh),
        )

    with translated(conn):
        return [_lacking(row.names) for part in split_on_timeout(image_ids, once) for row in part]


def _lacking(names: list[str] | None) -> Lacking | None:
    if names is None:
        return None
    return Lacking(frozenset(Feature(name) for name in names if name != "metadata"), "metadata" in names)


@dataclass(frozen=True, slots=True)
class _FailureRow:
    root_id: UUID
    relative_path: bytes
    size: int
    error_class: str
    error: str
    attempts: int
    last_attempt_at: datetime


def failures(conn: Connection, roots: RootsHere, limit: int | None = None) -> list[Failure]:
    """Return the files that could not be read, by path; they are named as the roots' host names them."""
    with translated(conn):
        rows = all_rows(
            conn,
            _FailureRow,
            _VISIBLE_FAILURES if is_restricted(conn) else _FAILURES,
            (limit,),
        )
    found = [
        Failure(shown, row.size, row.error_class, row.error, row.attempts, row.last_attempt_at)
        for row in rows
        if (shown := roots.shown(row.root_id, row.relative_path)) is not None
    ]
    return sorted(found, key=lambda failure: failure.path)


@dataclass(frozen=True, slots=True)
class FailedPath:
    """Where a file lies that could not be read.

    Attributes:
        relative_path: raw bytes, below its root.
    """

    file_id: UUID
    root_id: UUID
    relative_path: bytes


def failed_paths(conn: Connection, root_ids: Sequence[UUID], after: UUID, size: int) -> list[FailedPath]:
    """Return the next failures in these roots, in the order of their ids; fewer than size at the end."""
    with translated(conn):
        return all_rows(
            conn,
            FailedPath,
            "SELECT file_id, root_id, relative_path FROM imrec.failure "
            "WHERE file_id > %s AND root_id = ANY(%s) ORDER BY file_id LIMIT %s",
            (after, list(root_ids), size),
        )


def forget_failures(conn: Connection, file_ids: Sequence[UUID]) -> None:
    """Remove failures of files that are no longer there."""
    if not file_ids:
        return
    with translated(conn):
        conn.execute("DELETE FROM imrec.failure WHERE file_id = ANY(%s)", (list(file_ids),))
