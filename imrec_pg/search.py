"""From query images to the most similar stored ones."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from uuid import UUID

from imrec_pg.errors import UsageError
from imrec_pg.features.model import EmbedderSource
from imrec_pg.images.decode import FileContent, read
from imrec_pg.paths import display_path
from imrec_pg.records import (
    FEATURE_TABLES,
    NO_FILTER,
    Certainty,
    Combine,
    Feature,
    Features,
    FeatureTable,
    Filter,
    Metric,
)
from imrec_pg.store import search as ranking
from imrec_pg.store.connection import Connection
from imrec_pg.store.search import FusedNeighbour, Neighbour, Question
from imrec_pg.store.tuning import Tuning, tuning
from imrec_pg.store.write import check_model

PathLike = str | bytes | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """What to search for.

    Attributes:
        metric: None for the feature's default: cosine, or hamming for the hashes.
        k: how many photos to return.
        combine: how several query images become one ranking.
        exact: compare with every stored image, whatever indexes there are.
        include_self: let the query images themselves appear in the answer.
        filter: which images may be in the answer.
        explain: return PostgreSQL's plan too, for which the search is carried out once more.
    """

    feature: Feature = Feature.EMBEDDING
    metric: Metric | None = None
    k: int = 5
    combine: Combine = Combine.MEAN
    exact: bool = False
    include_self: bool = False
    filter: Filter = NO_FILTER
    explain: bool = False


@dataclass(frozen=True, slots=True)
class FuseOptions:
    """What to search for by several features at once.

    Attributes:
        weights: how much each feature counts, 0 or more; None for the defaults (docs/quality.md).
        k: as the other attributes, see SearchOptions.
    """

    weights: Mapping[Feature, float] | None = None
    k: int = 5
    combine: Combine = Combine.MEAN
    exact: bool = False
    include_self: bool = False
    filter: Filter = NO_FILTER


@dataclass(frozen=True, slots=True)
class QueryImage:
    """An image that was searched for.

    Attributes:
        path: raw bytes, absolute.
        stored: whether its features came from the database.
        disliked: whether the answer is to be far from it.
    """

    path: bytes
    image_id: UUID
    stored: bool
    disliked: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """The stored images nearest to the queries, nearest first.

    Attributes:
        certainty: whether these are certainly the nearest ones.
        index: the approximate index that answered, when not exact.
        tuning: what `imrec-pg tune` measured of that index.
        timings: seconds for each step, in order.
        plan: PostgreSQL's, line by line, when asked for.
    """

    queries: tuple[QueryImage, ...]
    feature: Feature
    metric: Metric
    combine: Combine
    neighbours: tuple[Neighbour, ...]
    certainty: Certainty
    index: str | None
    tuning: Tuning | None
    timings: tuple[tuple[str, float], ...]
    plan: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether these are certainly the nearest ones."""
        return self.certainty is Certainty.EXACT


@dataclass(frozen=True, slots=True)
class FusedAnswer:
    """The stored images nearest to the queries by several features at once, nearest first.

    Attributes:
        weights: of the features that counted.
        certainty: whether the rankings of all features were exact.
        timings: seconds for each step, in order.
    """

    queries: tuple[QueryImage, ...]
    weights: Mapping[Feature, float]
    combine: Combine
    neighbours: tuple[FusedNeighbour, ...]
    certainty: Certainty
    timings: tuple[tuple[str, float], ...]


class _Stopwatch:
    """Seconds spent in named steps."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, float]] = []

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.steps.append((name, time.perf_counter() - started))


@dataclass(frozen=True, slots=True)
class _Queries:
    """Query images and their features, likes first."""

    images: tuple[QueryImage, ...]
    features: Mapping[UUID, Features]

    def of(self, *, disliked: bool) -> list[Features]:
        return [self.features[image.image_id] for image in self.images if image.disliked is disliked]


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
    watch = _Stopwatch()
    queries = _queries(conn, images, dislikes, embedders, (options.feature,), watch)
    question = _question(queries, options)
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
    weights = {feature: weight for feature, weight in weights.items() if weight != 0}
    if not weights or min(weights.values()) < 0:
        raise UsageError("weights are 0 or more, and at least one feature needs one above 0")
    watch = _Stopwatch()
    queries = _queries(conn, images, dislikes, embedders, tuple(weights), watch)
    with watch.step("rank"):
        ranked = ranking.fuse(conn, _question(queries, options), weights)
    return FusedAnswer(
        queries=queries.images,
        weights=weights,
        combine=options.combine,
        neighbours=tuple(ranked.neighbours),
        certainty=ranked.certainty,
        timings=tuple(watch.steps),
    )


def extract_features(path: PathLike, embedders: EmbedderSource, features: Sequence[Feature]) -> Features:
    """Return features of one image file, as an ingest would store them; those not asked for are None.

    Raises:
        DecodeError: it is no image that can be read.
        WeightsError: the model's weights were not found.
    """
    raw = os.path.abspath(os.fsencode(path))  # noqa: PTH100 - bytes
    return _extracted(raw, read(raw), embedders, frozenset(FEATURE_TABLES[feature] for feature in features))


def _question(queries: _Queries, options: SearchOptions | FuseOptions) -> Question:
    return Question(
        likes=queries.of(disliked=False),
        dislikes=queries.of(disliked=True),
        k=ranking.check_k(options.k),
        combine=options.combine,
        # What is disliked is never an answer.
        exclude=[image.image_id for image in queries.images if image.disliked or not options.include_self],
        filter=options.filter,
        exact=options.exact,
    )


def _queries(
    conn: Connection,
    images: Sequence[PathLike],
    dislikes: Sequence[PathLike],
    embedders: EmbedderSource,
    features: Sequence[Feature],
    watch: _Stopwatch,
) -> _Queries:
    if not images:
        raise UsageError("name at least one image to search for")
    with watch.step("read"):
        paths = [os.path.abspath(os.fsencode(image)) for image in (*images, *dislikes)]  # noqa: PTH100 - bytes
        contents = [read(path) for path in paths]
    with watch.step("look up"):
        stored = {
            image_id: found
            for image_id, found in ranking.stored_features(conn, [c.image_id for c in contents]).items()
            if all(found.get(feature) is not None for feature in features)
        }
    with watch.step("extract"):
        known = dict(stored)
        tables = frozenset(FEATURE_TABLES[feature] for feature in features)
        for path, content in zip(paths, contents, strict=True):
            if content.image_id not in known:
                if FeatureTable.EMBEDDING in tables:
                    check_model(conn, embedders.identity)
                known[content.image_id] = _extracted(path, content, embedders, tables)
    return _Queries(
        tuple(
            QueryImage(path, content.image_id, content.image_id in stored, number >= len(images))
            for number, (path, content) in enumerate(zip(paths, contents, strict=True))
        ),
        known,
    )


def _extracted(
    path: bytes, content: FileContent, embedders: EmbedderSource, tables: frozenset[FeatureTable]
) -> Features:
    from imrec_pg.extraction import extract  # noqa: PLC0415 - costs a second; stored queries need none of it

    extracted = extract(content, display_path(path), tables)
    if extracted.crop is None:
        return extracted.features
    return replace(extracted.features, embedding=embedders.embed([extracted.crop])[0])
