"""Rank stored images by their distance to one or several query features, in one statement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from pgvector import Bit, Vector
from psycopg.rows import class_row
from psycopg.sql import SQL, Composed, Identifier, Literal

from imrec_pg.errors import UsageError
from imrec_pg.records import FEATURE_TABLES, METRICS, Combine, Feature, FloatRow, Metric
from imrec_pg.store.connection import Connection, translated
from imrec_pg.store.hamming import nearest_statement
from imrec_pg.store.index import valid_index

OPERATORS: Mapping[Metric, SQL] = {
    Metric.COSINE: SQL("<=>"),
    Metric.EUCLIDEAN: SQL("<->"),
    Metric.MANHATTAN: SQL("<+>"),
    Metric.HAMMING: SQL("<~>"),
}
COLUMNS: Mapping[Feature, Identifier] = {
    Feature.EMBEDDING: Identifier("embedding"),
    Feature.HISTOGRAM: Identifier("histogram"),
    Feature.AVERAGE_HASH: Identifier("average_hash"),
    Feature.DIFFERENCE_HASH: Identifier("difference_hash"),
}

# A smaller table is scanned, exactly, in a few milliseconds.
_MIN_INDEX_ROWS = 5_000
# Beyond this many rows walking the graph costs more than scanning the table (ef_search ends at 1,000).
_MAX_INDEX_K = 400
_MAX_K = 1_000_000


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One stored image of an answer.

    Attributes:
        distance: in the metric asked for; 0 is the same, smaller is nearer.
        path: the first place it was seen at, by name.
        raw_path: that place as the file system spells it.
        copies: how many files hold exactly these bytes.
    """

    image_id: UUID
    distance: float
    path: str
    raw_path: bytes
    copies: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Ranking:
    """The nearest images, nearest first, and whether they are certainly those."""

    neighbours: Sequence[Neighbour]
    exact: bool
    index: str | None


def check_pair(feature: Feature, metric: Metric | None) -> Metric:
    """Return the metric to use: the one given, or the feature's default.

    Raises:
        UsageError: the pair makes no sense.
    """
    if metric is None:
        return METRICS[feature][0]
    if metric not in METRICS[feature]:
        pairs = "; ".join(f"{f}: {', '.join(metrics)}" for f, metrics in METRICS.items())
        raise UsageError(f"{feature} has no {metric} distance; choose from {pairs}")
    return metric


def check_k(k: int) -> int:
    """Return k.

    Raises:
        UsageError: k is below 1 or absurdly large.
    """
    if not 1 <= k <= _MAX_K:
        raise UsageError(f"k is how many photos to show: a number from 1 to {_MAX_K:,}, not {k}")
    return k


def stored_features(
    conn: Connection, image_ids: Sequence[UUID], feature: Feature
) -> dict[UUID, FloatRow | bytes]:
    """Return the stored features of those images that have them."""
    statement = SQL("SELECT image_id, {column} FROM {table} WHERE image_id = ANY(%s)").format(
        column=COLUMNS[feature], table=_table(feature)
    )
    with translated():
        rows = conn.execute(statement, (list(image_ids),)).fetchall()
    return {_uuid(key): _feature(value) for key, value in rows}


def rank(
    conn: Connection,
    queries: Sequence[FloatRow | bytes],
    feature: Feature,
    metric: Metric,
    k: int,
    *,
    combine: Combine = Combine.MEAN,
    exclude: Sequence[UUID] = (),
    exact: bool = False,
) -> Ranking:
    """Return the k images nearest to the queries; fewer only when fewer are stored.

    queries are float32 (512,) rows, or 8-byte hashes. Ties go by image_id, so that an answer repeats.
    """
    if combine is Combine.MEAN and feature in (Feature.EMBEDDING, Feature.HISTOGRAM):
        # float64: the mean of many float32 rows would otherwise depend on their order.
        queries = [np.mean(np.stack([np.asarray(q) for q in queries]), axis=0, dtype=np.float64)]
    index = None if exact or k > _MAX_INDEX_K else valid_index(conn, feature, metric, _MIN_INDEX_ROWS)
    parameters = {"exclude": list(exclude)} | {f"q{i}": _parameter(q) for i, q in enumerate(queries)}
    with translated(), conn.transaction():
        if index is not None:
            _allow_index(conn, k)
            statement = _statement(feature, metric, k, len(queries), combine, exact=False)
            if _uses(conn, statement, parameters, index):
                found = _fetch(conn, statement, parameters)
                if len(found) == k:
                    return Ranking(found, exact=False, index=index)
        # Short, or the planner prefers the scan anyway: the exact answer is certain and as cheap.
        statement = _statement(feature, metric, k, len(queries), combine, exact=True)
        return Ranking(_fetch(conn, statement, parameters), exact=True, index=None)


