"""Retrieval quality: altered copies of photos, whose originals each feature and the fusion must find.

The design is that of copy detection: originals are searched, altered copies are the queries, and all other
photos are distractors (Copydays, Douze et al. 2009, doi:10.1145/1646396.1646421; DISC21, Douze et al. 2021,
arXiv:2106.09672). As Copydays is used with thousands of other photos among its 157, each figure is also
taken among windows of the other photos.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.copies import Copies, Photos, make_copies, make_windows, read_photos
from benchmarks.evidence import FUSED, evidence_ranks
from benchmarks.feature_rows import METRICS
from benchmarks.kinds import NEAREST, asked, kinds_of, precision
from benchmarks.ranking import FUSION, Pair, Quality, Ranks, distances, fusion, quality, ranks_of
from benchmarks.results import Grid, GridRow, Line, Section, Value, ratio_at_least
from imrec_pg.features.model import EmbedderSource
from imrec_pg.images.alterations import ALTERATIONS
from imrec_pg.records import Feature, Metric

_MOST_COPIED = 200
_MOST_WINDOWS = 1_000
# Of fewer photos, one copy is a per cent of its kind or more, as much as features differ by.
_ENOUGH = 100

_BY_RANKS = "fusion by reciprocal ranks"
_MEASURES = ("recall@1", "recall@10", "mAP")
_ALONE, _AMONG_WINDOWS = "among the photos", "among photos and windows"
# What the weights were chosen from, beside others that tell why.
_CANDIDATES = (
    fusion(60, (1, 1, 1, 1, 0)),
    fusion(60, (3, 2, 1, 1, 0)),
    fusion(60, (8, 2, 1, 1, 0)),
    fusion(60, (20, 2, 1, 1, 0)),
    fusion(10, (3, 2, 1, 1, 0)),
    fusion(5, (1, 1, 1, 1, 0)),
    fusion(5, (3, 2, 1, 1, 0)),
    fusion(5, (3, 2, 1, 1, 0.5)),
    fusion(5, (3, 2, 1, 1, 1)),
    fusion(5, (4, 2, 1, 1, 1)),
)


@dataclass(frozen=True, slots=True)
class Found:
    """What the section found.

    Attributes:
        lines: the fusion beside the best single feature.
        grids: all features and metrics; each kind of alteration; photos of the same kind, if kinds are known; how
            the weights were chosen.
        data: where the photos came from.
    """

    lines: tuple[Line, ...]
    grids: tuple[Grid, ...]
    data: str


@dataclass(frozen=True, slots=True)
class _Trial:
    """All rankings of one collection.

    Attributes:
        collection: what was searched.
        rankings: of each feature and metric.
        fused: by the default fusion, which is by evidence.
        originals: int64 (queries,), the position of each query's original.
    """

    collection: str
    rankings: Mapping[Pair, Ranks]
    fused: Ranks
    originals: NDArray[np.int64]

    def quality(self, ranks: Ranks) -> Quality:
        return quality(ranks, self.originals)

    def singles(self) -> dict[Pair, Quality]:
        return {pair: self.quality(ranks) for pair, ranks in self.rankings.items()}


def measure(paths: Sequence[Path], model: EmbedderSource, kinds: Mapping[str, str] | None = None) -> Found:
    """Return how well the originals of copies of these photos are found, and photos of the same kind.

    kinds has the kind of a photo by its name, else folders tell.

    Raises:
        UsageError: no more than 10 of them can be read.
        WeightsError: the model's weights were not found.
    """
    photos = read_photos(paths, model)
    copies = make_copies(photos, _MOST_COPIED, model)
    windows = make_windows(photos, _MOST_WINDOWS, model)
    note = _note(photos)
    lines: list[Line] = []
    overall: list[dict[str, Quality]] = []
    choices: list[Grid] = []
    for trial in (_trial(photos, copies), _trial(photos, copies, windows)):
        singles, together = trial.singles(), trial.quality(trial.fused)
        lines += _lines(trial.collection, together, singles, note)
        overall.append(
            {_name(pair): found for pair, found in singles.items()}
            | {_BY_RANKS: trial.quality(FUSION.ranks(trial.rankings)), "fusion": together}
        )
        choices.append(_choice(trial))
        if trial.collection == _ALONE:
            by_alteration = _by_alteration(trial, singles)
    return Found(
        lines=tuple(lines),
        grids=(_overall(overall, note), by_alteration, *_same_kind(photos, kinds or {}), *choices),
        data=_data(photos, copies, windows),
    )


def _trial(photos: Photos, copies: Copies, windows: Copies | None = None) -> _Trial:
    searched = photos.features if windows is None else photos.features + windows.features
    rankings, fused = {}, {}
    for feature, metrics in METRICS.items():
        for metric in metrics:
            found = distances(copies.features[feature], searched[feature], metric)
            if windows is not None:
                # A window of the original is as good an answer; it comes last instead.
                own = windows.originals == copies.originals[:, None]
                found[:, len(photos.contents) :][own] = np.inf
            rankings[feature, metric] = ranks_of(found)
            if (feature, metric) in FUSED:
                fused[feature, metric] = found
    return _Trial(
        _ALONE if windows is None else _AMONG_WINDOWS, rankings, evidence_ranks(fused), copies.originals
    )


def _name(pair: Pair) -> str:
    return f"{pair[0]} {pair[1]}"


def _best(feature: Feature, singles: Mapping[Pair, Quality]) -> Metric:
    """Return the metric of the highest mean average precision; of equals the default one."""
    return max(METRICS[feature], key=lambda metric: singles[feature, metric].mean_average_precision)


def _shares(found: Quality) -> tuple[float, float, float]:
    return found.recall_at_1, found.recall_at_10, found.mean_average_precision


def _lines(collection: str, together: Quality, singles: Mapping[Pair, Quality], note: str) -> Iterator[Line]:
    """Yield the fusion beside whichever feature and metric is best at each measure."""
    for place, measure_name in enumerate(_MEASURES):
        pair, best = max(singles.items(), key=lambda item: _shares(item[1])[place])
        ours, theirs = Value(_shares(together)[place]), Value(_shares(best)[place])
        yield Line(
            Section.QUALITY,
            f"{measure_name} of originals by the fusion, {collection}",
            "share",
            ours,
            _name(pair),
            theirs,
            ratio_at_least(1, ours, theirs),
            note,
        )


def _overall(found: Sequence[Mapping[str, Quality]], note: str) -> Grid:
    alone, among_windows = found
    return Grid(
        Section.QUALITY,
        f"originals of all altered copies, {_ALONE}, and {_AMONG_WINDOWS}",
        ("feature and metric", *_MEASURES, *(f"{name}, windows" for name in _MEASURES)),
        tuple(GridRow(name, _shares(alone[name]) + _shares(among_windows[name])) for name in alone),
        "; ".join(part for part in (FUSION.name, note) if part),
    )


def _by_alteration(trial: _Trial, singles: Mapping[Pair, Quality]) -> Grid:
    pairs = [(feature, _best(feature, singles)) for feature in Feature]
    columns = [*(trial.rankings[pair] for pair in pairs), FUSION.ranks(trial.rankings), trial.fused]
    rows = []
    for number, alteration in enumerate(ALTERATIONS):
        # The copies of each photo come in the order of the alterations.
        chosen = slice(number, None, len(ALTERATIONS))
        shares = [quality(ranks[chosen], trial.originals[chosen]).recall_at_1 for ranks in columns]
        rows.append(GridRow(alteration.name, tuple(shares)))
    return Grid(
        Section.QUALITY,
        f"recall@1 by kind of alteration, {trial.collection}, each feature by its best metric",
        ("alteration", *map(_name, pairs), _BY_RANKS, "fusion"),
        tuple(rows),
    )


def _same_kind(photos: Photos, named: Mapping[str, str]) -> Iterator[Grid]:
    """Yield how many of the photos nearest to a photo are of its kind, if kinds are known."""
    kinds = kinds_of(photos.paths, named)
    queries = asked(kinds)
    if len(queries) <= 1:
        return
    found = {
        (feature, metric): distances(photos.features[feature], photos.features[feature], metric)
        for feature, metrics in METRICS.items()
        for metric in metrics
    }
    rankings = {pair: ranks_of(those) for pair, those in found.items()}
    contenders = {_name(pair): ranks for pair, ranks in rankings.items()}
    contenders |= {_BY_RANKS: FUSION.ranks(rankings), "fusion": evidence_ranks(found)}
    halves = (queries, queries[::2], queries[1::2])
    yield Grid(
        Section.QUALITY,
        f"photos of the same kind among the {NEAREST} nearest: {len(queries)} photos of "
        f"{len({kinds[query] for query in queries})} kinds, every other of them, and the rest",
        ("feature and metric", f"precision@{NEAREST}", "every other", "the rest"),
        tuple(
            GridRow(name, tuple(precision(ranks, kinds, half) for half in halves))
            for name, ranks in contenders.items()
        ),
    )


def _choice(trial: _Trial) -> Grid:
    """Return what fusions find of every other photo's copies, by which they were chosen, and of the rest."""
    # Photos by turns, whichever of them were copied.
    turn = np.searchsorted(np.unique(trial.originals), trial.originals) % 2
    best = Feature.EMBEDDING, _best(Feature.EMBEDDING, trial.singles())
    contenders = {_name(best): trial.rankings[best]}
    contenders["fusion by evidence"] = trial.fused
    contenders |= {candidate.name: candidate.ranks(trial.rankings) for candidate in _CANDIDATES}
    rows = [
        GridRow(
            name,
            _shares(quality(ranks[turn == 0], trial.originals[turn == 0]))
            + _shares(quality(ranks[turn == 1], trial.originals[turn == 1])),
        )
        for name, ranks in contenders.items()
    ]
    return Grid(
        Section.QUALITY,
        f"choice of the weights ({':'.join(Feature)}), {trial.collection}: "
        "copies of every other photo, by which they were chosen, and of the rest",
        ("", *_MEASURES, *(f"{name}, rest" for name in _MEASURES)),
        tuple(rows),
    )


def _note(photos: Photos) -> str:
    number = len(photos.contents)
    if number >= _ENOUGH:
        return ""
    return f"{number} photos are few: a single copy moves a figure; --photos names more"


def _data(photos: Photos, copies: Copies, windows: Copies) -> str:
    copied, number = len(np.unique(copies.originals)), len(photos.contents)
    left_out = (
        (photos.unreadable, "that cannot be decoded"),
        (photos.repeated, "with the same bytes as another"),
    )
    return (
        f"{len(copies.originals):,} altered copies of {copied} photos, searched for among {number} photos, "
        f"and among these and {len(windows.originals):,} windows of them, a photo's own left out"
        + "".join(f"; {count} {why} left out" for count, why in left_out if count)
    )
