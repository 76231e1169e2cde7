"""From query images to the most similar stored ones."""

import dataclasses
from collections.abc import Sequence

from imrec_pg.catalogue.roots import roots_here
from imrec_pg.catalogue.tuning import tuning
from imrec_pg.db.connection import Connection
from imrec_pg.errors import UsageError
from imrec_pg.features.model import EmbedderSource
from imrec_pg.records import Feature, Filter
from imrec_pg.search import ranking
from imrec_pg.search.answers import Question
from imrec_pg.search.options import Answer, FusedAnswer, FuseOptions, SearchOptions
from imrec_pg.search.queries import PathLike, Queries, Stopwatch, look_up
from imrec_pg.settings import this_host


def search(
    conn: Connection,
    images: Sequence[PathLike],
    embedders: EmbedderSource,
    options: SearchOptions,
    dislikes: Sequence[PathLike] = (),
) -> Answer:
    """Return the k stored images nearest to the query images; fewer only when fewer are stored.

    A query that is stored (the same bytes) uses its stored features and loads no model. With dislikes the
    answer is far from those (imrec.recommend says how).

    Raises:
        UsageError: no query, k out of range, or a feature and metric that do not go together.
        DecodeError: a query is no image that can be read.
        ModelMismatchError: the embeddings here were made by another model.
    """
    metric = ranking.check_pair(options.feature, options.metric)
    watch = Stopwatch()
    queries = look_up(conn, images, dislikes, embedders, (options.feature,), watch)
    question = _question(conn, queries, options)
    with watch.step("rank"):
        ranked = ranking.rank(conn, question, options.feature, metric)
    plan = ranking.plan(conn, question, options.feature, metric) if options.explain else ()
    return Answer(
        queries=queries.images,
        feature=options.feature,
        metric=metric,
        combine=options.combine,
        neighbours=tuple(ranked.neighbours),
        certainty=ranked.certainty,
        index=ranked.index,
        tuning=tuning(conn, options.feature, metric) if ranked.index else None,
        timings=tuple(watch.steps),
        plan=tuple(plan),
    )


def fuse(
    conn: Connection,
    images: Sequence[PathLike],
    embedders: EmbedderSource,
    options: FuseOptions,
    dislikes: Sequence[PathLike] = (),
) -> FusedAnswer:
    """Return the k stored images nearest to the query images by several features at once.

    Raises:
        UsageError: no query, k out of range, or no feature with a weight above 0.
        DecodeError: a query is no image that can be read.
        ModelMismatchError: the embeddings here were made by another model.
    """
    weights = options.weights if options.weights is not None else ranking.default_weights(conn)
    weights = {feature: weights[feature] for feature in Feature if weights.get(feature)}
    if not weights or min(weights.values()) < 0:
        raise UsageError("weights are 0 or more, and at least one feature needs one above 0")
    watch = Stopwatch()
    queries = look_up(conn, images, dislikes, embedders, tuple(weights), watch)
    with watch.step("rank"):
        ranked = ranking.fuse(conn, _question(conn, queries, options), weights)
    return FusedAnswer(
        queries=queries.images,
        weights=weights,
        combine=options.combine,
        neighbours=tuple(ranked.neighbours),
        certainty=ranked.certainty,
        timings=tuple(watch.steps),
    )


def _question(conn: Connection, queries: Queries, options: SearchOptions | FuseOptions) -> Question:
    return Question(
        likes=queries.of(disliked=False),
        dislikes=queries.of(disliked=True),
        k=ranking.check_k(options.k),
        combine=options.combine,
        # What is disliked is never an answer.
        exclude=[image.image_id for image in queries.images if image.disliked or not options.include_self],
        filter=_canonical(conn, options.filter),
        exact=options.exact,
        host=this_host(),
    )


def _canonical(conn: Connection, chosen: Filter) -> Filter:
    """Return the filter as the database understands it, which knows files by their canonical paths."""
    if chosen.under is None:
        return chosen
    return dataclasses.replace(chosen, under=roots_here(conn, this_host()).canonical(chosen.under))
