"""Query images: their features from the database, or extracted as an ingest does it."""

import io
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, TypeAlias
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from imrec_pg.catalogue.model import check_model
from imrec_pg.db.connection import Connection
from imrec_pg.decoding import Decoders
from imrec_pg.errors import DecodeError, ImageNotFoundError, InvalidQueryError
from imrec_pg.features.model import EmbedderSource
from imrec_pg.images import formats
from imrec_pg.images.content import FileContent, image_id_of, read
from imrec_pg.paths import absolute, display_path, is_url
from imrec_pg.records import Feature, Features
from imrec_pg.search import ranking
from imrec_pg.search.results import QueryImage


@dataclass(frozen=True, slots=True)
class KnownImage:
    """An image whose features are known already, though it need not be stored (Library.know).

    Attributes:
        name: for messages.
        features: what there is of them.
        stored: whether they came from the database.
    """

    image_id: UUID
    name: str
    features: Features
    stored: bool = False


Query: TypeAlias = str | os.PathLike[str] | bytes | Image.Image | NDArray[Any] | UUID | KnownImage
"""An image to search for: a path, the bytes of an image file, a Pillow image, an array of pixels, uint8 (H, W, 3),
channels red, green, blue, the id of a stored image, or one whose features are known already."""

_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})


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


def several(query: Query | Sequence[Query]) -> list[Query]:
    """Return one query, or several, as a list."""
    if isinstance(query, (str, bytes, os.PathLike, Image.Image, np.ndarray, UUID, KnownImage)):
        return [query]
    return list(query)


def extract_features(
    query: Query, decoders: Decoders, embedders: EmbedderSource, features: Sequence[Feature]
) -> Features:
    """Return features of one image, as an ingest would store them; those not asked for are None.

    Raises:
        InvalidQueryError: it is a folder, a video or a URL.
        DecodeError: it is no image that can be read.
        WeightsError: the model's weights were not found.
    """
    if isinstance(query, (UUID, KnownImage)):
        raise InvalidQueryError("features are extracted of an image, and this is only the id of one")
    _, name, content = _opened(query)
    return _extracted({content.image_id: (name, content)}, decoders, embedders, features)[content.image_id]


def known_image(
    conn: Connection, query: Query, decoders: Decoders, embedders: EmbedderSource, features: Sequence[Feature]
) -> KnownImage:
    """Return an image with the features asked for, by which it can be searched for again and again.

    Raises:
        As look_up().
    """
    found = look_up(conn, [query], (), decoders, embedders, features, Stopwatch())
    (image,) = found.images
    return KnownImage(image.image_id, image.name, found.features[image.image_id], image.stored)


def look_up(
    conn: Connection,
    likes: Sequence[Query],
    dislikes: Sequence[Query],
    decoders: Decoders,
    embedders: EmbedderSource,
    features: Sequence[Feature],
    watch: Stopwatch,
) -> Queries:
    """Return the query images with the features asked for; what is stored is not extracted again.

    Raises:
        InvalidQueryError: no image; or a folder, a video or a URL.
        ImageNotFoundError: no image is stored under an id.
        DecodeError: one is no image that can be read.
        ModelMismatchError: the embeddings here were made by another model.
    """
    if not likes:
        raise InvalidQueryError("there is no image to search for")
    with watch.step("read"):
        opened = [_named(query) for query in (*likes, *dislikes)]
    with watch.step("look up"):
        present = ranking.stored_features(conn, [one.image_id for one in opened])
        stored = {key: found for key, found in present.items() if _has_all(found, features)}
    with watch.step("extract"):
        given = {
            one.image_id: one.features
            for one in opened
            if one.image_id not in stored and one.features is not None and _has_all(one.features, features)
        }
        new = {
            one.image_id: (one.name, _content_of(one, features, present))
            for one in opened
            if one.image_id not in stored and one.image_id not in given
        }
        if (new or given) and Feature.EMBEDDING in features:
            check_model(conn, embedders.identity)
        known = {**stored, **given, **_extracted(new, decoders, embedders, features)}
    return Queries(
        tuple(
            QueryImage(one.path, one.name, one.image_id, one.image_id in stored, number >= len(likes))
            for number, one in enumerate(opened)
        ),
        known,
    )


@dataclass(frozen=True, slots=True)
class _Named:
    """A query: its file's path if it has one, a name for messages, and its content or features if those are given."""

    path: bytes | None
    name: str
    image_id: UUID
    content: FileContent | None = None
    features: Features | None = None


