"""Rank stored images by the functions that psql users call: each ranking is there, and nowhere else."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar
from uuid import UUID

import numpy as np
from pgvector import Bit
from psycopg import errors as pg
from psycopg.adapt import PyFormat
from psycopg.rows import dict_row
from psycopg.sql import SQL, Composed, Identifier, Placeholder
from psycopg.types.json import Jsonb

from imrec_pg.db.connection import Connection, translated
from imrec_pg.db.privileges import is_restricted
from imrec_pg.db.rows import all_rows, value
from imrec_pg.errors import ImageNotFoundError, InvalidQueryError
from imrec_pg.paths import display_path, slashed
from imrec_pg.records import Certainty, Combine, Feature, Features, FloatRow, Fusion, Metric
from imrec_pg.search.results import FeatureRank, FusedNeighbour, Neighbour

T = TypeVar("T")
_VECTOR = Identifier("vector")


def recommend(
    conn: Connection,
    likes: Sequence[Features],
    feature: Feature,
    metric: Metric | None = None,
    *,
    k: int = 5,
    dislikes: Sequence[Features] = (),
    combine: Combine = Combine.MEAN,
    exclude: Sequence[UUID] = (),
    filter: Mapping[str, object] | None = None,
    exact: bool = False,
) -> tuple[list[Neighbour], Certainty]:
    """Return the k images nearest by one feature, nearest first, and whether they are certainly those.

    Fewer only when fewer are stored and let through. Ties go by image_id, so that an answer repeats.

    Raises:
        InvalidQueryError: the question makes no sense, such as a pair of feature and metric.
    """
    parameters = _parameters(likes, dislikes, k, combine, exclude, filter, exact=exact, compared=[feature])
    rows = _fetch(
        conn,
        _statement(conn, _VISIBLE_RECOMMEND if is_restricted(conn) else _RECOMMEND),
        parameters | {"feature": str(feature), "metric": metric and str(metric)},
    )
    return [Neighbour(distance=row["distance"], **_shown(row)) for row in rows], _certainty(rows)


def fuse(
    conn: Connection,
    likes: Sequence[Features],
    weights: Mapping[Feature, float] | None = None,
    *,
    k: int = 5,
    dislikes: Sequence[Features] = (),
    combine: Combine = Combine.MEAN,
    exclude: Sequence[UUID] = (),
    filter: Mapping[str, object] | None = None,
    exact: bool = False,
    fusion: Fusion = Fusion.EVIDENCE,
) -> tuple[list[FusedNeighbour], Certainty]:
    """Return the k images nearest by several features at once.

    weights None stands for those of the view imrec.feature; features of weight 0 do not count.

    Raises:
        InvalidQueryError: the question makes no sense, such as no weight above 0.
    """
    named = None if weights is None else Jsonb({str(name): weight for name, weight in weights.items()})
    compared = list(Feature if weights is None else weights)
    parameters = _parameters(likes, dislikes, k, combine, exclude, filter, exact=exact, compared=compared)
    rows = _fetch(
        conn,
        _statement(conn, _VISIBLE_FUSE if is_restricted(conn) else _FUSE),
        parameters | {"weights": named, "fusion": str(fusion)},
    )
    neighbours = [
        FusedNeighbour(
            fused=row["fused"],
            features={
                feature: _feature_rank(row["features"][feature])
                for feature in Feature
                if feature in row["features"]
            },
            **_shown(row),
        )
        for row in rows
    ]
    return neighbours, _certainty(rows)


def _feature_rank(said: Mapping[str, Any]) -> FeatureRank:
    # JSON has no infinite numbers: such distances arrive as text.
    return FeatureRank(said["rank"], float(said["distance"]), said.get("evidence"))


@dataclass(frozen=True, slots=True)
class _Weight:
    feature: str
    weight: int | Decimal


def default_weights(conn: Connection, fusion: Fusion) -> dict[Feature, float]:
    """Return how much each feature counts in a fusion when nothing is said; those that don't are left out."""
    with translated(conn):
        rows = all_rows(conn, _Weight, _DEFAULT_WEIGHTS, (str(fusion),))
    return {Feature(row.feature): float(row.weight) for row in rows if row.weight > 0}


_DEFAULT_WEIGHTS = """
SELECT feature, CASE %s WHEN 'evidence' THEN evidence_weight ELSE fused_weight END AS weight FROM imrec.feature
"""


def default_metric(conn: Connection, feature: Feature) -> Metric:
    """Return the metric of a feature when nothing is said."""
    with translated(conn):
        return Metric(
            value(conn, str, "SELECT metrics[1] FROM imrec.feature WHERE feature = %s", (str(feature),))
        )


