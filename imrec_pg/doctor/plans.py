"""Whether the planner takes the indexes that there are, for a query as a person would write it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from psycopg.sql import SQL, Composed, Identifier

from imrec_pg.doctor.examined import WORTH_AN_INDEX, Examined
from imrec_pg.doctor.finding import Finding, notice, ok, warning
from imrec_pg.records import Feature, Metric

_TABLE = SQL("SELECT image_id FROM {table} ORDER BY {column} {operator} %s::vector LIMIT 10")
# As README and guide have it.
_VIEW = SQL(
    "SELECT path FROM imrec.photo ORDER BY {column} {operator} "
    "(SELECT {column} FROM imrec.photo WHERE path = %s LIMIT 1) LIMIT 5"
)
_OPERATORS = {Metric.COSINE: SQL("<=>"), Metric.EUCLIDEAN: SQL("<->"), Metric.MANHATTAN: SQL("<+>")}
# Below this a scan takes some 30 ms, and whether the index would be faster hardly matters.
_SCAN_IS_SLOW = 50_000

Plan = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _Query:
    """A query that an index could serve.

    Attributes:
        what: for people.
        table: whose statistics decide.
        indexes: of which any would do.
        rows: about how many rows a scan would compare.
    """

    what: str
    table: str
    statement: Composed
    parameter: str
    indexes: frozenset[str]
    rows: int


def plans(examined: Examined) -> Iterator[Finding]:
    """Yield for each feature and metric with an index whether a plain ORDER BY takes it."""
    for query in _queries(examined):
        plan = _plan(examined, query)
        used = query.indexes & _index_names(plan)
        if used:
            yield ok(f"{query.what} takes the index {min(used)}")
        elif query.rows < WORTH_AN_INDEX:
            yield ok(f"{query.what} compares all of about {query.rows:,} rows, which is fast and exact")
        else:
            yield _not_taken(examined, query, plan)


def _queries(examined: Examined) -> Iterator[_Query]:
    pairs: dict[tuple[Feature, Metric], set[str]] = {}
    for index in examined.hnsw:
        if index.pair is not None:
            pairs.setdefault(index.pair, set()).add(index.name)
    for (feature, metric), names in pairs.items():
        table = feature.value
        parts = {"table": Identifier("imrec", table), "column": Identifier(feature)}
        stored = examined.conn.execute(
            SQL("SELECT {column}::text FROM {table} LIMIT 1").format(**parts)
        ).fetchone()
        if stored is None:
            continue
        rows, operator = examined.tables[table].rows, _OPERATORS[metric]
        order = f"ORDER BY {feature} {operator.as_string()} … LIMIT"
        for where, statement, parameter in (
            (f"imrec.{table}", _TABLE, str(stored[0])),
            ("imrec.photo", _VIEW, "/photos/a.jpg"),
        ):
            made = statement.format(operator=operator, **parts)
            yield _Query(f"{order} on {where}", table, made, parameter, frozenset(names), rows)


def _not_taken(examined: Examined, query: _Query, plan: Plan) -> Finding:
    what = f"{query.what} compares all of about {query.rows:,} rows, though there is {min(query.indexes)}"
    tell = warning if query.rows >= _SCAN_IS_SLOW else notice
    if examined.setting("enable_indexscan") == "off":
        return warning(
            what,
            "enable_indexscan is off, so that no index gives an order.",
            examined.set_database("enable_indexscan", "on"),
        )
    if examined.tables[query.table].known_rows < 0:
        return tell(what, "PostgreSQL never counted the rows.", f"ANALYZE imrec.{query.table};")
    forced = _plan(examined, query, forced=True)
    if not query.indexes & _index_names(forced):
        return tell(
            what,
            "Even with scans and sorts forbidden the planner does not take it: row-level security, or other "
            "settings, may be in the way.",
            "compare EXPLAIN as this role and as the owner",
        )
    return tell(
        what,
        f"The planner takes the scan for cheaper: {plan['Total Cost']} against {forced['Total Cost']}, at "
        f"random_page_cost {examined.setting('random_page_cost')}.",
        examined.set_database("random_page_cost", "1.1"),
    )


def _plan(examined: Examined, query: _Query, *, forced: bool = False) -> Plan:
    """Return what the planner would do; forced to use an index if it can."""
    with examined.conn.transaction():
        if forced:
            for name in ("enable_seqscan", "enable_sort", "enable_bitmapscan"):
                examined.conn.execute("SELECT set_config(%s, 'off', true)", (name,))
        # Not prepared: a generic plan does not know the vector, and scans.
        row = examined.conn.execute(
            SQL("EXPLAIN (FORMAT JSON) ") + query.statement, (query.parameter,), prepare=False
        ).fetchone()
    assert row is not None
    assert isinstance(row[0], list)
    plan: Plan = row[0][0]["Plan"]
    return plan


def _index_names(plan: Plan) -> set[str]:
    names = {str(plan["Index Name"])} if "Index Name" in plan else set()
    children = plan.get("Plans", [])
    assert isinstance(children, list)
    return names.union(*map(_index_names, children))
