"""Clusters and maps: ours beside scikit-learn's KMeans and plain umap-learn, which hold all rows in memory."""

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.processes import Sampler
from benchmarks.programs import Program
from benchmarks.results import Line, Section, Value, at_most, ratio_at_least, ratio_at_most
from benchmarks.workload import Workload
from imrec_pg.analysis import stored
from imrec_pg.analysis.cells import nearest, unit
from imrec_pg.analysis.placing import Placer
from imrec_pg.analysis.quality import AMONG, agreement, fidelity
from imrec_pg.db.session import open_session
from imrec_pg.records import Feature
from imrec_pg.settings import Settings

K = 50
_KMEANS, _UMAP = "scikit-learn's KMeans(n_init=10)", "umap-learn, the same seed"
_PLACED = 200
_BATCH = 256
_LIMIT_S = 0.005


@dataclass(frozen=True, slots=True)
class _Done:
    seconds: float
    memory: int


def map_lines(workload: Workload, settings: Settings) -> Iterator[Line]:
    """Yield lines on clusters and a map of the rows that are in the library of these settings."""
    assert settings.dsn is not None
    folder = workload.scratch.folder
    vectors = unit(np.asarray(workload.dataset.column(Feature.EMBEDDING), np.float32))
    rows, k = folder / "unit.npy", str(min(K, len(vectors) // 4))
    np.save(rows, vectors)
    ours = _run("benchmarks.map_program", ("clusters", settings.dsn, k))
    theirs = _run("benchmarks.rivals.plain_umap", ("kmeans", str(rows), str(folder / "kmeans.npz"), k))
    kmeans = _loaded(folder / "kmeans.npz")
    yield from _pair(f"{k} clusters", ours, _KMEANS, theirs)
    yield _inertia(vectors, settings, kmeans["centres"])
    ours = _run("benchmarks.map_program", ("map", settings.dsn, k))
    theirs = _run("benchmarks.rivals.plain_umap", ("umap", str(rows), str(folder / "umap.npz"), k))
    yield from _pair(
        "map of 3 dimensions", ours, _UMAP, theirs, "ours with its clusters, its measures and storing"
    )
    plain = _loaded(folder / "umap.npz")
    yield from _quality(vectors, settings, plain["points"], agreement(kmeans["labels"], plain["labels"]))
    yield from _placing(settings)


def _run(module: str, words: Sequence[str]) -> _Done:
    with Program(module) as program:
        program.answer()
        with Sampler(program.process, list) as sampler:
            answer = program.ask(*words)
        return _Done(float(answer["seconds"]), sampler.usage().peak)


def _pair(what: str, ours: _Done, rival: str, theirs: _Done, note: str = "") -> Iterator[Line]:
    mine, other = Value(ours.seconds), Value(theirs.seconds)
    yield Line(Section.MAP, what, "s", mine, rival, other, ratio_at_most(1, mine, other), note)
    yield Line(
        Section.MAP, f"{what}, memory at most", "bytes", Value(ours.memory), rival, Value(theirs.memory)
    )


def _inertia(vectors: NDArray[np.float32], settings: Settings, centres: NDArray[np.float32]) -> Line:
    with open_session(settings) as conn:
        mine = np.stack([one.centre for one in stored.clusters(conn, Feature.EMBEDDING).clusters])
    ours, theirs = (
        Value(float(np.square(nearest(vectors, one.astype(np.float32))[1], dtype=np.float64).mean()))
        for one in (mine, centres)
    )
    goal = ratio_at_most(1.02, ours, theirs)
    return Line(Section.MAP, "inertia an image", "", ours, _KMEANS, theirs, goal, "smaller is better")


def _quality(
    vectors: NDArray[np.float32], settings: Settings, points: NDArray[np.float32], agreed: float
) -> Iterator[Line]:
    with open_session(settings) as conn:
        (mine,) = stored.maps(conn)
    theirs = fidelity(vectors[:AMONG], points[:AMONG].astype(np.float32))
    assert theirs is not None
    for what, ours, other in (
        ("trustworthiness", mine.trustworthiness, theirs.trustworthiness),
        ("neighbour preservation", mine.neighbour_preservation, theirs.preservation),
        ("agreement of clusters", mine.agreement, agreed),
    ):
        assert ours is not None
        value, rival = Value(ours), Value(other)
        goal = ratio_at_least(0.99, value, rival) if what == "trustworthiness" else None
        yield Line(Section.MAP, what, "", value, _UMAP, rival, goal, "1 is best")


def _placing(settings: Settings) -> Iterator[Line]:
    with open_session(settings) as conn:
        ids = stored.map_points(conn, Feature.EMBEDDING).uuids()[: _PLACED + 4 * _BATCH]
        single = []
        for photo in ids[:_PLACED]:
            started = time.perf_counter()
            Placer().place(conn, {Feature.EMBEDDING: [photo]})
            single.append(time.perf_counter() - started)
        placer, batches = Placer(), []
        for start in range(_PLACED, len(ids), _BATCH):
            part = ids[start : start + _BATCH]
            started = time.perf_counter()
            placer.place(conn, {Feature.EMBEDDING: part})
            batches.append((time.perf_counter() - started) / len(part))
    p50 = statistics.median(single)
    yield Line(
        Section.MAP,
        "place one new photo",
        "s",
        Value(p50, count=len(single)),
        goal=at_most(_LIMIT_S, p50, "5 ms"),
        note="in both clusterings and on the map, nothing read before",
    )
    if batches:
        note = f"{_BATCH} at a time, as ingest does"
        yield Line(Section.MAP, "place a photo of a batch", "s", Value(statistics.median(batches)), note=note)


def _loaded(file: Path) -> dict[str, NDArray[Any]]:
    with np.load(file) as found:
        return dict(found)
