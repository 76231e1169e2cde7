"""Move staged rows of an export into the library; what the library has already stays, unless told otherwise.

Rows go in the order of their keys, as ingest writes them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import LiteralString

from pgvector.sqlalchemy import VECTOR
from psycopg.sql import SQL, Composed, Identifier
from sqlalchemy import Table

from imrec_pg.backup.parquet.folder import SUFFIX
from imrec_pg.backup.parquet.staging import blamed, count, names_of, staged, stored
from imrec_pg.backup.parquet.tables import content_of, key_of
from imrec_pg.db.connection import Connection
from imrec_pg.db.locks import bounded
from imrec_pg.db.rows import one_row

# A file that holds another image here, or could not be read here, stays so; an image that no other file holds
# is then not wanted either; a file that is here is missing only if it is missing here.
_HOLDS_ANOTHER = """
DELETE FROM pg_temp.incoming_file AS i USING imrec.file AS f
WHERE f.file_id = i.file_id AND f.image_id <> i.image_id
"""
_FAILED_HERE = """
DELETE FROM pg_temp.incoming_file AS i USING imrec.failure AS f WHERE f.file_id = i.file_id
"""
_IMAGE_FILELESS = """
DELETE FROM pg_temp.incoming_image AS i
WHERE NOT EXISTS (SELECT FROM pg_temp.incoming_file AS f WHERE f.image_id = i.image_id)
AND NOT EXISTS (SELECT FROM imrec.file AS f WHERE f.image_id = i.image_id)
"""
_FILE_NOT_MISSING = """
DELETE FROM pg_temp.incoming_missing AS i USING imrec.file AS f
WHERE f.file_id = i.file_id
AND NOT EXISTS (SELECT FROM imrec.missing AS m WHERE m.file_id = i.file_id)
"""
# A file that is stored is not one that could not be read, and a file that is not stored is not missing.
_FAILURE_STORED = """
DELETE FROM pg_temp.incoming_failure AS i
WHERE EXISTS (SELECT FROM imrec.file AS f WHERE f.file_id = i.file_id)
OR EXISTS (SELECT FROM pg_temp.incoming_file AS f WHERE f.file_id = i.file_id)
"""
_MISSING_UNKNOWN = """
DELETE FROM pg_temp.incoming_missing AS i
WHERE NOT EXISTS (SELECT FROM imrec.file AS f WHERE f.file_id = i.file_id)
AND NOT EXISTS (SELECT FROM pg_temp.incoming_file AS f WHERE f.file_id = i.file_id)
"""

_EITHER_WAY: tuple[tuple[str, LiteralString], ...] = (
    ("failure", _FAILURE_STORED),
    ("missing", _MISSING_UNKNOWN),
)
_KEEP: tuple[tuple[str, LiteralString], ...] = (
    ("file", _HOLDS_ANOTHER),
    ("file", _FAILED_HERE),
    ("image", _IMAGE_FILELESS),
    ("missing", _FILE_NOT_MISSING),
    *_EITHER_WAY,
)
"""What to take out of the stage, and of which table, where the library is right."""

_LEAVE_OLD_IMAGES = """
WITH deleted AS (
    DELETE FROM imrec.file AS f USING pg_temp.incoming_file AS i
    WHERE f.file_id = i.file_id AND f.image_id <> i.image_id
    RETURNING f.image_id
)
INSERT INTO pg_temp.incoming_left SELECT image_id FROM deleted
"""
_FORGET_FAILURES = """
DELETE FROM imrec.failure AS f USING pg_temp.incoming_file AS i WHERE f.file_id = i.file_id
"""
_FORGET_MISSING = """
DELETE FROM imrec.missing AS m USING pg_temp.incoming_file AS i
WHERE m.file_id = i.file_id
AND NOT EXISTS (SELECT FROM pg_temp.incoming_missing AS n WHERE n.file_id = m.file_id)
"""
_DELETE_FILELESS = """
DELETE FROM imrec.image AS i USING (SELECT DISTINCT image_id FROM pg_temp.incoming_left) AS n
WHERE i.image_id = n.image_id
AND NOT EXISTS (SELECT FROM imrec.file AS f WHERE f.image_id = i.image_id)
"""
_REDUCE = SQL("SELECT imrec_internal.reduce_images(ARRAY(SELECT s.image_id FROM {} AS s))")
_IMAGELESS = SQL(
    "DELETE FROM {} AS i WHERE NOT EXISTS (SELECT FROM imrec.image AS n WHERE n.image_id = i.image_id)"
)


@dataclass(frozen=True, slots=True)
class Merged:
    """What became of the rows of one table; those that are not counted were here already.

    Attributes:
        added: were not here.
        replaced: were here, and differed.
        conflicts: were left out, since the library says otherwise.
    """

    table: str
    rows: int
    added: int = 0
    replaced: int = 0
    conflicts: int = 0

    def plus(self, other: "Merged") -> "Merged":
        """Return the sum of two parts of a table."""
        return Merged(
            self.table,
            self.rows + other.rows,
            self.added + other.added,
            self.replaced + other.replaced,
            self.conflicts + other.conflicts,
        )


@dataclass(frozen=True, slots=True)
class _Compared:
    existing: int
    different: int


def merge_catalogue(
    conn: Connection, columns: Mapping[Table, Sequence[str]], *, replace: bool
) -> list[Merged]:
    """Store what is staged of these tables, each after those that it refers to.

    Other writers wait until the end of the transaction, readers do not.
    """
    # In the order in which a batch of ingest writes them.
    with bounded(conn, "60s"):
        conn.execute(
            "LOCK TABLE imrec.root, imrec.image, imrec.file, imrec.failure, imrec.missing "
            "IN SHARE ROW EXCLUSIVE MODE"
        )
    rows = {table.name: count(conn, table) for table in columns}
    moved = _make_room(conn) if replace else 0
    withheld = Counter[str]()
    for name, statement in _EITHER_WAY if replace else _KEEP:
        withheld[name] += conn.execute(statement).rowcount
    merged = []
    for table, names in columns.items():
        with blamed(f"{table.name}{SUFFIX}"):
            done = _merge(conn, table, names, replace=replace)
        # A file that now holds another image has another key, and counts as replaced all the same.
        again = moved if table.name == "file" else 0
        conflicts = done.conflicts + withheld[table.name]
        merged.append(
            Merged(table.name, rows[table.name], done.added - again, done.replaced + again, conflicts)
        )
    if replace:
        # Every image keeps at least one file, so that a search never has to look past one without.
        conn.execute(_DELETE_FILELESS)
    return merged


def _make_room(conn: Connection) -> int:
    """Remove what contradicts the stage; return how many files held another image."""
    conn.execute("CREATE TEMP TABLE incoming_left (image_id uuid) ON COMMIT DROP")
    conn.execute(_FORGET_FAILURES)
    conn.execute(_FORGET_MISSING)
    return conn.execute(_LEAVE_OLD_IMAGES).rowcount


def merge_features(conn: Connection, table: Table, columns: Sequence[str], *, replace: bool) -> Merged:
    """Store what is staged of a feature, but for images that are not here."""
    rows = count(conn, table)
    withheld = conn.execute(_IMAGELESS.format(staged(table))).rowcount
    done = _merge(conn, table, columns, replace=replace)
    if table.name in {"embedding", "histogram"}:
        # Before others see the vectors: searches look for candidates among the reduced ones.
        conn.execute(_REDUCE.format(staged(table)))
    return Merged(table.name, rows, done.added, done.replaced, done.conflicts + withheld)


def _merge(conn: Connection, table: Table, columns: Sequence[str], *, replace: bool) -> Merged:
    rows = count(conn, table)
    compared = _compare(conn, table, columns)
    changed = conn.execute(_insert(table, columns, replace=replace)).rowcount
    added = rows - compared.existing
    return Merged(table.name, rows, added, changed - added, 0 if replace else compared.different)


def _compare(conn: Connection, table: Table, columns: Sequence[str]) -> _Compared:
    """Return how many staged rows have a row here, and how many of those differ in their content."""
    content = [name for name in content_of(table) if name in columns]
    differs = SQL("ROW({}) IS DISTINCT FROM ROW({})").format(
        _comparable(table, content, "t"), _comparable(table, content, "i")
    )
    return one_row(
        conn,
        _Compared,
        SQL(
            "SELECT count(*) AS existing, count(*) FILTER (WHERE {}) AS different "
            "FROM {} AS i INNER JOIN {} AS t USING ({})"
        ).format(differs if content else SQL("false"), staged(table), stored(table), names_of(key_of(table))),
    )


def _comparable(table: Table, names: Sequence[str], alias: str) -> Composed:
    """Return columns for a comparison; vectors as arrays, whose operators need no search_path."""
    return SQL(", ").join(
        SQL("{}::real[]" if isinstance(table.columns[name].type, VECTOR) else "{}").format(
            Identifier(alias, name)
        )
        for name in names
    )


def _insert(table: Table, columns: Sequence[str], *, replace: bool) -> Composed:
    key = key_of(table)
    others = [name for name in columns if name not in key]
    action: SQL | Composed = SQL("DO NOTHING")
    if replace and others:
        action = SQL("DO UPDATE SET {} WHERE ROW({}) IS DISTINCT FROM ROW({})").format(
            SQL(", ").join(SQL("{0} = excluded.{0}").format(Identifier(name)) for name in others),
            _comparable(table, others, "t"),
            _comparable(table, others, "excluded"),
        )
    return SQL(
        "INSERT INTO {table} AS t ({columns}) SELECT {columns} FROM {rows} ORDER BY {key} "
        "ON CONFLICT ({key}) {action}"
    ).format(
        table=stored(table), columns=names_of(columns), rows=staged(table), key=names_of(key), action=action
    )
