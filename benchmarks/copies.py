"""Photos and altered copies of them, with the features that ingest would store of each."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from benchmarks.feature_rows import FeatureRows
from benchmarks.measure import bar
from imrec_pg.errors import DecodeError, UsageError
from imrec_pg.extraction import Extracted, extract
from imrec_pg.features.model import EmbedderSource
from imrec_pg.images.alterations import ALTERATIONS, WINDOW, Alteration, reduced
from imrec_pg.images.content import FileContent, image_id_of, read
from imrec_pg.images.decode import decode
from imrec_pg.paths import display_path
from imrec_pg.records import Feature, Features, FloatRow, RgbArray

_ALL = frozenset(Feature)
# Among ten or fewer each one would be among the first ten.
_FEWEST = 11


@dataclass(frozen=True, slots=True)
class Photos:
    """Photos of a folder that can be read, each content once.

    Attributes:
        contents: the files.
        paths: of each.
        features: a row for each.
        unreadable: how many others could not be decoded.
        repeated: how many others have the same bytes as one of these.
    """

    contents: tuple[FileContent, ...]
    paths: tuple[Path, ...]
    features: FeatureRows
    unreadable: int
    repeated: int


@dataclass(frozen=True, slots=True)
class Copies:
    """Pictures made from photos.

    Attributes:
        features: a row for each.
        originals: int64 (n,), the position of the photo that it was made from.
    """

    features: FeatureRows
    originals: NDArray[np.int64]


def read_photos(paths: Sequence[Path], model: EmbedderSource) -> Photos:
    """Return those that can be decoded; of the same bytes in several files only the first.

    Raises:
        UsageError: there are no more than 10.
    """
    rows = _Rows(model)
    contents: dict[UUID, FileContent] = {}
    kept: list[Path] = []
    unreadable = repeated = 0
    with bar(len(paths), "photos") as done:
        for path in paths:
            done.update()
            raw = os.fsencode(path)
            try:
                content = read(raw)
                if content.image_id in contents:
                    repeated += 1
                    continue
                rows.add(extract(content, display_path(raw), _ALL))
            except DecodeError:
                unreadable += 1
            else:
                contents[content.image_id] = content
                kept.append(path)
    if len(contents) < _FEWEST:
        raise UsageError(
            f"recall@10 needs more than 10 different photos: here are {len(contents)} that can be read"
        )
    return Photos(tuple(contents.values()), tuple(kept), rows.rows(), unreadable, repeated)


def make_copies(photos: Photos, most: int, model: EmbedderSource) -> Copies:
    """Return copies of at most so many photos, spread over all: each of ALTERATIONS, in that order."""
    number = len(photos.contents)
    chosen = range(number) if number <= most else [place * number // most for place in range(most)]
    return _made(photos, chosen, ALTERATIONS, model)


def make_windows(photos: Photos, most: int, model: EmbedderSource) -> Copies:
    """Return at most so many windows, equally many of each photo: more real pictures to search in."""
    number = len(photos.contents)
    windows = [replace(WINDOW, name=f"{WINDOW.name} {count}") for count in range(most // number)]
    return _made(photos, range(number), windows, model)


def _made(
    photos: Photos, chosen: Sequence[int], alterations: Sequence[Alteration], model: EmbedderSource
) -> Copies:
    rows = _Rows(model)
    with bar(len(chosen) * len(alterations), "copies") as done:
        for position in chosen:
            content = photos.contents[position]
            photo = reduced(decode(content, "photo").pixels)
            for alteration in alterations:
                data = alteration.copy(photo, seed=content.image_id.int)
                made = FileContent(data, len(data), 0, image_id_of(data))
                rows.add(extract(made, f"{alteration.name}.jpg", _ALL))
                done.update()
    return Copies(rows.rows(), np.repeat(np.array(chosen, dtype=np.int64), len(alterations)))


class _Rows:
    """Gathers features, and embeds the crops by the batch."""

    def __init__(self, model: EmbedderSource) -> None:
        self._model = model
        self._crops: list[RgbArray] = []
        self._embeddings: list[NDArray[np.float32]] = []
        self._others: list[Features] = []

    def add(self, extracted: Extracted) -> None:
        assert extracted.crop is not None
        self._crops.append(extracted.crop)
        self._others.append(extracted.features)
        if len(self._crops) == self._model.batch:
            self._embed()

    def rows(self) -> FeatureRows:
        if self._crops:
            self._embed()
        return FeatureRows({feature: self._column(feature) for feature in Feature})

    def _column(self, feature: Feature) -> NDArray[np.generic]:
        if feature is Feature.EMBEDDING:
            return np.concatenate(self._embeddings)
        return np.stack([_as_row(features.get(feature)) for features in self._others])

    def _embed(self) -> None:
        self._embeddings.append(self._model.embed(self._crops))
        self._crops.clear()


def _as_row(value: FloatRow | bytes | None) -> NDArray[np.generic]:
    assert value is not None, "all features were asked for"
    return np.frombuffer(value, dtype=np.uint8) if isinstance(value, bytes) else value