@dataclass(frozen=True, slots=True)
class KnownFeature:
    """A feature as the view imrec.feature has it.

    Attributes:
        metrics: by which it can be compared, the usual one first.
        evidence_weight: how much it counts in a fusion by evidence when nothing is said.
        fused_weight: the same in one by reciprocal ranks.
    """

    feature: str
    metrics: list[str]
    evidence_weight: Decimal
    fused_weight: Decimal


def known_features(conn: Connection) -> list[KnownFeature]:
    """Return the features that there are, in the order of Feature."""
    with translated(conn):
        rows = all_rows(
            conn,
            KnownFeature,
            "SELECT feature, metrics, evidence_weight::numeric, fused_weight::numeric FROM imrec.feature",
        )
    return sorted(rows, key=lambda row: list(Feature).index(Feature(row.feature)))


def plan(
    conn: Connection,
    likes: Sequence[Features],
    feature: Feature,
    metric: Metric | None = None,
    *,
    k: int = 5,
    dislikes: Sequence[Features] = (),
    combine: Combine = Combine.MEAN,
    exclude: Sequence[UUID] = (),
    filter: Mapping[str, object] | None = None,
    exact: bool = False,
) -> list[str]:
    """Return PostgreSQL's plan of the ranking, carried out and timed, line by line."""
    parameters = _parameters(likes, dislikes, k, combine, exclude, filter, exact=exact, compared=[feature])
    rows = _fetch(
        conn,
        _statement(conn, _EXPLAIN),
        parameters | {"feature": str(feature), "metric": metric and str(metric)},
    )
    return [row["line"] for row in rows]


def stored_features(conn: Connection, image_ids: Sequence[UUID]) -> dict[UUID, Features]:
    """Return what is stored of those images that are; features that one lacks are None."""
    rows = _fetch(conn, _STORED, {"image_ids": list(image_ids)})
    return {
        row["image_id"]: Features(
            **{name: _feature(value) for name, value in row.items() if name != "image_id"}  # type: ignore[arg-type]
        )
        for row in rows
    }


def _fetch(
    conn: Connection, statement: bytes | Composed, parameters: Mapping[str, object]
) -> list[dict[str, Any]]:
    with translated(conn), _explained(), conn.cursor(row_factory=dict_row) as cur:
        return cur.execute(statement, parameters).fetchall()


@contextmanager
def _explained() -> Iterator[None]:
    """The functions say what is wrong with a question, and what to do about it."""
    try:
        yield
    except pg.InvalidParameterValue as error:
        raise InvalidQueryError(_said(error)) from error
    except pg.NoDataFound as error:
        raise ImageNotFoundError(_said(error)) from error
    except pg.DataError as error:
        # Of the parameters the filter's values alone are unchecked.
        raise InvalidQueryError(f"a value of the filter makes no sense: {_said(error)}") from error


def _said(error: pg.Error) -> str:
    said, hint = error.diag.message_primary, error.diag.message_hint
    return f"{said}. {hint.removesuffix('.')}" if hint else str(said)


