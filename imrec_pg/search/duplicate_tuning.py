"""Measure what each strictness finds among altered copies of the user's own photos, and how many strangers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from imrec_pg.analysis.duplicates import Strictness
from imrec_pg.catalogue.model import check_model
from imrec_pg.catalogue.tuning import sample_of
from imrec_pg.db.connection import Connection, translated
from imrec_pg.db.rows import all_rows, values
from imrec_pg.decoding import Decoders
from imrec_pg.errors import UsageError
from imrec_pg.features.model import EmbedderSource
from imrec_pg.images.alterations import ALTERATIONS
from imrec_pg.records import Feature, Features, Metric
from imrec_pg.search.curves import distances
from imrec_pg.search.fitting import altered_copies, column
from imrec_pg.search.ranking import stored_features

Masks = NDArray[np.bool_]
_OTHERS = 1_000
_FEWEST = 10
_USED = (Feature.DIFFERENCE_HASH, Feature.PERCEPTUAL_HASH, Feature.EMBEDDING, Feature.HISTOGRAM)
LIMITS = "SELECT * FROM imrec_internal.duplicate_limit"
_DETAILED = """
SELECT imrec_internal.detailed(h.code::bit(64)) FROM unnest(%s::text[]) WITH ORDINALITY AS h (code, n) ORDER BY h.n
"""
_STORE = """
INSERT INTO imrec.duplicate_tuning AS t (tuning_id, strictness, "precision", recall, copies, pairs, measured_at)
VALUES (1, %s, %s, %s, %s, %s, clock_timestamp())
ON CONFLICT (tuning_id) DO UPDATE SET
    strictness = excluded.strictness, "precision" = excluded."precision", recall = excluded.recall,
    copies = excluded.copies, pairs = excluded.pairs, measured_at = excluded.measured_at
