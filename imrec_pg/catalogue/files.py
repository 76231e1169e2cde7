"""What the catalogue knows of files and images."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from imrec_pg.catalogue.roots import RootsHere
from imrec_pg.db.connection import Connection, translated
from imrec_pg.db.retry import split_on_timeout
from imrec_pg.db.rows import all_rows, values
from imrec_pg.records import FeatureTable, FoundFile


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be read."""

    path: str
    bytes: int
    error_class: str
    error: str
    attempts: int
    last_attempt_at: datetime


def file_states(
    conn: Connection, files: Sequence[FoundFile], wanted: Sequence[FeatureTable], *, retry: bool
) -> list[str]:
    """Return for each file new, changed, incomplete, unchanged or failed, as imrec_internal.file_state says."""

    def once(part: Sequence[FoundFile]) -> list[str]:
        return values(
            conn,
            str,
            "SELECT state FROM imrec_internal.file_state(%s::uuid[], %s::bigint[], %s::bigint[], %s::text[], %s)",
            (
                [file.file_id for file in part],
                [file.size for file in part],
                [file.mtime_ns for file in part],
                [str(table) for table in wanted],
                retry,
            ),
        )

    with translated(conn):
        return [state for part in split_on_timeout(files, once) for state in part]


@dataclass(frozen=True, slots=True)
class _Lacking:
    names: list[str] | None


def lacking_features(
    conn: Connection, image_ids: Sequence[UUID], wanted: Sequence[FeatureTable]
) -> list[frozenset[FeatureTable] | None]:
    """Return for each image the wanted features it lacks, or None when the image itself is unknown."""

    def once(part: Sequence[UUID]) -> list[_Lacking]:
        return all_rows(
            conn,
            _Lacking,
            "SELECT missing AS names FROM imrec_internal.lacking_features(%s::uuid[], %s::text[])",
            (list(part), [str(table) for table in wanted]),
        )

    with translated(conn):
        rows = [row for part in split_on_timeout(image_ids, once) for row in part]
    return [None if row.names is None else frozenset(map(FeatureTable, row.names)) for row in rows]


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
            "SELECT root_id, relative_path, bytes AS size, error_class, error, attempts, last_attempt_at "
            "FROM imrec.failure ORDER BY path LIMIT %s",
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
