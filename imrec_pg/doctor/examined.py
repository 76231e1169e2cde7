"""The database under examination: facts that several checks need, each read once."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, LiteralString, TypeVar

import psutil
from psycopg.abc import Params
from psycopg.rows import class_row, scalar_row
from psycopg.sql import SQL, Composed, Identifier, Literal

from imrec_pg.db.connection import Connection, schema_version
from imrec_pg.embedded.configuration import USER_FILE_NAME, Machine, this_machine
from imrec_pg.embedded.folders import Layout
from imrec_pg.records import Feature, Metric
from imrec_pg.settings import Settings

Record = TypeVar("Record")
Statement = LiteralString | SQL | Composed

WORTH_AN_INDEX = 5_000
"""A search considers the index from this many rows on (docs/adr/0007)."""

_METRICS = {
    "vector_cosine_ops": Metric.COSINE,
    "vector_l2_ops": Metric.EUCLIDEAN,
    "vector_l1_ops": Metric.MANHATTAN,
}
# For tables that PostgreSQL has not counted yet. A vector of 512 takes 2,056 bytes of a page of 8,192.
_ROWS_A_PAGE = {"image": 80, "file": 40} | {feature: 120 if feature.is_hash else 3 for feature in Feature}
# The clock may have been set between the start of the machine and the start of the server.
_CLOCK_SECONDS = 10

# A session that rebuilds a table holds a lock that pg_relation_size() would wait for: the last known size
# is good enough.
_SIZE = """
CASE WHEN c.oid IN (SELECT l.relation FROM pg_catalog.pg_locks AS l WHERE l.mode = 'AccessExclusiveLock')
    THEN c.relpages * current_setting('block_size')::bigint
    ELSE coalesce(pg_catalog.pg_relation_size(c.oid), 0)
END
"""
_TABLES = SQL("""
SELECT
    c.relname AS name,
    c.reltuples AS known_rows,
    c.relpages AS known_pages,
    s.bytes,
    s.bytes / current_setting('block_size')::bigint AS pages
FROM pg_catalog.pg_class AS c
INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (SELECT {size} AS bytes) AS s
WHERE n.nspname = 'imrec' AND c.relkind = 'r'
ORDER BY c.relname
""").format(size=SQL(_SIZE))
_INDEXES = SQL("""
SELECT
    c.oid::bigint AS oid,
    c.relname AS name,
    t.relname AS "table",
    m.amname AS method,
    a.attname AS "column",
    o.opcname AS operator_class,
    i.indpred IS NOT NULL AS partial,
    i.indisvalid AS valid,
    {size} AS bytes,
    pg_catalog.obj_description(c.oid, 'pg_class') AS comment,
    -- Compares the transactions that wrote the catalogue rows: updating the extension rewrites its row, and
    -- REINDEX rewrites the row of the index.
    age(c.xmin) > (
        SELECT age(e.xmin) FROM pg_catalog.pg_extension AS e WHERE e.extname = 'vector'
    ) AS older_than_extension
FROM pg_catalog.pg_index AS i
INNER JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
INNER JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid
INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
INNER JOIN pg_catalog.pg_am AS m ON m.oid = c.relam
LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = i.indkey[0]
LEFT JOIN pg_catalog.pg_opclass AS o ON o.oid = i.indclass[0]
WHERE n.nspname = 'imrec'
ORDER BY c.relname
""").format(size=SQL(_SIZE))
_OWN_PROCESS = """
SELECT pid, extract(epoch FROM backend_start)::double precision AS started
FROM pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid()
"""


@dataclass(frozen=True, slots=True)
class _Backend:
    pid: int
    started: float


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the schema imrec.

    Attributes:
        known_rows: PostgreSQL's estimate; -1 if it has never counted.
        known_pages: the number of pages at that time.
        pages: the number of pages now.
    """

    name: str
    known_rows: float
    known_pages: int
    bytes: int
    pages: int

    @property
    def rows(self) -> int:
        """About how many rows there are now, estimated from the number of pages as the planner does."""
        if self.known_rows >= 0 and self.known_pages > 0:
            return round(self.known_rows / self.known_pages * self.pages)
        return self.pages * _ROWS_A_PAGE.get(self.name, 50)


@dataclass(frozen=True, slots=True)
class Index:
    """An index on a table of the schema imrec.

    Attributes:
        column: the first one, or None for an expression.
        valid: False if its build was aborted; such an index is never used.
        older_than_extension: whether it was built before the last update of the extension vector; None if
            there is no extension.
    """

    oid: int
    name: str
    table: str
    method: str
    column: str | None
    operator_class: str | None
    partial: bool
    valid: bool
    bytes: int
    comment: str | None
    older_than_extension: bool | None

    @property
    def pair(self) -> tuple[Feature, Metric] | None:
        """The feature and metric that it can serve, whatever its name; None unless it is HNSW."""
        metric = _METRICS.get(self.operator_class or "")
        if self.method != "hnsw" or self.partial or metric is None or self.column != self.table:
            return None
        return (Feature(self.column), metric) if self.column in set(Feature) else None


