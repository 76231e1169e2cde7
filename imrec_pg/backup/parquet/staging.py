"""Hold the rows of an export in temporary tables (`incoming_image` …), and check that they fit together.

What differs from table to table is composed from the names in db.metadata.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from psycopg import errors as pg
from psycopg.sql import SQL, Composed, Identifier
from sqlalchemy import ForeignKeyConstraint, Table

from imrec_pg.backup.parquet.folder import SUFFIX
from imrec_pg.backup.parquet.tables import key_of, unique_keys
from imrec_pg.db.connection import Connection
from imrec_pg.db.metadata import SCHEMA
from imrec_pg.db.rows import value
from imrec_pg.errors import ExportFileError

_FILELESS = """
SELECT i.image_id FROM pg_temp.incoming_image AS i WHERE NOT EXISTS (
    SELECT FROM pg_temp.incoming_file AS f WHERE f.image_id = i.image_id
) AND NOT EXISTS (SELECT FROM imrec.file AS f WHERE f.image_id = i.image_id)
"""


@contextmanager
def blamed(file: str) -> Iterator[None]:
    """Say which file it was when the database refuses a row of it."""
    try:
        yield
    except (pg.IntegrityError, pg.DataError) as error:
        said = (error.diag.message_primary, error.diag.message_detail)
        raise ExportFileError(file, " ".join(" ".join(part for part in said if part).split())) from error


def staged(table: Table) -> Identifier:
    """Return the temporary table of the rows that are to be stored."""
    # pg_temp: a table of this name that someone put into the search path must not catch the rows.
    return Identifier("pg_temp", f"incoming_{table.name}")


def create_stage(conn: Connection, table: Table) -> None:
    """Make the temporary table of whole rows, for this transaction, with the table's CHECKs."""
    conn.execute(
        SQL(
            "CREATE TEMP TABLE {} (LIKE {} INCLUDING DEFAULTS INCLUDING STORAGE INCLUDING CONSTRAINTS) "
            "ON COMMIT DROP"
        ).format(Identifier(f"incoming_{table.name}"), stored(table))
    )


def create_key_stage(conn: Connection, table: Table) -> None:
    """Make the temporary table of keys alone, for this transaction."""
    conn.execute(
        SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(
            Identifier(f"incoming_{table.name}"), names_of(key_of(table)), stored(table)
        )
    )


def check_keys(conn: Connection, catalogue: Sequence[Table], features: Sequence[Table]) -> None:
    """Return when all staged rows fit together, and with what is stored.

    Raises:
        ExportFileError: a key is there twice, a row refers to one that is nowhere, or an image has no file.
    """
    every = (*catalogue, *features)
    for table in every:
        conn.execute(SQL("ANALYZE {}").format(staged(table)))
    for table in every:
        for key in unique_keys(table):
            twice = SQL("SELECT {key} FROM {rows} GROUP BY {key} HAVING count(*) > 1").format(
                key=names_of(key), rows=staged(table)
            )
            _refuse(conn, table, twice, f"{' and '.join(key)} {{}} is there twice")
    for table in every:
        for reference in table.foreign_key_constraints:
            parent = f"{reference.referred_table.name}{SUFFIX}"
            why = f"{' and '.join(reference.column_keys)} {{}} is not in {parent}"
            _refuse(conn, table, _dangling(table, reference, catalogue), why)
    image = next(table for table in catalogue if table.name == "image")
    _refuse(conn, image, SQL(_FILELESS), f"image_id {{}} is not in file{SUFFIX}")


def _dangling(table: Table, reference: ForeignKeyConstraint, catalogue: Sequence[Table]) -> Composed:
    """Return the query for staged rows whose reference is neither staged nor stored."""
    parent = reference.referred_table
    same = SQL(" AND ").join(
        SQL("p.{} = i.{}").format(Identifier(key.column.name), Identifier(key.parent.name))
        for key in reference.elements
    )
    parents = [stored(parent), *([staged(parent)] if parent in catalogue else [])]
    return SQL("SELECT {} FROM {} AS i WHERE ROW({}) IS NOT NULL AND {}").format(
        names_of(reference.column_keys, "i"),
        staged(table),
        names_of(reference.column_keys, "i"),
        SQL(" AND ").join(
            SQL("NOT EXISTS (SELECT FROM {} AS p WHERE {})").format(rows, same) for rows in parents
        ),
    )


def _refuse(conn: Connection, table: Table, statement: SQL | Composed, why: str) -> None:
    row = conn.execute(SQL("{} LIMIT 1").format(statement)).fetchone()
    if row is not None:
        raise ExportFileError(f"{table.name}{SUFFIX}", why.format(" and ".join(map(str, row))))


def count(conn: Connection, table: Table) -> int:
    """Return how many rows are staged."""
    return value(conn, int, SQL("SELECT count(*) FROM {}").format(staged(table)))


def stored(table: Table) -> Identifier:
    """Return the table in the library."""
    return Identifier(SCHEMA, table.name)


def names_of(names: Sequence[str], alias: str | None = None) -> Composed:
    """Return names for a list in SQL, each after the alias of its table if one is given."""
    before = () if alias is None else (alias,)
    return SQL(", ").join(Identifier(*before, name) for name in names)