"""


@dataclass(frozen=True, slots=True)
class Judged:
    """What one strictness makes of the copies.

    Attributes:
        crops: whether the embedding and the histogram alone may speak, as with find's --crops.
        found: copies that are taken for copies of their original.
        wrong: pairs of a copy and an unrelated photo that are taken for copies.
        recall: the share of the copies that is found.
        precision: the share of what is found that is right; 1 where nothing is found.
        by_alteration: recall by the way in which a copy was altered.
    """

    strictness: Strictness
    crops: bool
    found: int
    wrong: int
    recall: float
    precision: float
    by_alteration: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class DuplicateTuning:
    """What was measured.

    Attributes:
        photos: how many photos copies were made of.
        copies: how many copies.
        pairs: of copies and unrelated photos.
        wanted: the precision asked for.
        chosen: what finds most with that precision, by which find goes from now on; None where nothing has it.
        judged: each strictness, without and with crops.
    """

    photos: int
    copies: int
    pairs: int
    wanted: float
    chosen: Strictness | None
    judged: Sequence[Judged]


@dataclass(frozen=True, slots=True)
class Limit:
    """What counts as alike, of imrec_internal.duplicate_limit."""

    strictness: str
    difference_bits: int
    perceptual_bits: int
    near_bits: int
    other_bits: int
    embedding: float
    embedding_alone: float
    histogram: float


class Distances:
    """How far each of some images is from each of others, by what duplicates are judged by."""

    def __init__(self, conn: Connection, ones: Sequence[Features], others: Sequence[Features]) -> None:
        metrics = dict.fromkeys(_USED, Metric.COSINE) | dict.fromkeys(_USED[:2], Metric.HAMMING)
        self.by = {
            feature: distances(column(ones, feature), column(others, feature), metric)
            for feature, metric in metrics.items()
        }
        self.votes = _detailed(conn, ones)[:, None] & _detailed(conn, others)[None]

    def alike(self, limit: Limit, *, crops: bool) -> Masks:
        """Return which pairs imrec_internal.judge_duplicates would keep."""
        difference, perceptual, embedding, histogram = (self.by[feature] for feature in _USED)
        both = (difference <= limit.difference_bits) & (perceptual <= limit.perceptual_bits)
        one = (np.minimum(difference, perceptual) <= limit.near_bits) & (
            np.maximum(difference, perceptual) <= limit.other_bits
        )
        kept: Masks = self.votes & (both | (one & (embedding <= limit.embedding)))
        if crops:
            kept |= (embedding <= limit.embedding_alone) & (histogram <= limit.histogram)
        return kept


def tune_duplicates(
    conn: Connection,
    decoders: Decoders,
    embedders: EmbedderSource,
    *,
    photos: int = 100,
    precision: float = 0.99,
    on_progress: Callable[[str, int, int], None] = lambda _step, _done, _total: None,
) -> DuplicateTuning:
    """Judge altered copies of some stored photos, beside their originals and others, and store what does best.

    Photos that are near to the original themselves, as copies in the library are, are not counted as unrelated.

    Raises:
        UsageError: a number is out of range, or fewer than 10 photos that are stored can be read here.
        ModelMismatchError: the embeddings here were made by another model.
    """
    if photos < _FEWEST or not 0 < precision <= 1:
        raise UsageError(
            f"copies are made of {_FEWEST} photos or more, and a precision is above 0, at most 1"
        )
    check_model(conn, embedders.identity)
    made = list(altered_copies(conn, decoders, embedders, photos, on_progress))
    originals = _whole(stored_features(conn, [one.original for one in made]))
    made = [one for one in made if one.original in originals]
    if len(made) < _FEWEST:
        raise UsageError(
            f"only {len(made)} photos with all features can be read on this host: {_FEWEST} are needed"
        )
    others = _whole(stored_features(conn, sample_of(conn, Feature.EMBEDDING, _OTHERS))) | originals
    place = {image: number for number, image in enumerate(others)}
    source = np.repeat([place[one.original] for one in made], len(ALTERATIONS))
    copies = [features for one in made for features in one.features]
    with translated(conn):
        limits = {Strictness(limit.strictness): limit for limit in all_rows(conn, Limit, LIMITS)}
        stored = Distances(conn, [originals[one.original] for one in made], list(others.values()))
        related = stored.alike(limits[Strictness.LOOSE], crops=True)
        apart = Distances(conn, copies, list(others.values()))
        own = np.zeros(apart.votes.shape, np.bool_)
        own[np.arange(len(copies)), source] = True
        unrelated = ~own & ~np.repeat(related, len(ALTERATIONS), axis=0)
        judged = [
            _judged(limits[strictness], apart, own, unrelated, crops=crops)
            for crops in (False, True)
            for strictness in Strictness
        ]
        chosen = _chosen(judged, precision)
        if chosen is not None:
            counts = (len(copies), int(unrelated.sum()))
            conn.execute(_STORE, (str(chosen.strictness), chosen.precision, chosen.recall, *counts))
    return DuplicateTuning(
        photos=len(made),
        copies=len(copies),
        pairs=int(unrelated.sum()),
        wanted=precision,
        chosen=None if chosen is None else chosen.strictness,
        judged=judged,
    )


def _judged(limit: Limit, apart: Distances, own: Masks, unrelated: Masks, *, crops: bool) -> Judged:
    alike = apart.alike(limit, crops=crops)
    found, wrong = alike[own], int((alike & unrelated).sum())
    right = int(found.sum())
    return Judged(
        strictness=Strictness(limit.strictness),
        crops=crops,
        found=right,
        wrong=wrong,
        recall=right / len(found),
        precision=right / (right + wrong) if right + wrong else 1.0,
        by_alteration={
            alteration.name: float(found[number :: len(ALTERATIONS)].mean())
            for number, alteration in enumerate(ALTERATIONS)
        },
    )


def _chosen(judged: Sequence[Judged], wanted: float) -> Judged | None:
    """Return what finds most as precisely as is wanted without crops, of equal ones the strictest."""
    fine = [one for one in judged if not one.crops and one.precision >= wanted]
    return max(fine, key=lambda one: one.recall, default=None)


def _whole(features: Mapping[UUID, Features]) -> dict[UUID, Features]:
    """Return those images that have all that is judged by."""
    return {key: one for key, one in features.items() if all(one.get(used) is not None for used in _USED)}


def _detailed(conn: Connection, images: Sequence[Features]) -> Masks:
    codes = column(images, Feature.DIFFERENCE_HASH).astype(np.uint8)
    texts = ["".join(map(str, bits)) for bits in np.unpackbits(codes, axis=1)]
    return np.array(values(conn, bool, _DETAILED, (texts,)), np.bool_)