def _statement(
    feature: Feature, metric: Metric, k: int, queries: int, combine: Combine, *, exact: bool
) -> Composed:
    if metric is Metric.HAMMING and (combine is Combine.MIN or queries == 1):
        selects = [
            nearest_statement(SQL(f"%(q{i})s"), feature, k, SQL("%(exclude)s")) for i in range(queries)
        ]
        return _WITH_PATHS.format(nearest=SQL(" UNION ALL ").join(selects), k=Literal(k))
    column, operator = COLUMNS[feature], OPERATORS[metric]
    distances = [SQL("(f.{} {} {})").format(column, operator, SQL(f"%(q{i})s")) for i in range(queries)]
    if combine is Combine.MEAN and queries > 1:
        distances = [SQL("(({}) / {})").format(SQL(" + ").join(distances), Literal(float(queries)))]
    nearest = SQL(" UNION ALL ").join(
        SQL(
            "(SELECT f.image_id, {distance} AS distance FROM {table} AS f "
            "WHERE f.image_id <> ALL (%(exclude)s::uuid[]) "
            "ORDER BY {order}, f.image_id LIMIT {k})"
        ).format(
            distance=distance,
            table=_table(feature),
            # "+ 0" hides the distance from the index, so that this scan is exact.
            order=distance + SQL(" + 0") if exact else distance,
            k=Literal(k),
        )
        for distance in distances
    )
    return _WITH_PATHS.format(nearest=nearest, k=Literal(k))


_WITH_PATHS = SQL(
    "WITH candidate AS MATERIALIZED ({nearest}), "
    "nearest AS MATERIALIZED ("
    " SELECT image_id, min(distance)::double precision AS distance FROM candidate"
    " GROUP BY image_id ORDER BY min(distance), image_id LIMIT {k}), "
    "place AS ("
    " SELECT l.image_id, min(l.path) AS path, count(*) AS copies,"
    "  (array_agg(r.raw_path ORDER BY l.path))[1] AS root_path,"
    "  (array_agg(l.relative_path ORDER BY l.path))[1] AS relative_path"
    " FROM imrec.location AS l INNER JOIN imrec.root AS r ON r.root_id = l.root_id"
    " WHERE l.image_id IN (SELECT n.image_id FROM nearest AS n) GROUP BY l.image_id) "
    "SELECT n.image_id, n.distance, p.path, p.copies, i.width, i.height,"
    " rtrim(p.root_path, '/'::bytea) || '/'::bytea || p.relative_path AS raw_path "
    "FROM nearest AS n"
    " INNER JOIN place AS p ON p.image_id = n.image_id"
    " INNER JOIN imrec.image AS i ON i.image_id = n.image_id "
    "ORDER BY n.distance, n.image_id"
)


def _fetch(conn: Connection, statement: Composed, parameters: Mapping[str, object]) -> list[Neighbour]:
    with conn.cursor(row_factory=class_row(Neighbour)) as cur:
        # Not prepared: a generic plan does not know the query vector and scans the table.
        return cur.execute(statement, parameters, prepare=False).fetchall()


def _uses(conn: Connection, statement: Composed, parameters: Mapping[str, object], index: str) -> bool:
    """Return whether the planner takes the index, in each of the statement's branches."""
    row = conn.execute(SQL("EXPLAIN (FORMAT JSON) ") + statement, parameters, prepare=False).fetchone()
    return row is not None and f"'{index}'" in str(row[0])


def _allow_index(conn: Connection, k: int) -> None:
    settings = {
        "hnsw.ef_search": str(min(1000, max(100, 2 * k))),
        # Else HNSW stops at ef_search candidates, and what is excluded leaves the answer short.
        "hnsw.iterative_scan": "strict_order",
    }
    for name, value in settings.items():
        conn.execute("SELECT set_config(%s, %s, true)", (name, value))


def _parameter(query: FloatRow | bytes) -> object:
    return Bit(query) if isinstance(query, bytes) else np.asarray(query, dtype=np.float32)


def _table(feature: Feature) -> Identifier:
    return Identifier("imrec", FEATURE_TABLES[feature])


def _feature(value: object) -> FloatRow | bytes:
    if isinstance(value, str):  # bit(64) arrives as its digits
        return int(value, 2).to_bytes(len(value) // 8)
    assert isinstance(value, Vector)
    return value.to_numpy()


def _uuid(value: object) -> UUID:
    assert isinstance(value, UUID)
    return value