def _named(query: Query) -> _Named:
    if isinstance(query, UUID):
        return _Named(None, f"image {query}", query)
    if isinstance(query, KnownImage):
        return _Named(None, query.name, query.image_id, features=query.features)
    path, name, content = _opened(query)
    return _Named(path, name, content.image_id, content)


def _has_all(found: Features, features: Sequence[Feature]) -> bool:
    return all(found.get(feature) is not None for feature in features)


def _content_of(one: _Named, features: Sequence[Feature], present: Mapping[UUID, Features]) -> FileContent:
    """Return the content of which features can be extracted.

    Raises:
        ImageNotFoundError: only an id is known, and no image is stored under it.
        InvalidQueryError: there is no content, and what is known of the image is not enough.
    """
    if one.content is not None:
        return one.content
    known = present.get(one.image_id) or one.features
    if known is None:
        raise ImageNotFoundError(f"no {one.name} is stored")
    lacking = ", ".join(feature for feature in features if known.get(feature) is None)
    raise InvalidQueryError(f"{one.name} lacks {lacking}: run ingest again, or search by another feature")


def _opened(
    query: str | os.PathLike[str] | bytes | Image.Image | NDArray[Any],
) -> tuple[bytes | None, str, FileContent]:
    """Return a query's path, if it is a file, its name for messages, and its content."""
    if isinstance(query, bytes):
        return None, "the image given as bytes", _content(query)
    if isinstance(query, Image.Image):
        return None, "the Pillow image", _content(_png(query))
    if isinstance(query, np.ndarray):
        return None, "the array of pixels", _content(_png(_from_pixels(query)))
    path = absolute(query)
    try:
        content = read(path)
    except DecodeError as error:
        _explain(query, path, error)
        raise
    if formats.is_video(content.data[: formats.HEAD_SIZE], formats.extension(path)):
        raise _video(display_path(path))
    return path, display_path(path), content


def _explain(query: str | os.PathLike[str], path: bytes, error: DecodeError) -> None:
    """Return if the error itself says best why a query could not be read.

    Raises:
        InvalidQueryError: it is something else than an image file.
    """
    name = display_path(os.fsencode(query))
    if os.path.isdir(path):  # noqa: PTH112 - bytes
        raise InvalidQueryError(f"{name} is a folder: name an image in it") from error
    if os.path.isfile(path):  # noqa: PTH113 - bytes
        # One that is too large, or may not be read.
        with suppress(OSError), open(path, "rb") as file:  # noqa: PTH123 - bytes
            if formats.is_video(file.read(formats.HEAD_SIZE), formats.extension(path)):
                raise _video(name) from error
    elif is_url(query):
        raise InvalidQueryError(f"{name} is a URL: download the image, and name its file") from error
    elif name == "-":
        raise InvalidQueryError("images are not read from standard input: name a file") from error


def _video(name: str) -> InvalidQueryError:
    return InvalidQueryError(f"{name} is a video: save a frame of it as an image, and search for that")


def _content(data: bytes) -> FileContent:
    return FileContent(data, len(data), 0, image_id_of(data))


def _png(image: Image.Image) -> bytes:
    upright = ImageOps.exif_transpose(image)
    buffer = io.BytesIO()
    kept = upright if upright.mode in _PNG_MODES else upright.convert("RGB")
    # Level 1: of 12 megapixels the usual one takes seconds.
    kept.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _from_pixels(pixels: NDArray[Any]) -> Image.Image:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:  # noqa: PLR2004
        raise InvalidQueryError(
            f"an array of pixels is uint8 of shape (height, width, 3), not {pixels.dtype} of {pixels.shape}"
        )
    return Image.fromarray(pixels)


def _extracted(
    new: Mapping[UUID, tuple[str, FileContent]],
    decoders: Decoders,
    embedders: EmbedderSource,
    features: Sequence[Feature],
) -> dict[UUID, Features]:
    wanted = frozenset(features)
    started = [
        (image_id, decoders.extract(content, name, wanted)) for image_id, (name, content) in new.items()
    ]
    if started and Feature.EMBEDDING in wanted:
        # Meanwhile: it takes longer than a decoder to start and a picture to decode.
        embedders.load()
    found = {}
    for image_id, finish in started:
        extracted = finish()
        found[image_id] = extracted.features
        if extracted.crop is not None:
            (embedding,) = embedders.embed([extracted.crop])
            found[image_id] = replace(extracted.features, embedding=embedding)
    return found
