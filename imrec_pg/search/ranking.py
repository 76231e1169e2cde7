"""Rank stored images by the SQL functions of the schema imrec: each ranking is there, and nowhere else."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import numpy as np
from pgvector import Bit
from psycopg.rows import dict_row
from psycopg.sql import SQL, Composed, Placeholder
from psycopg.types.json import Jsonb

from imrec_pg.catalogue.index import index_name
from imrec_pg.db.connection import Connection, translated
from imrec_pg.errors import UsageError
from imrec_pg.paths import display_path
from imrec_pg.records import METRICS, Certainty, Feature, Features, FloatRow, Metric
from imrec_pg.search.answers import FusedNeighbour, FusedRanking, Neighbour, Part, Question, Ranking

_MAX_K = 1_000_000


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


def rank(conn: Connection, question: Question, feature: Feature, metric: Metric) -> Ranking:
    """Return the k images nearest by one feature; fewer only when fewer are stored and let through.

    Ties go by image_id, so that an answer repeats.
    """
    parameters = _parameters(question) | {"feature": str(feature), "metric": str(metric)}
    rows = _fetch(conn, _NEAREST, parameters)
    certainty = Certainty(rows[0]["answer"]) if rows else Certainty.EXACT
    neighbours = [Neighbour(**_fields(row, _NEIGHBOUR_FIELDS)) for row in rows]
    index = None if certainty is Certainty.EXACT else index_name(feature, metric)
    return Ranking(neighbours, certainty, index)


def fuse(
    conn: Connection, question: Question, weights: Mapping[Feature, float] | None = None
) -> FusedRanking:
    """Return the k images nearest by several features at once (reciprocal rank fusion).

    weights None stands for imrec.default_weights(); features of weight 0 do not count.
    """
    named = None if weights is None else Jsonb({str(name): weight for name, weight in weights.items()})
    rows = _fetch(conn, _FUSED, _parameters(question) | {"weights": named})
    neighbours = [
        FusedNeighbour(
            **_fields(row, _FUSED_FIELDS),
            parts=tuple(
                Part(feature, row[f"{feature}_rank"], row[f"{feature}_distance"])
                for feature in Feature
                if row[f"{feature}_distance"] is not None
            ),
        )
        for row in rows
    ]
    return FusedRanking(neighbours, Certainty(rows[0]["answer"]) if rows else Certainty.EXACT)


def default_weights(conn: Connection) -> dict[Feature, float]:
    """Return how much each feature counts when nothing is said."""
    with translated():
        row = conn.execute("SELECT imrec.default_weights()").fetchone()
    assert row is not None
    weights: dict[str, float] = row[0]  # type: ignore[assignment]
    return {Feature(name): float(weight) for name, weight in weights.items()}


def plan(conn: Connection, question: Question, feature: Feature, metric: Metric) -> list[str]:
    """Return PostgreSQL's plan of the ranking, carried out and timed, line by line."""
    parameters = _parameters(question) | {"feature": str(feature), "metric": str(metric)}
    with translated():
        rows = conn.execute(_EXPLAIN.get(feature, _EXPLAIN_HASHES), parameters).fetchall()
    return [str(row[0]) for row in rows]


def stored_features(conn: Connection, image_ids: Sequence[UUID]) -> dict[UUID, Features]:
    """Return what is stored of those images that are; features that one lacks are None."""
    with translated():
        rows = conn.execute(_STORED, (list(image_ids),)).fetchall()
    found: dict[UUID, Features] = {}
    for key, *values in rows:
        assert isinstance(key, UUID)
        embedding, histogram, average, difference = values
        found[key] = Features(_row(embedding), _row(histogram), _bits(average), _bits(difference))
    return found


def _fetch(conn: Connection, statement: Composed, parameters: Mapping[str, object]) -> list[dict[str, Any]]:
    with translated(), conn.cursor(row_factory=dict_row) as cur:
        return cur.execute(statement, parameters).fetchall()


def _parameters(question: Question) -> dict[str, object]:
    parameters: dict[str, object] = {
        "k": question.k,
        "combine": str(question.combine),
        "exclude": list(question.exclude),
        "method": "exact" if question.exact else "auto",
    }
    for side, features in (("like", question.likes), ("dislike", question.dislikes)):
        parameters |= {
            f"{side}_embeddings": [f.embedding for f in features],
            f"{side}_histograms": [f.histogram for f in features],
            f"{side}_average_hashes": [_bit(f.average_hash) for f in features],
            f"{side}_difference_hashes": [_bit(f.difference_hash) for f in features],
        }
    return parameters | dataclasses.asdict(question.filter) | {"host": question.host}


