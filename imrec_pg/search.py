"""From query images to the most similar stored ones."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from imrec_pg.errors import UsageError
from imrec_pg.features.model import EmbedderSource
from imrec_pg.images.decode import FileContent, read
from imrec_pg.paths import display_path
from imrec_pg.records import FEATURE_TABLES, Combine, Feature, FloatRow, Metric
from imrec_pg.store import search as ranking
from imrec_pg.store.connection import Connection
from imrec_pg.store.search import Neighbour
from imrec_pg.store.write import check_model


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """What to search for.

    Attributes:
        metric: None for the feature's default: cosine, or hamming for the hashes.
        k: how many photos to return.
        combine: how several query images become one ranking.
        exact: compare with every stored image, whatever indexes there are.
        include_self: let the query images themselves appear in the answer.
    """

    feature: Feature = Feature.EMBEDDING
    metric: Metric | None = None
    k: int = 5
    combine: Combine = Combine.MEAN
    exact: bool = False
    include_self: bool = False


@dataclass(frozen=True, slots=True)
class QueryImage:
    """An image that was searched for.

    Attributes:
        path: raw bytes, absolute.
        stored: whether its features came from the database.
    """

    path: bytes
    image_id: UUID
    stored: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """The stored images nearest to the queries, nearest first.

    Attributes:
        exact: whether these are certainly the nearest ones.
        index: the approximate index that answered, when not exact.
        timings: seconds for each step, in order.
    """

    queries: tuple[QueryImage, ...]
    feature: Feature
    metric: Metric
    combine: Combine
    neighbours: tuple[Neighbour, ...]
    exact: bool
    index: str | None
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


def search(
    conn: Connection,
    images: Sequence[str | bytes | os.PathLike[str]],
    embedders: EmbedderSource,
    options: SearchOptions,
) -> Answer:
    """Return the k stored images nearest to the query images; fewer only when fewer are stored.

    A query that is stored (the same bytes) uses its stored features and loads no model.

    Raises:
        UsageError: no query, k out of range, or a feature and metric that do not go together.
        DecodeError: a query is no image that can be read.
        ModelMismatchError: the embeddings here were made by another model.
    """
    metric = ranking.check_pair(options.feature, options.metric)
    k = ranking.check_k(options.k)
    if not images:
        raise UsageError("name at least one image to search for")
    watch = _Stopwatch()
    with watch.step("read"):
        paths = [os.path.abspath(os.fsencode(image)) for image in images]  # noqa: PTH100 - bytes
        contents = [read(path) for path in paths]
    with watch.step("look up"):
        ids = [content.image_id for content in contents]
        stored = ranking.stored_features(conn, ids, options.feature)
    with watch.step("extract"):
        new = [
            (path, content)
            for path, content in zip(paths, contents, strict=True)
            if content.image_id not in stored
        ]
        features = stored | _extract(conn, new, embedders, options.feature)
    with watch.step("rank"):
        ranked = ranking.rank(
            conn,
            [features[image_id] for image_id in ids],
            options.feature,
            metric,
            k,
            combine=options.combine,
            exclude=() if options.include_self else ids,
            exact=options.exact,
        )
    return Answer(
        queries=tuple(QueryImage(p, c, c in stored) for p, c in zip(paths, ids, strict=True)),
        feature=options.feature,
        metric=metric,
        combine=options.combine,
        neighbours=tuple(ranked.neighbours),
        exact=ranked.exact,
        index=ranked.index,
        timings=tuple(watch.steps),
    )


def _extract(
    conn: Connection,
    contents: Sequence[tuple[bytes, FileContent]],
    embedders: EmbedderSource,
    feature: Feature,
) -> dict[UUID, FloatRow | bytes]:
    if not contents:
        return {}
    from imrec_pg.extraction import extract  # noqa: PLC0415 - costs a second; stored queries need none of it

    if feature is Feature.EMBEDDING:
        check_model(conn, embedders.identity)
    found: dict[UUID, FloatRow | bytes] = {}
    for path, content in contents:
        extracted = extract(content, display_path(path), frozenset({FEATURE_TABLES[feature]}))
        features = extracted.features
        value: FloatRow | bytes | None
        match feature:
            case Feature.EMBEDDING:
                assert extracted.crop is not None
                value = embedders.embed([extracted.crop])[0]
            case Feature.HISTOGRAM:
                value = features.histogram
            case Feature.AVERAGE_HASH:
                value = features.average_hash
            case Feature.DIFFERENCE_HASH:
                value = features.difference_hash
        assert value is not None
        found[content.image_id] = value
    return found
