"""Do VACUUM and ANALYZE keep up, so that searches use the indexes and these stay fast?"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import LiteralString

from psycopg.sql import SQL, Identifier

from imrec_pg.doctor.examined import WORTH_AN_INDEX, Examined
from imrec_pg.doctor.finding import Finding, notice, ok, warning

_FEW_DEAD, _MANY_DEAD, _LEAST_DEAD = 0.1, 0.2, 1_000
_LARGE = 10_000

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


@dataclass(frozen=True, slots=True)
class _Activity:
    name: str
    live: int
    dead: int
    vacuumed: bool
    analysed: bool


def statistics(examined: Examined) -> Iterator[Finding]:
    """Yield which tables PostgreSQL believes to be much smaller than they are."""
    indexed = {index.table for index in examined.hnsw}
    wrong = [
        table
        for table in examined.tables.values()
        if table.rows >= WORTH_AN_INDEX and table.known_rows < table.rows / 2
    ]
    for table in wrong:
        believed = "never counted the rows" if table.known_rows < 0 else f"knows {table.known_rows:,.0f} rows"
        tell = warning if table.name in indexed else notice
        yield tell(
            f"PostgreSQL {believed} of imrec.{table.name}; there are about {table.rows:,}",
            "It plans for a small table, and searches use an index only from 5,000 known rows on.",
            f"ANALYZE imrec.{table.name};",
        )
    if not wrong and examined.tables:
        yield ok("PostgreSQL knows how large the tables are")


def dead_rows(examined: Examined) -> Iterator[Finding]:
    """Yield which tables with an HNSW index contain many dead rows."""
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
            "Index scans visit them for nothing. VACUUM removes them, faster after rebuilding the index.",
            f"{' '.join(map(examined.sql, statements))} VACUUM imrec.{table.name};",
        )


def vacuum(examined: Examined) -> Iterator[Finding]:
    """Yield where autovacuum is off, and which large tables were never vacuumed."""
    names: tuple[LiteralString, ...] = ("autovacuum", "track_counts")
    settings = [name for name in names if examined.setting(name) == "off"]
    for name in settings:
        yield warning(
            f"{name} is off",
            "Dead rows stay, searches slow down, and the planner does not know how large the tables are.",
            examined.set_server(name, "on"),
        )
    excepted: list[str] = examined.values(_AUTOVACUUM_OFF)
    for name in excepted:
        yield warning(
            f"autovacuum is off for imrec.{name}",
            "Dead rows stay, and the planner does not know how large the table is.",
            f"ALTER TABLE imrec.{name} RESET (autovacuum_enabled);",
        )
    # A standby has the tables of the primary server, but not the times.
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
            f"never vacuumed and analysed, according to the statistics: {', '.join(never)}",
            "Autovacuum does it within minutes of a large load; a crash of the server forgets the times.",
            f"VACUUM (ANALYZE) {', '.join(never)};",
        )
    if not settings and not excepted and not never:
        yield ok("autovacuum is on")
