"""The functions and views of sql/: applied again as a whole at each upgrade (docs/adr/0020)."""

import hashlib
import re
from functools import cache
from pathlib import Path

import psycopg
from psycopg import errors as pg
from psycopg.rows import TupleRow
from psycopg.sql import Identifier

from imrec_pg._version import __version__
from imrec_pg.db.connection import vector_schema
from imrec_pg.db.locks import lock
from imrec_pg.db.privileges import WRITE
from imrec_pg.db.rows import values

_PACKAGE = Path(__file__).resolve().parent.parent
# What a file needs that another one, which comes later in the alphabet, is to define.
_NOT_YET = (pg.UndefinedFunction, pg.UndefinedTable, pg.UndefinedObject)
# A definition that was written again has another row version.
_INTERNALS = """
SELECT p.oid, p.xmin::text, 'FUNCTION ' || p.oid::pg_catalog.regprocedure AS name FROM pg_catalog.pg_proc AS p
WHERE p.pronamespace = 'imrec_internal'::pg_catalog.regnamespace
UNION ALL
SELECT c.oid, r.xmin::text, 'VIEW ' || c.oid::pg_catalog.regclass FROM pg_catalog.pg_class AS c
INNER JOIN pg_catalog.pg_rewrite AS r ON r.ev_class = c.oid
WHERE c.relnamespace = 'imrec_internal'::pg_catalog.regnamespace AND c.relkind = 'v'
"""
_OURS = """
SELECT 'VIEW ' || c.oid::pg_catalog.regclass FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = ANY (%(schemas)s::pg_catalog.regnamespace[]) AND c.relkind = 'v'
UNION ALL
SELECT 'FUNCTION ' || p.oid::pg_catalog.regprocedure FROM pg_catalog.pg_proc AS p
WHERE p.pronamespace = ANY (%(schemas)s::pg_catalog.regnamespace[]) AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend AS d INNER JOIN pg_catalog.pg_index AS i ON i.indexrelid = d.objid
    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
    AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.refobjid = p.oid
)
"""
# What runs with its owner's rights and belongs to another than the schema.
_NOT_THE_OWNERS = """
SELECT format('ALTER FUNCTION %s OWNER TO %s', p.oid::pg_catalog.regprocedure, n.nspowner::pg_catalog.regrole)
FROM pg_catalog.pg_proc AS p INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = 'imrec_internal' AND p.prosecdef AND p.proowner <> n.nspowner
"""
_INGESTERS = """
SELECT DISTINCT r.rolname::text FROM pg_catalog.pg_class AS c
CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) AS a
INNER JOIN pg_catalog.pg_roles AS r ON r.oid = a.grantee
WHERE c.oid = 'imrec.file'::pg_catalog.regclass AND a.privilege_type = 'INSERT' AND a.grantee <> c.relowner
"""
_RECORD = """
INSERT INTO imrec_internal.applied_sql (imrec_version, digest) VALUES (%s, %s)
"""


def folder(name: str) -> Path:
    """Return the folder "sql" or "migrations": inside the package when installed, beside it in a checkout."""
    packed = _PACKAGE / f"_{name}"
    return packed if packed.is_dir() else _PACKAGE.parent / name


@cache
def digest() -> str:
    """Return the hex SHA-256 of all files: a database that names another one has other functions."""
    found = hashlib.sha256()
    for path in _files():
        found.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()


def apply(conn: psycopg.Connection[TupleRow]) -> None:
    """Create or replace every function and view, and drop internal ones that no file defines any more.

    Public ones stay: users call them. What users made of the public ones stays too, since nothing that they
    can refer to is dropped. Call it in a transaction that holds the migration lock.
    """
    # Loads pgvector: a role that is no superuser may otherwise not name its settings in a function.
    schema = vector_schema(conn)
    conn.execute(f"SELECT '[1]'::{schema}.vector".encode())
    # Bodies in standard SQL are bound when they are created: to nothing that somebody planted.
    conn.execute("SELECT set_config('search_path', 'pg_catalog, pg_temp', true)")
    before = {oid: version for oid, version, _ in conn.execute(_INTERNALS)}
    waiting = _files()
    while waiting:
        later: list[Path] = []
        for path in waiting:
            try:
                with conn.transaction():
                    run_file(conn, path, schema)
            except _NOT_YET:
                if len(later) + 1 == len(waiting):  # nothing that the others define will help
                    raise
                later.append(path)
        waiting = later
    stale = [name for oid, version, name in conn.execute(_INTERNALS) if before.get(oid) == version]
    for name in stale:
        conn.execute(f"DROP {name}".encode())
    # A member of the owner's role, who may upgrade too, would lend them rights that it may lose.
    for statement in values(conn, str, _NOT_THE_OWNERS):
        conn.execute(statement.encode())
    renew_access(conn)
    # Who may ingest may write to the tables of this version too; to no others.
    for role in values(conn, str, _INGESTERS):
        for grant in WRITE:
            conn.execute(grant.format(role=Identifier(role)))
    conn.execute("DELETE FROM imrec_internal.applied_sql")
    conn.execute(_RECORD, (__version__, digest()))


def renew_access(conn: psycopg.Connection[TupleRow]) -> None:
    """Give restricted readers what is made for them; call it in a transaction."""
    lock(conn, "access")
    for statement in values(conn, str, "SELECT statement FROM imrec_internal.grant_change"):
        conn.execute(statement.encode())


def drop_all(conn: psycopg.Connection[TupleRow]) -> None:
    """Drop all functions and views of imrec-pg, and what depends on them.

    But for functions that indexes are built on: an index is the migrations', and nothing would build it again.
    """
    schemas = {"schemas": ["imrec", "imrec_internal"]}
    for (name,) in conn.execute(_OURS, schemas).fetchall():
        kind, _, what = str(name).partition(" ")
        conn.execute(f"DROP {kind} IF EXISTS {what} CASCADE".encode())


def run_file(conn: psycopg.Connection[TupleRow], path: Path, schema: str) -> None:
    """Create the objects of one file. In it, pgvector's names are qualified by "pgvector."."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"\bpgvector\.", lambda _: f"{schema}.", text)
    # One statement at a time: a distributed database takes one DDL command a round trip.
    for statement in re.split(r"(?m)^(?=COMMENT ON |CREATE OR REPLACE )", text):
        if statement.strip() and not re.fullmatch(r"(?:\s*--.*\n)*\s*", statement):
            conn.execute(statement.encode())


def _files() -> list[Path]:
    return sorted(folder("sql").rglob("*.sql"))