def _parameters(
    likes: Sequence[Features],
    dislikes: Sequence[Features],
    k: int,
    combine: Combine,
    exclude: Sequence[UUID],
    conditions: Mapping[str, object] | None,
    *,
    exact: bool,
    compared: Collection[Feature],
) -> dict[str, object]:
    """Return what the statements ask for; features that are not compared travel as NULL: they cost 0.3 ms each."""
    parameters: dict[str, object] = {
        # What is too large for any integer of SQL is too large all the same.
        "k": min(k, 2**63 - 1),
        "combine": str(combine),
        "exclude": list(exclude),
        "filter": Jsonb({name: value for name, value in (conditions or {}).items() if value is not None}),
        "method": "exact" if exact else "auto",
    }
    for side, group in (("like", likes), ("dislike", dislikes)):
        for feature in Feature:
            values = [features.get(feature) if feature in compared else None for features in group]
            parameters[f"{side}_{feature}"] = [Bit(v) if isinstance(v, bytes) else v for v in values]
    return parameters


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what every neighbour has; the path is the one on this host."""
    raw_path = slashed(row["folder"]) + row["relative_path"]
    names = ("rank", "copies", "image_id", "file_id", "width", "height", "missing")
    return {name: row[name] for name in names} | {"path": display_path(raw_path), "raw_path": raw_path}


def _certainty(rows: Sequence[Mapping[str, Any]]) -> Certainty:
    return Certainty(rows[0]["certainty"]) if rows else Certainty.EXACT


def _statement(conn: Connection, template: str) -> bytes:
    return _with_vector(template, conn.adapters.types["vector"].regtype)


@cache
def _with_vector(template: str, vector: str) -> bytes:
    """Return a statement with the type vector by its full name; composed at each call it would take 0.1 ms."""
    return template.replace(_VECTOR.as_string(), vector).encode()


def _feature(value: Any) -> FloatRow | bytes | None:  # noqa: ANN401 - what psycopg makes of a vector or bits
    if value is None:
        return None
    # bit(64) arrives as its digits.
    return (
        int(value, 2).to_bytes(8)
        if isinstance(value, str)
        else np.asarray(value.to_numpy(), dtype=np.float32)
    )


def _features(side: str) -> Composed:
    """Return an imrec.features[] of one side's parameters; its fields are in the order of Feature.

    The type vector stands without its schema, which is another in each database (see _statement).
    """
    names = SQL(", ").join(Identifier(feature.value) for feature in Feature)
    arrays = SQL(", ").join(
        SQL("{}::{}[]").format(
            # As text, a vector takes 0.2 ms to write and to read.
            Placeholder(f"{side}_{feature}", format=PyFormat.AUTO if feature.is_hash else PyFormat.BINARY),
            SQL("bit(64)") if feature.is_hash else _VECTOR,
        )
        for feature in Feature
    )
    return SQL(
        "ARRAY(SELECT ROW({names})::imrec.features"
        " FROM unnest({arrays}) WITH ORDINALITY AS q ({names}, n) ORDER BY q.n)"
    ).format(names=names, arrays=arrays)


# What is shown beside a ranking: by keys, of k rows.
_FILES = SQL(
    "f.relative_path, coalesce(m.raw_path, o.raw_path) AS folder, i.width, i.height, x.file_id IS NOT NULL AS missing "
    "FROM {ranking} AS r "
    "INNER JOIN imrec.image AS i ON i.image_id = r.image_id "
    "INNER JOIN imrec.file AS f ON f.image_id = r.image_id AND f.file_id = r.file_id "
    "INNER JOIN imrec.root AS o ON o.root_id = f.root_id "
    "LEFT JOIN imrec.mount AS m ON m.root_id = f.root_id AND m.host = current_setting('imrec.host', true) "
    "LEFT JOIN imrec.missing AS x ON x.file_id = f.file_id "
    "ORDER BY r.rank"
)
_RECOMMEND_CALL = SQL(
    "imrec.recommend({likes}, {dislikes}, %(k)s, %(feature)s, %(metric)s, %(combine)s, %(exclude)s::uuid[],"
    " %(filter)s, NULL, %(method)s)"
).format(likes=_features("like"), dislikes=_features("dislike"))
_FUSE_CALL = SQL(
    "imrec.fuse({likes}, {dislikes}, %(k)s, %(weights)s, %(combine)s, %(exclude)s::uuid[], %(filter)s,"
    " NULL, %(method)s, %(fusion)s)"
).format(likes=_features("like"), dislikes=_features("dislike"))
_SHOWN = SQL("SELECT r.rank, {what}, r.copies, r.certainty, r.image_id, r.file_id, {files}")
# The same for a reader of some roots, who may not read these tables.
_VISIBLE = SQL(
    "WITH r AS MATERIALIZED (SELECT * FROM {ranking}) "
    "SELECT r.rank, {what}, r.copies, r.certainty, r.image_id, r.file_id, "
    "d.relative_path, d.folder, d.width, d.height, d.missing FROM r "
    "INNER JOIN imrec_internal.visible_details(current_user, ARRAY(SELECT r.image_id FROM r)) AS d"
    " ON d.file_id = r.file_id ORDER BY r.rank"
)


def _statements(call: Composed, what: str) -> tuple[str, str]:
    """Return the statement of a ranking with what is shown beside it, and that for readers of some roots."""
    shown = _SHOWN.format(what=SQL(what), files=_FILES.format(ranking=call))
    return shown.as_string(), _VISIBLE.format(what=SQL(what), ranking=call).as_string()


_RECOMMEND, _VISIBLE_RECOMMEND = _statements(_RECOMMEND_CALL, "r.distance")
_FUSE, _VISIBLE_FUSE = _statements(_FUSE_CALL, "r.fused, r.features")
_EXPLAIN = (
    SQL(
        "SELECT p AS line FROM imrec_internal.explain({likes}, {dislikes}, %(feature)s, %(metric)s, %(k)s, %(combine)s,"
        " %(exclude)s::uuid[], %(filter)s, NULL, %(method)s) AS p"
    )
    .format(likes=_features("like"), dislikes=_features("dislike"))
    .as_string()
)
_STORED = SQL("SELECT s.image_id, {columns} FROM imrec_internal.features_of(%(image_ids)s) AS s").format(
    columns=SQL(", ").join(SQL("(s.features).{}").format(Identifier(feature.value)) for feature in Feature)
)
