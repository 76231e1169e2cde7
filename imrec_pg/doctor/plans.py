"""Do queries as people write them use the indexes, and return all the rows asked for?"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from psycopg.rows import scalar_row
from psycopg.sql import SQL, Composed, Identifier

from imrec_pg.db.connection import vector_schema
from imrec_pg.doctor.examined import WORTH_AN_INDEX, Examined
from imrec_pg.doctor.finding import Finding, notice, ok, warning
from imrec_pg.records import Feature, Metric

_TABLE = SQL("SELECT image_id FROM {table} ORDER BY {column} {operator} %s::{vector}.vector LIMIT 10")
# As in the README and the guide.
_VIEW = SQL(
    "SELECT path FROM imrec.photo ORDER BY {column} {operator} "
    "(SELECT {column} FROM imrec.photo WHERE path = %s LIMIT 1) LIMIT 5"
)
_OPERATORS = {Metric.COSINE: SQL("<=>"), Metric.EUCLIDEAN: SQL("<->"), Metric.MANHATTAN: SQL("<+>")}
# Below this a scan takes some 30 ms, so a faster index hardly matters.
_SCAN_IS_SLOW = 50_000
_DEFAULT_EF_SEARCH = 40
_DEFAULT_WORK_MEM = 4 * 1024 * 1024

Plan = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _Query:
    """A query that an index could serve.

    Attributes:
        what: for display.
        table: whose statistics decide.
        indexes: any of them could serve it.
        rows: about how many rows a scan would compare.
    """

    what: str
    table: str
    statement: Composed
    parameter: str
    indexes: frozenset[str]
    rows: int


def plans(examined: Examined) -> Iterator[Finding]:
    """Yield for each indexed feature and metric whether a plain ORDER BY uses the index."""
    for query in _queries(examined):
        plan = _plan(examined, query)
        used = query.indexes & _index_names(plan)
        if used:
            yield ok(f"{query.what} uses the index {min(used)}")
        elif query.rows < WORTH_AN_INDEX:
            yield ok(f"{query.what} compares all of about {query.rows:,} rows, which is fast and exact")
        else:
            yield _not_taken(examined, query, plan)


def psql(examined: Examined) -> Iterator[Finding]:
    """Yield whether psql users get all rows that they ask an index for; `imrec-pg search` always does."""
    if not examined.hnsw:
        return
    # A session knows pgvector's settings only once it has used a vector.
    examined.conn.execute(SQL("SELECT '[1]'::{}.vector").format(SQL(vector_schema(examined.conn))))
    ef_search = int(examined.setting("hnsw.ef_search"))
    if examined.setting("hnsw.iterative_scan") == "off":
        fix = examined.set_database("hnsw.iterative_scan", "strict_order")
        yield notice(
            f"in psql an index returns at most {ef_search} rows: hnsw.iterative_scan is off",
            f"LIMIT 100 ends after {ef_search} rows, with a filter even earlier.",
            fix if examined.settings.embedded else f"SELECT '[1]'::vector; {fix}",
        )
    elif ef_search < _DEFAULT_EF_SEARCH:
        yield notice(
            f"hnsw.ef_search is {ef_search}, less than pgvector's default of {_DEFAULT_EF_SEARCH}",
            "In psql an index misses more of the nearest photos.",
            examined.set_database("hnsw.ef_search", "100"),
        )
    elif (size := examined.setting_bytes("work_mem")) < _DEFAULT_WORK_MEM:
        yield notice(
            f"work_mem is {size // 1024} kB, less than PostgreSQL's default of 4 MB",
            "A filtered index scan ends once it has used up work_mem, and returns fewer rows.",
            examined.set_database("work_mem", "16MB"),
        )
    else:
        yield ok(f"in psql an index returns all rows asked for (hnsw.ef_search {ef_search})")


def _queries(examined: Examined) -> Iterator[_Query]:
    pairs: dict[tuple[Feature, Metric], set[str]] = {}
    for index in examined.hnsw:
        if index.pair is not None:
            pairs.setdefault(index.pair, set()).add(index.name)
    for (feature, metric), names in pairs.items():
        table = feature.value
        parts = {"table": Identifier("imrec", table), "column": Identifier(feature)}
        stored = examined.values(SQL("SELECT {column}::text FROM {table} LIMIT 1").format(**parts))
        if not stored:
            continue
        rows, operator = examined.tables[table].rows, _OPERATORS[metric]
        vector = SQL(vector_schema(examined.conn))
        qualified = SQL("OPERATOR({}.{})").format(vector, operator)
        order = f"ORDER BY {feature} {operator.as_string()} … LIMIT"
        for where, statement, parameter in (
            (f"imrec.{table}", _TABLE, stored[0]),
            ("imrec.photo", _VIEW, "/photos/a.jpg"),
        ):
            made = statement.format(operator=qualified, vector=vector, **parts)
            yield _Query(f"{order} on {where}", table, made, parameter, frozenset(names), rows)


def _not_taken(examined: Examined, query: _Query, plan: Plan) -> Finding:
    what = f"{query.what} compares all of about {query.rows:,} rows, despite {min(query.indexes)}"
    tell = warning if query.rows >= _SCAN_IS_SLOW else notice
    if examined.setting("enable_indexscan") == "off":
        return warning(
            what,
            "enable_indexscan is off, so no index can give the order.",
            examined.set_database("enable_indexscan", "on"),
        )
    if examined.tables[query.table].known_rows < 0:
        return tell(what, "PostgreSQL never counted the rows.", f"ANALYZE imrec.{query.table};")
    forced = _plan(examined, query, forced=True)
    if not query.indexes & _index_names(forced):
        return tell(
            what,
            "The planner does not use the index even with scans and sorts forbidden: row-level security or "
            "other settings may prevent it.",
            "compare EXPLAIN as this role and as the owner",
        )
    return tell(
        what,
        f"The planner thinks the scan is cheaper: {plan['Total Cost']} against {forced['Total Cost']}, at "
        f"random_page_cost {examined.setting('random_page_cost')}.",
        examined.set_database("random_page_cost", "1.1"),
    )


def _plan(examined: Examined, query: _Query, *, forced: bool = False) -> Plan:
    """Return the plan; with forced, one that uses an index if at all possible."""
    with examined.conn.transaction():
        if forced:
            for name in ("enable_seqscan", "enable_sort", "enable_bitmapscan"):
                examined.conn.execute("SELECT set_config(%s, 'off', true)", (name,))
        # Not prepared: a generic plan does not know the vector, and scans.
        with examined.conn.cursor(row_factory=scalar_row) as cur:
            explain = SQL("EXPLAIN (FORMAT JSON) ") + query.statement
            explained = cur.execute(explain, (query.parameter,), prepare=False).fetchall()
    plan: Plan = explained[0][0]["Plan"]
    return plan


def _index_names(plan: Plan) -> set[str]:
    names = {str(plan["Index Name"])} if "Index Name" in plan else set()
    children = plan.get("Plans", [])
    assert isinstance(children, list)
    return names.union(*map(_index_names, children))
