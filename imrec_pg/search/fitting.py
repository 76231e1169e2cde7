"""Fit the curves of evidence on the user's own photos: altered copies of some, and pairs of others."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from imrec_pg.catalogue.model import check_model
from imrec_pg.catalogue.roots import roots_here
from imrec_pg.catalogue.tuning import sample_of
from imrec_pg.db.connection import Connection, translated
from imrec_pg.db.rows import all_rows
from imrec_pg.decoding import Decoders
from imrec_pg.errors import DecodeError, UsageError
from imrec_pg.features.model import EmbedderSource
from imrec_pg.images.content import FileContent, read
from imrec_pg.paths import display_path, slashed
from imrec_pg.records import Feature, Features, Metric
from imrec_pg.search import ranking
from imrec_pg.search.curves import Curve, distances, fit
from imrec_pg.settings import this_host

OnProgress = Callable[[str, int, int], None]
_FEWEST = 10
# 500 make 124,750 pairs: rare ones of one in 10,000 are among them.
_UNRELATED = 500


@dataclass(frozen=True, slots=True)
class Fitted:
    """What fitting found.

    Attributes:
        photos: how many photos copies were made of.
        tested: on how many of these copies, which took no part in the fit, recall was measured.
        before: recall@1 of their originals by the curves that were in use.
        after: the same by the new ones.
        stored: whether the new ones are in use now: they are unless they found less.
        curves: by feature.
    """

    photos: int
    tested: int
    before: float
    after: float
    stored: bool
    curves: Mapping[Feature, Curve]


@dataclass(frozen=True, slots=True)
class Copies:
    """Altered copies of a stored photo: one of each of images.alterations, in their order."""

    original: UUID
    features: tuple[Features, ...]


@dataclass(frozen=True, slots=True)
class _Fused:
    feature: str
    fused_metric: str


@dataclass(frozen=True, slots=True)
class _Place:
    image_id: UUID
    root_id: UUID
    relative_path: bytes


class _WorseError(Exception):
    """The new curves find less: undo what was written."""


def tune_fuse(
    conn: Connection,
    decoders: Decoders,
    embedders: EmbedderSource,
    *,
    photos: int = 100,
    on_progress: OnProgress = lambda _step, _done, _total: None,
) -> Fitted:
    """Fit curves on altered copies of some stored photos and on pairs of others, and store them if they are better.

    Copies of every other photo are fitted to; those of the rest tell the recall before and after.

    Raises:
        UsageError: fewer than 10 photos that are stored can be read here.
        ModelMismatchError: the embeddings here were made by another model.
    """
    if photos < _FEWEST:
        raise UsageError(f"curves need copies of {_FEWEST} photos or more, not {photos}")
    check_model(conn, embedders.identity)
    copied = list(altered_copies(conn, decoders, embedders, photos, on_progress))
    if len(copied) < _FEWEST:
        raise UsageError(
            f"only {len(copied)} stored photos can be read on this host: curves need {_FEWEST} or more"
        )
    fitted_to, rest = copied[::2], copied[1::2]
    curves = _fit(conn, fitted_to)
    before = _recall(conn, rest, "recall before", on_progress)
    after, stored = before, False
    with translated(conn), suppress(_WorseError), conn.transaction():
        _store(conn, curves)
        after = _recall(conn, rest, "recall after", on_progress)
        stored = after >= before
        if not stored:
            raise _WorseError
    return Fitted(len(copied), sum(len(c.features) for c in rest), before, after, stored, curves)


def reset(conn: Connection) -> None:
    """Forget what was fitted: the curves shipped count again."""
    with translated(conn):
        conn.execute("DELETE FROM imrec.evidence")


def altered_copies(
    conn: Connection, decoders: Decoders, embedders: EmbedderSource, number: int, on_progress: OnProgress
) -> Iterator[Copies]:
    """Yield altered copies of so many photos, or of fewer where fewer can be read."""
    found = 0
    # Some files may be gone or changed.
    for content, name in _contents(conn, 2 * number):
        if found == number:
            return
        on_progress("copies", found, number)
        try:
            made = decoders.copies(content, name)()
        except DecodeError:
            continue
        embeddings = embedders.embed([extracted.crop for extracted in made if extracted.crop is not None])
        features = (
            replace(extracted.features, embedding=row)
            for extracted, row in zip(made, embeddings, strict=True)
        )
        yield Copies(content.image_id, tuple(features))
        found += 1


def _contents(conn: Connection, number: int) -> Iterator[tuple[FileContent, str]]:
    here = {root.root_id: slashed(root.here) for root in roots_here(conn, this_host()).all}
    with translated(conn):
        places = all_rows(conn, _Place, _PLACES, (sample_of(conn, Feature.EMBEDDING, number),))
    for place in places:
        path = here[place.root_id] + place.relative_path
        try:
            content = read(path)
        except DecodeError:
            continue
        if content.image_id == place.image_id:
            yield content, display_path(path)


def _fit(conn: Connection, copied: Sequence[Copies]) -> dict[Feature, Curve]:
    originals = ranking.stored_features(conn, [copies.original for copies in copied])
    others = list(ranking.stored_features(conn, sample_of(conn, Feature.EMBEDDING, _UNRELATED)).values())
    with translated(conn):
        pairs = all_rows(conn, _Fused, "SELECT feature, fused_metric FROM imrec.feature")
    curves = {}
    for feature, metric in ((Feature(pair.feature), Metric(pair.fused_metric)) for pair in pairs):
        known = [copies for copies in copied if originals[copies.original].get(feature) is not None]
        stored = [features for features in others if features.get(feature) is not None]
        if not known or len(stored) <= 1:
            continue
        near = [
            distances(column(copies.features, feature), column([originals[copies.original]], feature), metric)
            for copies in known
        ]
        between = distances(column(stored, feature), column(stored, feature), metric)
        curves[feature] = fit(
            _finite(np.concatenate(near).ravel()), _finite(between[np.triu_indices_from(between, 1)])
        )
    return curves


def _finite(found: NDArray[np.float64]) -> NDArray[np.float64]:
    return found[np.isfinite(found)]


def column(rows: Sequence[Features], feature: Feature) -> NDArray[np.generic]:
    """Return one feature of all, as distances() takes it."""
    values = [features.get(feature) for features in rows]
    return np.stack(
        [np.frombuffer(v, dtype=np.uint8) if isinstance(v, bytes) else np.asarray(v) for v in values]
    )


def _recall(conn: Connection, copied: Sequence[Copies], step: str, on_progress: OnProgress) -> float:
    """Return the share of copies whose original comes first."""
    questions = [(copies.original, features) for copies in copied for features in copies.features]
    hits = 0
    for number, (original, features) in enumerate(questions):
        on_progress(step, number, len(questions))
        neighbours, _ = ranking.fuse(conn, [features], k=1)
        hits += [neighbour.image_id for neighbour in neighbours] == [original]
    return hits / len(questions)


def _store(conn: Connection, curves: Mapping[Feature, Curve]) -> None:
    for feature, curve in curves.items():
        conn.execute(
            _UPSERT,
            (list(curve.distances), list(curve.evidence), curve.copies, curve.pairs, str(feature)),
        )


_PLACES = """
SELECT DISTINCT ON (f.image_id) f.image_id, f.root_id, f.relative_path
FROM imrec.file AS f WHERE f.image_id = ANY (%s)
AND NOT EXISTS (SELECT FROM imrec.missing AS m WHERE m.file_id = f.file_id)
ORDER BY f.image_id, f.file_id
"""
_UPSERT = """
INSERT INTO imrec.evidence AS e (feature, metric, distances, evidence, copies, pairs, fitted_at)
SELECT f.feature, f.fused_metric, %s::double precision[], %s::double precision[], %s, %s, clock_timestamp()
FROM imrec.feature AS f WHERE f.feature = %s
ON CONFLICT (feature, metric) DO UPDATE SET
    distances = excluded.distances, evidence = excluded.evidence, copies = excluded.copies,
    pairs = excluded.pairs, fitted_at = excluded.fitted_at
"""
