"""The files of a root as a whole: their displayed paths, how many there are, and forgetting them."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from psycopg.sql import SQL, Identifier

from imrec_pg.db.connection import Connection, translated
from imrec_pg.db.rows import all_rows, one_row, value
from imrec_pg.paths import display_path, slashed
from imrec_pg.records import Root

OnProgress = Callable[[int], None]
"""Called with how many files are done."""

# So many rows a transaction.
_BATCH = 5_000
_SHOWN = SQL(
    "SELECT file_id, relative_path, path FROM {} WHERE root_id = %s AND file_id > %s "
    "ORDER BY file_id LIMIT %s"
)
# In key order, as ingest takes rows, so that the two wait for each other instead of deadlocking.
_REWRITE = SQL(
    "WITH stale AS MATERIALIZED (SELECT t.file_id, n.path FROM {table} AS t "
    "INNER JOIN unnest(%s::uuid[], %s::text[]) AS n (file_id, path) ON n.file_id = t.file_id "
    "ORDER BY t.file_id FOR UPDATE OF t) "
    "UPDATE {table} AS t SET path = stale.path FROM stale WHERE t.file_id = stale.file_id"
)
_HOLDS = """
SELECT EXISTS (
    SELECT FROM imrec.file WHERE root_id = %s AND substring(relative_path FROM 1 FOR %s) = %s
)
"""
_CONTENTS = """
SELECT count(*) AS files, count(DISTINCT l.image_id) FILTER (WHERE NOT EXISTS (
    SELECT FROM imrec.file AS o WHERE o.image_id = l.image_id AND o.root_id <> l.root_id
)) AS images
FROM imrec.file AS l WHERE l.root_id = %s
"""
_FORGET = "SELECT files, images, last FROM imrec_internal.forget_files(%s, %s, %s)"


@dataclass(frozen=True, slots=True)
class Contents:
    """What a root holds: files, and images that no file outside it holds."""

    files: int
    images: int


@dataclass(frozen=True, slots=True)
class _Shown:
    file_id: UUID
    relative_path: bytes
    path: str


@dataclass(frozen=True, slots=True)
class _Forgotten:
    files: int
    images: int
    last: UUID | None


def rewrite_paths(conn: Connection, root: Root, on_progress: OnProgress) -> int:
    """Bring the displayed paths of a root's files in step with its canonical path; return how many changed.

    Each batch is a transaction: when it ends early, the next call does the rest.
    """
    changed = done = 0
    folder = slashed(root.raw_path)
    for table in (Identifier("imrec", "file"), Identifier("imrec", "failure")):
        last: UUID | None = UUID(int=0)
        while last is not None:
            with translated(conn):
                rows = all_rows(conn, _Shown, _SHOWN.format(table), (root.root_id, last, _BATCH))
                shown = [(row, display_path(folder + row.relative_path)) for row in rows]
                stale = [(row.file_id, new) for row, new in shown if new != row.path]
                if stale:
                    keys, paths = zip(*stale, strict=True)
                    conn.execute(_REWRITE.format(table=table), (list(keys), list(paths)))
            changed, done = changed + len(stale), done + len(rows)
            on_progress(done)
            last = rows[-1].file_id if len(rows) == _BATCH else None
    return changed


def holds_below(conn: Connection, root_id: UUID, relative: bytes) -> bool:
    """Return whether files of a root are known below a folder in it."""
    prefix = slashed(relative)
    with translated(conn):
        return value(conn, bool, _HOLDS, (root_id, len(prefix), prefix))


def contents(conn: Connection, root_id: UUID) -> Contents:
    """Return how many files a root has, and how many images no file outside it holds."""
    with translated(conn):
        return one_row(conn, Contents, _CONTENTS, (root_id,))


def forget(conn: Connection, root_id: UUID, on_progress: OnProgress) -> Contents:
    """Forget a root, its files, and images that no other file holds; return how many of the two.

    Each batch is a transaction: when it ends early, the next call does the rest.
    """
    files = images = 0
    last: UUID | None = UUID(int=0)
    with translated(conn):
        while last is not None:
            batch = one_row(conn, _Forgotten, _FORGET, (root_id, last, _BATCH))
            files, images, last = files + batch.files, images + batch.images, batch.last
            on_progress(files)
        with conn.transaction():
            # Else a batch in flight would be stored in a new root of that name, which has the same id.
            conn.execute("DELETE FROM imrec.claim WHERE root_id = %s", (root_id,))
            conn.execute("DELETE FROM imrec.failure WHERE root_id = %s", (root_id,))
            conn.execute("DELETE FROM imrec.root WHERE root_id = %s", (root_id,))
    return Contents(files, images)
