"""What the catalogue knows of roots, files and images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg.rows import class_row

from imrec_pg.records import FeatureTable, FoundFile, Root
from imrec_pg.store.connection import Connection, translated
from imrec_pg.store.parts import in_parts


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be read."""

    path: str
    bytes: int
    error_class: str
    error: str
    attempts: int
    last_attempt_at: object


def roots(conn: Connection) -> list[Root]:
    """Return all roots."""
    with translated(), conn.cursor(row_factory=class_row(Root)) as cur:
        return cur.execute("SELECT root_id, name, raw_path FROM imrec.root ORDER BY name").fetchall()


def add_root(conn: Connection, root: Root) -> None:
    """Store a root; nothing happens when it is known."""
    with translated():
        conn.execute(
            "INSERT INTO imrec.root (root_id, name, raw_path) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            (root.root_id, root.name, root.raw_path),
        )


def file_states(
    conn: Connection, files: Sequence[FoundFile], wanted: Sequence[FeatureTable], *, retry: bool
) -> list[str]:
    """Return for each file new, changed, incomplete, unchanged or failed, as imrec.file_state says."""

    def once(part: Sequence[FoundFile]) -> list[tuple[object, ...]]:
        return conn.execute(
            "SELECT state FROM imrec.file_state(%s::uuid[], %s::bigint[], %s::bigint[], %s::text[], %s)",
            (
                [file.location_id for file in part],
                [file.size for file in part],
                [file.mtime_ns for file in part],
                [str(table) for table in wanted],
                retry,
            ),
        ).fetchall()

    with translated():
        return [str(row[0]) for rows in in_parts(files, once) for row in rows]


def missing_features(
    conn: Connection, image_ids: Sequence[UUID], wanted: Sequence[FeatureTable]
) -> list[frozenset[FeatureTable] | None]:
    """Return for each image the wanted features it lacks, or None when the image itself is unknown."""

    def once(part: Sequence[UUID]) -> list[tuple[object, ...]]:
        return conn.execute(
            "SELECT missing FROM imrec.missing_features(%s::uuid[], %s::text[])",
            (list(part), [str(table) for table in wanted]),
        ).fetchall()

    with translated():
        return [_tables(row[0]) for rows in in_parts(image_ids, once) for row in rows]


def _tables(missing: object) -> frozenset[FeatureTable] | None:
    return frozenset(FeatureTable(name) for name in missing) if isinstance(missing, list) else None


def failures(conn: Connection, limit: int | None = None) -> list[Failure]:
    """Return the files that could not be read, by path."""
    with translated(), conn.cursor(row_factory=class_row(Failure)) as cur:
        return cur.execute(
            "SELECT path, bytes, error_class, error, attempts, last_attempt_at "
            "FROM imrec.failure ORDER BY path LIMIT %s",
            (limit,),
        ).fetchall()


def failed_files(conn: Connection, batch: int = 1000) -> Iterator[tuple[UUID, bytes, bytes]]:
    """Yield (root_id, the root's raw path, raw relative path) of every recorded failure, in key order."""
    last = UUID(int=0)
    while True:
        with translated():
            rows = conn.execute(
                "SELECT f.location_id, f.root_id, r.raw_path, f.relative_path FROM imrec.failure AS f "
                "INNER JOIN imrec.root AS r ON r.root_id = f.root_id "
                "WHERE f.location_id > %s ORDER BY f.location_id LIMIT %s",
                (last, batch),
            ).fetchall()
        for location_id, root_id, raw_path, relative_path in rows:
            assert isinstance(location_id, UUID)
            assert isinstance(root_id, UUID)
            last = location_id
            yield root_id, bytes(raw_path), bytes(relative_path)  # type: ignore[call-overload]
        if len(rows) < batch:
            return


def forget_failures(conn: Connection, location_ids: Sequence[UUID]) -> None:
    """Remove failures of files that are no longer there."""
    if not location_ids:
        return
    with translated():
        conn.execute("DELETE FROM imrec.failure WHERE location_id = ANY(%s)", (list(location_ids),))
