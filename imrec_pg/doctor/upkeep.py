"""What VACUUM and ANALYZE keep in order, and what keeps VACUUM from it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import LiteralString

from psycopg.sql import SQL, Identifier

from imrec_pg.doctor.examined import WORTH_AN_INDEX, Examined
from imrec_pg.doctor.finding import Finding, notice, ok, warning

OLD_TRANSACTION = timedelta(hours=1)
_FEW_DEAD, _MANY_DEAD, _LEAST_DEAD = 0.1, 0.2, 1_000
_LARGE = 10_000
# Of imrec.hash: below, and below that by far. A row that must be looked up in the table costs six times as
# much, and a small table is scanned anyway.
_VISIBLE, _HARDLY_VISIBLE, _SMALL_PAGES, _LARGE_PAGES = 0.9, 0.5, 100, 1_000

_ACTIVITY = """
SELECT
    relname AS name,
    n_live_tup AS live,
    n_dead_tup AS dead,
    last_vacuum IS NOT NULL OR last_autovacuum IS NOT NULL AS vacuumed,
    last_analyze IS NOT NULL OR last_autoanalyze IS NOT NULL AS analysed
FROM pg_catalog.pg_stat_user_tables WHERE schemaname = 'imrec'
ORDER BY relname
"""
_AUTOVACUUM_OFF = """
SELECT c.relname FROM pg_catalog.pg_class AS c
INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN LATERAL pg_catalog.pg_options_to_table(c.reloptions) AS o
WHERE n.nspname = 'imrec' AND o.option_name = 'autovacuum_enabled' AND NOT o.option_value::boolean
ORDER BY 1
"""
# Only a session with a snapshot or a transaction id keeps rows from being removed, and only in its database.
_TRANSACTIONS = """
SELECT pid, usename::text AS "user", now() - xact_start AS age FROM pg_catalog.pg_stat_activity
WHERE datname = current_database() AND pid <> pg_catalog.pg_backend_pid() AND backend_type = 'client backend'
AND now() - xact_start >= %s AND (backend_xid IS NOT NULL OR backend_xmin IS NOT NULL)
ORDER BY xact_start
"""
_HIDDEN = """
SELECT count(*) FROM pg_catalog.pg_stat_activity
WHERE datname = current_database() AND backend_type IS NULL
"""


@dataclass(frozen=True, slots=True)
class _Activity:
    name: str
    live: int
    dead: int
    vacuumed: bool
    analysed: bool


@dataclass(frozen=True, slots=True)
class _Transaction:
    pid: int
    user: str
    age: timedelta


def statistics(examined: Examined) -> Iterator[Finding]:
    """Yield which tables PostgreSQL takes for much smaller than they are."""
    indexed = {index.table for index in examined.hnsw}
    wrong = [
        table
        for table in examined.tables.values()
        if table.rows >= WORTH_AN_INDEX and table.known_rows < table.rows / 2
    ]
    for table in wrong:
        believed = (
            "never counted the rows" if table.known_rows < 0 else f"knows of {table.known_rows:,.0f} rows"
        )
        tell = warning if table.name in indexed else notice
        yield tell(
            f"PostgreSQL {believed} of imrec.{table.name}; there are about {table.rows:,}",
            "Plans are made for a small table. By this figure a search takes an index from 5,000 rows on.",
            f"ANALYZE imrec.{table.name};",
        )
    if not wrong and examined.tables:
        yield ok("PostgreSQL knows how large the tables are")


def dead_rows(examined: Examined) -> Iterator[Finding]:
    """Yield which tables with an HNSW index are full of rows that are gone."""
    indexed = {index.table for index in examined.hnsw}
    for table in examined.records(_Activity, _ACTIVITY):
        if table.name not in indexed:
            continue
        share = table.dead / max(table.dead + table.live, 1)
        if share < _FEW_DEAD or table.dead < _LEAST_DEAD:
            yield ok(f"{share:.0%} of imrec.{table.name} is dead rows")
            continue
        tell = warning if share >= _MANY_DEAD else notice
        names = [index.name for index in examined.hnsw if index.table == table.name]
        statements = [
            SQL("REINDEX INDEX CONCURRENTLY {};").format(Identifier("imrec", name)) for name in names
        ]
        yield tell(
            f"{share:.0%} of imrec.{table.name} is dead rows ({table.dead:,})",
            "An index scan visits them for nothing. VACUUM removes them, sooner on an index built anew.",
            f"{' '.join(map(examined.sql, statements))} VACUUM imrec.{table.name};",
        )


def vacuum(examined: Examined) -> Iterator[Finding]:
    """Yield where nothing vacuums by itself, and which large tables nothing ever has."""
    names: tuple[LiteralString, ...] = ("autovacuum", "track_counts")
    settings = [name for name in names if examined.setting(name) == "off"]
    for name in settings:
        yield warning(
            f"{name} is off",
            "Dead rows stay, searches slow down, and the planner knows nothing of what was stored.",
            examined.set_server(name, "on"),
        )
    excepted = [str(name) for (name,) in examined.conn.execute(_AUTOVACUUM_OFF)]
    for name in excepted:
        yield warning(
            f"autovacuum is off for imrec.{name}",
            "Dead rows stay, and the planner knows nothing of what was stored.",
            f"ALTER TABLE imrec.{name} RESET (autovacuum_enabled);",
        )
    # A standby has the tables as the primary server leaves them, and does not know when.
    activities = [] if examined.standby else examined.records(_Activity, _ACTIVITY)
    never = [
        f"imrec.{activity.name}"
        for activity in activities
        if not (activity.vacuumed and activity.analysed)
        and activity.name in examined.tables
        and examined.tables[activity.name].rows >= _LARGE
    ]
    if never:
        yield notice(
            f"never vacuumed and analysed, as far as the statistics reach: {', '.join(never)}",
            "It happens by itself within minutes of a large load; a crash of the server forgets when it did.",
            f"VACUUM (ANALYZE) {', '.join(never)};",
        )
    if not settings and not excepted and not never:
        yield ok("autovacuum is at work")


def visibility(examined: Examined) -> Iterator[Finding]:
    """Yield whether the indexes on hashes can answer alone, as a Hamming search would have it."""
    table = examined.tables.get("hash")
    if table is None:
        return
    share = table.visible_pages / max(table.pages, 1)
    if table.pages < _SMALL_PAGES or share >= _VISIBLE:
        yield ok("Hamming searches read the indexes alone, or a small table")
        return
    tell = warning if table.pages >= _LARGE_PAGES and share < _HARDLY_VISIBLE else notice
    yield tell(
        f"only {min(share, 1):.0%} of imrec.hash is known to be visible to all",
        "A Hamming search then looks up each row in the table too, at six times the cost, or scans it all.",
        "VACUUM imrec.hash;",
    )


def transactions(examined: Examined) -> Iterator[Finding]:
    """Yield which transactions are so old that VACUUM cannot remove what was deleted since."""
    found = examined.records(_Transaction, _TRANSACTIONS, (OLD_TRANSACTION,))
    for transaction in found:
        yield warning(
            f"a transaction of {transaction.user} has been open for {str(transaction.age).partition('.')[0]}",
            "VACUUM cannot remove what was deleted since, and index scans slow down.",
            f"end that program, or SELECT pg_terminate_backend({transaction.pid});",
        )
    if not found:
        hidden = examined.number(_HIDDEN)
        beyond = f"; {hidden} sessions of others could not be looked at" if hidden else ""
        yield ok(f"no transaction holds VACUUM back{beyond}")
