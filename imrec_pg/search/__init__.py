"""Search: query → features → ranking → answer."""

import math
import os
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from imrec_pg.catalogue.index import index_name
from imrec_pg.catalogue.roots import roots_here
from imrec_pg.catalogue.tuning import tuning
from imrec_pg.db.connection import Connection
from imrec_pg.decoding import Decoders
from imrec_pg.errors import InvalidQueryError
from imrec_pg.features.model import EmbedderSource
from imrec_pg.paths import absolute_path, is_text
from imrec_pg.records import Certainty, Combine, Feature, Filter, Fusion, Metric
from imrec_pg.search import ranking
from imrec_pg.search.query import Queries, Query, Stopwatch, extract_features, look_up
from imrec_pg.search.results import Answer, FeatureRank, FusedAnswer, FusedNeighbour, Neighbour, QueryImage
from imrec_pg.settings import this_host

__all__ = [
    "Answer",
    "FeatureRank",
    "FusedAnswer",
    "FusedNeighbour",
    "Neighbour",
    "Query",
    "QueryImage",
    "extract_features",
    "fuse",
    "search",
]


def search(
    conn: Connection,
    likes: Sequence[Query],
    decoders: Decoders,
    embedders: EmbedderSource,
    *,
    feature: Feature,
    metric: Metric | None,
    k: int,
    dislikes: Sequence[Query],
    combine: Combine,
    exact: bool,
    include_self: bool,
    explain: bool,
    filter: Filter,
) -> Answer:
    """Return the k stored images nearest to the likes; see Library.search.

    Raises:
        InvalidQueryError: no query, k out of range, or a feature and metric that do not go together.
        DecodeError: a query is no image that can be read.
        ModelMismatchError: the embeddings here were made by another model.
    """
    metric = metric or ranking.default_metric(conn, feature)
    watch = Stopwatch()
    queries = look_up(conn, likes, dislikes, decoders, embedders, (feature,), watch)
    question = _question(conn, queries, k, combine, filter, exact=exact, include_self=include_self)
    with watch.step("rank"):
        neighbours, certainty = ranking.recommend(conn, feature=feature, metric=metric, **question)
    plan = ranking.plan(conn, feature=feature, metric=metric, **question) if explain else ()
    index = None if certainty is Certainty.EXACT else index_name(feature, metric)
    return Answer(
        queries=queries.images,
        feature=feature,
        metric=metric,
        combine=combine,
        neighbours=tuple(neighbours),
        certainty=certainty,
        index=index,
        tuning=tuning(conn, feature, metric) if index else None,
        timings=tuple(watch.steps),
        plan=tuple(plan),
    )


def fuse(
    conn: Connection,
    likes: Sequence[Query],
    decoders: Decoders,
    embedders: EmbedderSource,
    *,
    weights: Mapping[Feature, float] | None,
    fusion: Fusion,
    k: int,
    dislikes: Sequence[Query],
    combine: Combine,
    exact: bool,
    include_self: bool,
    filter: Filter,
) -> FusedAnswer:
    """Return the k stored images nearest to the likes by several features at once; see Library.fuse.

    Raises:
        InvalidQueryError: no query, k out of range, or no feature with a weight above 0.
        DecodeError: a query is no image that can be read.
        ModelMismatchError: the embeddings here were made by another model.
    """
    asked = weights if weights is not None else ranking.default_weights(conn, fusion)
    # In the order of Feature; what is wrong with a weight the function says.
    used = {feature: asked[feature] for feature in Feature if asked.get(feature)}
    watch = Stopwatch()
    queries = look_up(conn, likes, dislikes, decoders, embedders, tuple(used), watch)
    question = _question(conn, queries, k, combine, filter, exact=exact, include_self=include_self)
    with watch.step("rank"):
        neighbours, certainty = ranking.fuse(conn, weights=asked, fusion=fusion, **question)
    return FusedAnswer(
        queries=queries.images,
        weights=used,
        fusion=fusion,
        combine=combine,
        neighbours=tuple(neighbours),
        certainty=certainty,
        timings=tuple(watch.steps),
    )


def _question(
    conn: Connection,
    queries: Queries,
    k: int,
    combine: Combine,
    chosen: Filter,
    *,
    exact: bool,
    include_self: bool,
) -> dict[str, Any]:
    """Return what every ranking is asked."""
    return {
        "likes": queries.of(disliked=False),
        "dislikes": queries.of(disliked=True),
        "k": k,
        "combine": combine,
        # What is disliked is never an answer.
        "exclude": [image.image_id for image in queries.images if image.disliked or not include_self],
        "filter": _conditions(conn, chosen),
        "exact": exact,
    }


def _conditions(conn: Connection, chosen: Filter) -> dict[str, object]:
    """Return the filter as the database understands it, which knows files by their canonical paths."""
    conditions: dict[str, object] = {
        name: value.isoformat() if isinstance(value, date) else value for name, value in chosen.items()
    }
    if conditions.get("in_box") is not None:
        conditions["in_box"] = _box(conditions["in_box"])
    for name in ("root", "camera", "format", "by_feature"):
        if not is_text(str(conditions.get(name))):
            raise InvalidQueryError(f"the {name} to filter by is not valid UTF-8")
    under = chosen.get("under")
    for name, value in conditions.items():
        kinds = {"under": (str, bytes, os.PathLike), "in_box": (list,)}.get(name, (str, int, float))
        if value is not None and not isinstance(value, kinds):
            raise InvalidQueryError(f"{name} of a filter cannot be a {type(value).__name__}")
    if under is not None:
        conditions["under"] = roots_here(conn, this_host()).canonical(absolute_path(under))
    return conditions


def _box(corners: object) -> list[float]:
    """Return the corners of a box on a map as JSON can hold them.

    Raises:
        InvalidQueryError: they are no numbers.
    """
    try:
        found = [float(corner) for corner in corners]  # type: ignore[attr-defined]  # what is no list is caught
    except (TypeError, ValueError) as error:
        raise InvalidQueryError("in_box of a filter is 4 or 6 numbers") from error
    if not all(math.isfinite(corner) for corner in found):
        raise InvalidQueryError("in_box of a filter is 4 or 6 numbers, not infinity or NaN")
    return found
