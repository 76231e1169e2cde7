"""What the catalogue knows of files and images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from imrec_pg.catalogue.roots import RootsHere
from imrec_pg.db.connection import Connection, translated
from imrec_pg.db.split import in_parts
from imrec_pg.records import FeatureTable, FoundFile, Root


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be read."""

    path: str
    bytes: int
    error_class: str
    error: str
    attempts: int
    last_attempt_at: object


def file_states(
    conn: Connection, files: Sequence[FoundFile], wanted: Sequence[FeatureTable], *, retry: bool
) -> list[str]:
    """Return for each file new, changed, incomplete, unchanged or failed, as imrec_internal.file_state says."""

    def once(part: Sequence[FoundFile]) -> list[tuple[object, ...]]:
        return conn.execute(
            "SELECT state FROM imrec_internal.file_state(%s::uuid[], %s::bigint[], %s::bigint[], %s::text[], %s)",
            (
                [file.file_id for file in part],
                [file.size for file in part],
                [file.mtime_ns for file in part],
                [str(table) for table in wanted],
                retry,
            ),
        ).fetchall()

    with translated():
        return [str(row[0]) for rows in in_parts(files, once) for row in rows]


def lacking_features(
    conn: Connection, image_ids: Sequence[UUID], wanted: Sequence[FeatureTable]
) -> list[frozenset[FeatureTable] | None]:
    """Return for each image the wanted features it lacks, or None when the image itself is unknown."""

    def once(part: Sequence[UUID]) -> list[tuple[object, ...]]:
        return conn.execute(
            "SELECT missing FROM imrec_internal.lacking_features(%s::uuid[], %s::text[])",
            (list(part), [str(table) for table in wanted]),
        ).fetchall()

    with translated():
        return [_tables(row[0]) for rows in in_parts(image_ids, once) for row in rows]


def _tables(missing: object) -> frozenset[FeatureTable] | None:
    return frozenset(FeatureTable(name) for name in missing) if isinstance(missing, list) else None


def failures(conn: Connection, roots: RootsHere, limit: int | None = None) -> list[Failure]:
    """Return the files that could not be read, by path; they are named as the roots' host names them."""
    with translated():
        rows = conn.execute(
            "SELECT root_id, relative_path, bytes, error_class, error, attempts, last_attempt_at "
            "FROM imrec.failure ORDER BY path LIMIT %s",
            (limit,),
        ).fetchall()
    found = [
        Failure(shown, *rest)  # type: ignore[arg-type]  # rows are objects
        for root_id, relative, *rest in rows
        if (shown := roots.shown(root_id, relative)) is not None  # type: ignore[arg-type]  # as above
    ]
    return sorted(found, key=lambda failure: failure.path)


def failed_files(conn: Connection, roots: RootsHere, batch: int = 1000) -> Iterator[tuple[UUID, Root, bytes]]:
    """Yield (file_id, root, raw relative path) of failures in roots that count here, in key order."""
    by_id = {root.root_id: root for root in roots.counting()}
    last = UUID(int=0)
    while True:
        with translated():
            rows = conn.execute(
                "SELECT file_id, root_id, relative_path FROM imrec.failure "
                "WHERE file_id > %s AND root_id = ANY(%s) ORDER BY file_id LIMIT %s",
                (last, list(by_id), batch),
            ).fetchall()
        for file_id, root_id, relative_path in rows:
            assert isinstance(file_id, UUID)
            assert isinstance(root_id, UUID)
            last = file_id
            yield file_id, by_id[root_id], bytes(relative_path)  # type: ignore[call-overload]
        if len(rows) < batch:
            return


def forget_failures(conn: Connection, file_ids: Sequence[UUID]) -> None:
    """Remove failures of files that are no longer there."""
    if not file_ids:
        return
    with translated():
        conn.execute("DELETE FROM imrec.failure WHERE file_id = ANY(%s)", (list(file_ids),))