class Examined:
    """The database under examination.

    Attributes:
        conn: in autocommit mode; the schema may be missing, old or not readable for the role.
        settings: which database it is.
        full: whether to read all rows of large tables.
    """

    def __init__(self, conn: Connection, settings: Settings, *, full: bool) -> None:
        self.conn = conn
        self.settings = settings
        self.full = full

    @cached_property
    def schema(self) -> str | None:
        """The version of the schema, or None if there is none."""
        return schema_version(self.conn)

    @cached_property
    def tables(self) -> dict[str, Table]:
        """The tables of the schema imrec by name; any role may see these facts."""
        return {table.name: table for table in self.records(Table, _TABLES)}

    @cached_property
    def indexes(self) -> list[Index]:
        """The indexes on these tables."""
        return self.records(Index, _INDEXES)

    @property
    def hnsw(self) -> list[Index]:
        """The HNSW indexes that can be used."""
        return [index for index in self.indexes if index.method == "hnsw" and index.valid]

    @cached_property
    def standby(self) -> bool:
        """Whether this server is a standby of another one."""
        return bool(self.values("SELECT pg_catalog.pg_is_in_recovery()")[0])

    @cached_property
    def machine(self) -> Machine | None:
        """This machine, if the server runs on it too; None if the server may be elsewhere.

        Neither a socket nor 127.0.0.1 proves it: both may lead into a container, and 127.0.0.1 through a
        tunnel. The server process of this session proves it, if it can be seen from here.
        """
        (backend,) = self.records(_Backend, _OWN_PROCESS)
        try:
            created = psutil.Process(backend.pid).create_time()
        except psutil.Error:
            return None
        return this_machine() if abs(created - backend.started) < _CLOCK_SECONDS else None

    @cached_property
    def search_path(self) -> list[str]:
        """The schemas in which a new session of this role finds bare names; ours is pinned to pg_catalog."""
        with self.conn.transaction():
            self.conn.execute("SET LOCAL search_path TO DEFAULT")
            # No operator, and no function by a bare name: others may have planted some.
            (names,) = self.values("SELECT pg_catalog.current_schemas(true)::pg_catalog.text[]")
        return list(names)

    def records(
        self, kind: type[Record], statement: Statement, parameters: Params | None = None
    ) -> list[Record]:
        """Return the rows as dataclasses."""
        with self.conn.cursor(row_factory=class_row(kind)) as cur:
            return cur.execute(statement, parameters).fetchall()

    def values(self, statement: Statement, parameters: Params | None = None) -> list[Any]:
        """Return the first column."""
        with self.conn.cursor(row_factory=scalar_row) as cur:
            return cur.execute(statement, parameters).fetchall()

    def number(self, statement: Statement, parameters: Params | None = None) -> int:
        """Return the only value, a whole number."""
        return int(self.values(statement, parameters)[0])

    def setting(self, name: str) -> str:
        """Return the value of a setting in this session."""
        return str(self.values("SELECT current_setting(%s)", (name,))[0])

    def setting_bytes(self, name: str) -> int:
        """Return a memory setting in bytes."""
        return self.number("SELECT pg_catalog.pg_size_bytes(current_setting(%s))", (name,))

    def set_database(self, name: LiteralString, value: str) -> str:
        """Return how to change a setting for all new sessions."""
        if self.settings.embedded:
            return self._set_embedded(name, value)
        database = Identifier(self.conn.info.dbname)
        return self.sql(SQL("ALTER DATABASE {} SET {} = {};").format(database, SQL(name), Literal(value)))

    def set_server(self, name: LiteralString, value: str) -> str:
        """Return how to change a setting that takes effect when the server restarts."""
        if self.settings.embedded:
            return self._set_embedded(name, value)
        statement = SQL("ALTER SYSTEM SET {} = {};").format(SQL(name), Literal(value))
        return f"{self.sql(statement)} and restart the server (managed server: use the provider's settings)"

    def sql(self, statement: Composed) -> str:
        """Return a statement as text."""
        return statement.as_string(self.conn)

    def _set_embedded(self, name: str, value: str) -> str:
        file = Layout(self.settings.data_dir).cluster / USER_FILE_NAME
        return f"write {name} = '{value}' into {file}, then run imrec-pg db stop"
