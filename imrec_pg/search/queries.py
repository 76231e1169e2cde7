"""Query images: their features from the database, or extracted as an ingest does it."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from uuid import UUID

from imrec_pg.catalogue.model import check_model
from imrec_pg.db.connection import Connection
from imrec_pg.errors import UsageError
from imrec_pg.features.model import EmbedderSource
from imrec_pg.images.content import FileContent, read
from imrec_pg.paths import display_path
from imrec_pg.records import FEATURE_TABLES, Feature, Features, FeatureTable
from imrec_pg.search import ranking
from imrec_pg.search.options import QueryImage

PathLike = str | bytes | os.PathLike[str]


class Stopwatch:
    """Seconds spent in named steps."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, float]] = []

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time what is done inside."""
        started = time.perf_counter()
        yield
        self.steps.append((name, time.perf_counter() - started))


@dataclass(frozen=True, slots=True)
class Queries:
    """Query images and their features, likes first."""

    images: tuple[QueryImage, ...]
    features: Mapping[UUID, Features]

    def of(self, *, disliked: bool) -> list[Features]:
        """Return the features of the likes, or of the dislikes."""
        return [self.features[image.image_id] for image in self.images if image.disliked is disliked]


def extract_features(path: PathLike, embedders: EmbedderSource, features: Sequence[Feature]) -> Features:
    """Return features of one image file, as an ingest would store them; those not asked for are None.

    Raises:
        DecodeError: it is no image that can be read.
        WeightsError: the model's weights were not found.
    """
    raw = os.path.abspath(os.fsencode(path))  # noqa: PTH100 - bytes
    return _extracted(raw, read(raw), embedders, frozenset(FEATURE_TABLES[feature] for feature in features))


def look_up(
    conn: Connection,
    images: Sequence[PathLike],
    dislikes: Sequence[PathLike],
    embedders: EmbedderSource,
    features: Sequence[Feature],
    watch: Stopwatch,
) -> Queries:
    """Return the query images with the features asked for; what is stored is not extracted again.

    Raises:
        UsageError: no image.
        DecodeError: one is no image that can be read.
        ModelMismatchError: the embeddings here were made by another model.
    """
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
    return Queries(
        tuple(
            QueryImage(path, content.image_id, content.image_id in stored, number >= len(images))
            for number, (path, content) in enumerate(zip(paths, contents, strict=True))
        ),
        known,
    )


def _extracted(
    path: bytes, content: FileContent, embedders: EmbedderSource, tables: frozenset[FeatureTable]
) -> Features:
    from imrec_pg.extraction import extract

    extracted = extract(content, display_path(path), tables)
    if extracted.crop is None:
        return extracted.features
    return replace(extracted.features, embedding=embedders.embed([extracted.crop])[0])