def _fields(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return those of a neighbour; the path is the one on the question's host."""
    return {name: row[name] for name in names} | {"path": display_path(row["raw_path"])}


def _bit(value: bytes | None) -> Bit | None:
    return None if value is None else Bit(value)


def _row(value: object) -> FloatRow | None:
    return None if value is None else np.asarray(value.to_numpy(), dtype=np.float32)  # type: ignore[attr-defined]


def _bits(value: object) -> bytes | None:
    # bit(64) arrives as its digits.
    return None if value is None else int(str(value), 2).to_bytes(8)


_NEIGHBOUR_FIELDS = tuple(field.name for field in dataclasses.fields(Neighbour))
_FUSED_FIELDS = tuple(field.name for field in dataclasses.fields(FusedNeighbour) if field.name != "parts")


def _features(side: str) -> Composed:
    """Return an imrec.features[] of one side's parameters."""
    columns = ("embeddings", "histograms", "average_hashes", "difference_hashes")
    return SQL(
        "ARRAY(SELECT ROW(q.e, q.g, q.a, q.d)::imrec.features"
        " FROM unnest({}::vector[], {}::vector[], {}::bit(64)[], {}::bit(64)[])"
        " WITH ORDINALITY AS q (e, g, a, d, n) ORDER BY q.n)"
    ).format(*(Placeholder(f"{side}_{column}") for column in columns))


_WHERE = SQL(
    "%(combine)s, %(exclude)s::uuid[], imrec.filter(%(under)s, %(root)s, %(after)s, %(before)s,"
    " %(min_size)s, %(max_size)s, %(min_width)s, %(min_height)s, %(camera)s, %(format)s), NULL, %(method)s"
)
_NEAREST = SQL(
    "WITH n AS MATERIALIZED ("
    " SELECT * FROM imrec.nearest({likes}, {dislikes}, %(feature)s, %(metric)s, %(k)s, {where})) "
    "SELECT n.image_id, n.distance, n.answer, p.path, p.raw_path, p.copies, p.width, p.height, p.missing "
    "FROM n INNER JOIN imrec.places(ARRAY(SELECT n.image_id FROM n), %(host)s) AS p "
    "ON p.image_id = n.image_id "
    "ORDER BY n.rank"
).format(likes=_features("like"), dislikes=_features("dislike"), where=_WHERE)
_FUSED = SQL(
    "WITH n AS MATERIALIZED ("
    " SELECT * FROM imrec.fuse_features({likes}, {dislikes}, %(weights)s, %(k)s, {where})) "
    "SELECT n.*, p.raw_path, p.width, p.height, p.missing "
    "FROM n INNER JOIN imrec.places(ARRAY(SELECT n.image_id FROM n), %(host)s) AS p "
    "ON p.image_id = n.image_id "
    "ORDER BY n.rank"
).format(likes=_features("like"), dislikes=_features("dislike"), where=_WHERE)
_EXPLAIN = {
    Feature.EMBEDDING: SQL(
        "SELECT imrec.explain_vectors(%(like_embeddings)s::vector[], %(dislike_embeddings)s::vector[],"
        " %(feature)s, %(metric)s, %(k)s, {where})"
    ).format(where=_WHERE),
    Feature.HISTOGRAM: SQL(
        "SELECT imrec.explain_vectors(%(like_histograms)s::vector[], %(dislike_histograms)s::vector[],"
        " %(feature)s, %(metric)s, %(k)s, {where})"
    ).format(where=_WHERE),
}
# What imrec.hamming_search does inside it decides row by row; EXPLAIN shows the time alone.
_EXPLAIN_HASHES = SQL(
    "EXPLAIN (ANALYZE, COSTS OFF, BUFFERS OFF) "
    "SELECT * FROM imrec.nearest({likes}, {dislikes}, %(feature)s, %(metric)s, %(k)s, {where})"
).format(likes=_features("like"), dislikes=_features("dislike"), where=_WHERE)
_STORED = """
SELECT i.image_id, e.embedding, g.histogram, h.average_hash, h.difference_hash
FROM imrec.image AS i
LEFT JOIN imrec.embedding AS e ON e.image_id = i.image_id
LEFT JOIN imrec.histogram AS g ON g.image_id = i.image_id
LEFT JOIN imrec.hash AS h ON h.image_id = i.image_id
WHERE i.image_id = ANY(%s)
"""
