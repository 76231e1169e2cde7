"""Does the database have the tables, constraints and indexes that the migrations created?"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg.sql import SQL, Identifier

from imrec_pg.db.session import HEAD
from imrec_pg.doctor.examined import Examined
from imrec_pg.doctor.finding import Finding, error, notice, ok, warning
from imrec_pg.records import Feature

if TYPE_CHECKING:
    from sqlalchemy import Table
    from sqlalchemy.schema import ExecutableDDLElement

_CONSTRAINTS = """
SELECT c.conname AS name, c.convalidated AS valid FROM pg_catalog.pg_constraint AS c
INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = c.connamespace WHERE n.nspname = 'imrec'
"""
_VIEW = """
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_class AS c INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = 'imrec' AND c.relname = 'photo' AND c.relkind = 'v'
)
"""
_NOT_PLAIN = """
SELECT a.attname FROM pg_catalog.pg_attribute AS a
INNER JOIN pg_catalog.pg_class AS t ON t.oid = a.attrelid
INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
WHERE n.nspname = 'imrec' AND t.relkind = 'r' AND t.relname = ANY (%s)
AND a.attname = t.relname AND a.attstorage <> 'p'
ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class _Constraint:
    name: str
    valid: bool


def objects(examined: Examined) -> Iterator[Finding]:
    """Yield which objects of the migrations are gone; nothing for a schema of another version."""
    if examined.schema != HEAD:
        return
    from imrec_pg.db.metadata import SCHEMA, metadata

    constraints = {found.name: found.valid for found in examined.records(_Constraint, _CONSTRAINTS)}
    indexes = {index.name for index in examined.indexes}
    missing = []
    # imrec_internal holds what no photo depends on: an upgrade makes it.
    for table in (table for table in metadata.sorted_tables if table.schema == SCHEMA):
        if table.name in examined.tables:
            missing += [*_constraints(table, constraints), *_indexes(table, indexes)]
        else:
            missing.append(_gone(f"the table imrec.{table.name}"))
    if not examined.values(_VIEW)[0]:
        missing.append(
            error(
                "the view imrec.photo is missing",
                "Somebody dropped it. Commands that need it will fail.",
                "imrec-pg db upgrade",
            )
        )
    yield from missing
    if not missing:
        yield ok("all tables, constraints and indexes of the migrations are there")


def storage(examined: Examined) -> Iterator[Finding]:
    """Yield which vectors are stored out of line, and which hashes packed."""
    # Not by the view imrec.feature, which a damaged or empty database may lack.
    found: list[str] = examined.values(_NOT_PLAIN, ([*Feature],))
    for table in found:
        names = {"table": Identifier("imrec", table), "column": Identifier(table)}
        statement = SQL("ALTER TABLE {table} ALTER COLUMN {column} SET STORAGE PLAIN; VACUUM FULL {table};")
        fix = examined.sql(statement.format(**names))
        if Feature(table).is_hash:
            yield notice(
                f"the hashes of imrec.{table} are stored packed",
                "Searches that read all of them take about a quarter longer. The fix locks and rewrites the table.",
                fix,
            )
        else:
            yield warning(
                f"the vectors of imrec.{table} are stored out of line",
                "Exact searches take about 2.8 times as long. The fix locks and rewrites the table.",
                fix,
            )
    if "embedding" in examined.tables and not found:
        yield ok("vectors and hashes are stored inline")


def _gone(what: str) -> Finding:
    return error(
        f"{what} is missing",
        "Somebody dropped it. Commands that need it will fail.",
        "restore a backup, or ingest into a new database",
    )


def _constraints(table: "Table", present: dict[str, bool]) -> Iterator[Finding]:
    from sqlalchemy.schema import AddConstraint

    for constraint in sorted(table.constraints, key=lambda constraint: str(constraint.name)):
        name = str(constraint.name)
        if name not in present:
            yield error(
                f"the constraint {name} is missing",
                "Invalid rows may get in, and ingest may fail.",
                _statement(AddConstraint(constraint)),
            )
        elif not present[name]:
            yield notice(
                f"the constraint {name} was never validated",
                "Rows from before it was created may violate it.",
                f"ALTER TABLE imrec.{table.name} VALIDATE CONSTRAINT {name};",
            )


def _indexes(table: "Table", present: set[str]) -> Iterator[Finding]:
    from sqlalchemy.schema import CreateIndex

    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        if index.name not in present:
            yield warning(
                f"the index {index.name} is missing",
                "Queries that need it read whole tables instead.",
                _statement(CreateIndex(index)).replace("CREATE INDEX", "CREATE INDEX CONCURRENTLY", 1),
            )


def _statement(element: "ExecutableDDLElement") -> str:
    from sqlalchemy.dialects import postgresql

    return " ".join(str(element.compile(dialect=postgresql.dialect())).split()) + ";"  # type: ignore[no-untyped-call]
