"""Files that are gone: found, marked with the date, and forgotten on request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from imrec_pg.catalogue.roots import RootsHere
from imrec_pg.db.connection import Connection, translated
from imrec_pg.db.rows import all_rows, one_row
from imrec_pg.paths import slashed

_BATCH = 5_000
_UNDER = """
SELECT l.file_id, l.root_id, r.folder || l.relative_path AS path, m.file_id IS NOT NULL AS missing
FROM imrec.file AS l
INNER JOIN unnest(%(ids)s::uuid[], %(roots)s::bytea[]) AS r (root_id, folder) ON r.root_id = l.root_id
LEFT JOIN imrec.missing AS m ON m.file_id = l.file_id
WHERE l.file_id > %(last)s
AND EXISTS (
    SELECT FROM unnest(%(folders)s::bytea[]) AS f (folder)
    WHERE substring(r.folder || l.relative_path FROM 1 FOR octet_length(f.folder)) = f.folder
)
AND NOT EXISTS ( -- a root inside this one hides what this one has there
    SELECT FROM unnest(%(roots)s::bytea[]) AS i (folder)
    WHERE octet_length(i.folder) > octet_length(r.folder)
    AND substring(r.folder || l.relative_path FROM 1 FOR octet_length(i.folder)) = i.folder
)
ORDER BY l.file_id LIMIT %(most)s
"""


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file of the catalogue.

    Attributes:
        path: raw bytes, absolute, on this host.
        missing: whether it is marked as such.
    """

    file_id: UUID
    root_id: UUID
    path: bytes
    missing: bool


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was forgotten, or would be."""

    files: int
    images: int


def known_files(
    conn: Connection, roots: RootsHere, folders: Sequence[bytes], after: UUID, size: int
) -> list[KnownFile]:
    """Return the next files known below folders, in the order of their ids; fewer than size at the end.

    The folders are raw bytes, absolute, of the roots' host.
    """
    below = [slashed(folder) for folder in folders]
    if not below:
        return []
    counting = {
        root.root_id: here
        for root in roots.counting()
        if (here := slashed(root.here)).startswith(tuple(below)) or any(b.startswith(here) for b in below)
    }
    parameters = {
        "ids": list(counting),
        "roots": list(counting.values()),
        "folders": below,
        "last": after,
        "most": size,
    }
    with translated(conn):
        return all_rows(conn, KnownFile, _UNDER, parameters)


@dataclass(frozen=True, slots=True)
class _Place:
    file_id: UUID
    root_id: UUID
    missing: bool


def known_places(conn: Connection, places: Mapping[UUID, bytes]) -> list[KnownFile]:
    """Return the files stored under these ids; their paths are those given."""
    with translated(conn):
        rows = all_rows(
            conn,
            _Place,
            "SELECT l.file_id, l.root_id, m.file_id IS NOT NULL AS missing FROM imrec.file AS l "
            "LEFT JOIN imrec.missing AS m ON m.file_id = l.file_id WHERE l.file_id = ANY(%s)",
            (list(places),),
        )
    return [KnownFile(row.file_id, row.root_id, places[row.file_id], row.missing) for row in rows]


_OTHERS = """
SELECT f.file_id, f.root_id, r.folder || f.relative_path AS path, false AS missing
FROM imrec.file AS f
INNER JOIN unnest(%(ids)s::uuid[], %(folders)s::bytea[]) AS r (root_id, folder) ON r.root_id = f.root_id
WHERE f.image_id = ANY(%(images)s) AND f.file_id <> ALL(%(files)s)
AND NOT EXISTS (SELECT FROM imrec.missing AS m WHERE m.file_id = f.file_id)
"""


def other_files(
    conn: Connection, roots: RootsHere, image_ids: Sequence[UUID], file_ids: Sequence[UUID]
) -> list[KnownFile]:
    """Return the files of these images but those, and but missing ones, in roots that lie on this host alone."""
    here = [root for root in roots.counting() if not root.elsewhere]
    parameters = {
        "ids": [root.root_id for root in here],
        "folders": [slashed(root.here) for root in here],
        "images": list(image_ids),
        "files": list(file_ids),
    }
    with translated(conn):
        return all_rows(conn, KnownFile, _OTHERS, parameters)


@dataclass(frozen=True, slots=True)
class MissingFile:
    """A file that is not there any more.

    Attributes:
        path: as the roots' host names it, for display.
        since: when that was first seen.
    """

    path: str
    since: datetime


@dataclass(frozen=True, slots=True)
class _MissingRow:
    root_id: UUID
    relative_path: bytes
    since: datetime


def missing_files(conn: Connection, roots: RootsHere) -> list[MissingFile]:
    """Return the files that are marked as missing, the first ones first."""
    with translated(conn):
        rows = all_rows(
            conn,
            _MissingRow,
            "SELECT l.root_id, l.relative_path, m.since FROM imrec.missing AS m "
            "INNER JOIN imrec.file AS l ON l.file_id = m.file_id ORDER BY m.since, l.path",
        )
    return [
        MissingFile(shown, row.since)
        for row in rows
        if (shown := roots.shown(row.root_id, row.relative_path)) is not None
    ]


def mark(conn: Connection, file_ids: Sequence[UUID]) -> None:
    """Say of files that they are missing, from now on; of those that are marked already, nothing changes."""
    with translated(conn):
        for start in range(0, len(file_ids), _BATCH):
            conn.execute(
                "INSERT INTO imrec.missing (file_id) SELECT n.id FROM unnest(%s::uuid[]) AS n (id) "
                "ORDER BY n.id ON CONFLICT DO NOTHING",
                (list(file_ids[start : start + _BATCH]),),
            )


def unmark(conn: Connection, file_ids: Sequence[UUID]) -> None:
    """Say of files that they are there again."""
    if not file_ids:
        return  # who may only read may still ask what there is to do
    with translated(conn):
        conn.execute("DELETE FROM imrec.missing WHERE file_id = ANY(%s)", (list(file_ids),))


def prune(conn: Connection, older_than: timedelta, *, dry_run: bool) -> Pruned:
    """Forget files missing for so long, and images that no other file holds; or only say how many."""
    files = images = 0
    while True:
        with translated(conn):
            # A batch is a transaction: ingests wait for one, and when it ends early, the next call does the rest.
            done = one_row(
                conn,
                Pruned,
                "SELECT files, images FROM imrec.prune(%s, %s, %s)",
                (older_than, dry_run, _BATCH),
            )
        files, images = files + done.files, images + done.images
        if dry_run or done.files < _BATCH:
            return Pruned(files, images)
