"""Exact search: ours beside the seed's compare step, FAISS and a plain pgvector table."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import numpy as np

from benchmarks.feature_rows import METRICS, Vectors, as_value
from benchmarks.measure import Timings, side_by_side
from benchmarks.results import Line, Section, Value, at_least, ratio_at_most
from benchmarks.rivals import numpy_prepared, seed_compare
from benchmarks.rivals.plain_pgvector import PlainPgvector
from benchmarks.workload import PAUSE, K, Workload
from imrec_pg.db.connection import Connection
from imrec_pg.records import Feature, Features, Metric
from imrec_pg.search.ranking import recommend

_RIVALS = {
    "seed": "NumPy, the seed's compare",
    "numpy": "NumPy, norms prepared",
    "pgvector": "pgvector, plain table",
    "faiss": "FAISS flat",
}
_GOALS = {"seed": 0.5, "numpy": 1.5, "pgvector": 0.3}

Search = Callable[[int], Sequence[float]]
"""Returns the distances to the query of a round, nearest first."""


def exact_lines(workload: Workload, conn: Connection, plain: PlainPgvector | None) -> Iterator[Line]:
    """Yield lines for each vector feature and metric; plain holds the embeddings.

    The last line says whether our distances were those that NumPy found.
    """
    equal: list[bool] = []
    for feature in (Feature.EMBEDDING, Feature.HISTOGRAM):
        rows = np.asarray(workload.dataset.column(feature), dtype=np.float32)
        queries = workload.dataset.queries.vectors(feature)
        with ExitStack() as stack:
            table = plain if feature is Feature.EMBEDDING else _table(workload, rows, stack)
            for metric in METRICS[feature]:
                contenders = _contenders(workload, conn, (feature, metric), rows, queries, table)
                title = f"exact {feature} {metric}"
                timings = side_by_side(contenders, workload.effort, title=title, pause=PAUSE)
                yield from _lines(f"exact {feature} {metric}, k = {K}", timings)
                equal += _agreement(timings)
    if equal:
        share = sum(equal) / len(equal)
        yield Line(
            Section.SEARCH,
            "exact answers whose distances are NumPy's",
            "share",
            Value(share, count=len(equal)),
            goal=at_least(1, share, "100 %"),
        )


def _table(workload: Workload, rows: Vectors, stack: ExitStack) -> PlainPgvector | None:
    if "pgvector" in workload.without:
        return None
    table = PlainPgvector(workload.scratch.database("plain_histograms"), "items")
    stack.callback(table.close)
    table.load([rows])
    return table


def _contenders(
    workload: Workload,
    conn: Connection,
    pair: tuple[Feature, Metric],
    rows: Vectors,
    queries: Vectors,
    table: PlainPgvector | None,
) -> dict[str, Search]:
    feature, metric = pair

    def query(number: int) -> Vectors:
        return np.asarray(queries[number % len(queries)])

    def ours(number: int) -> Sequence[float]:
        likes = [Features.of(feature, as_value(query(number)))]
        neighbours, _ = recommend(conn, likes, feature, metric, k=K, exact=True)
        return [neighbour.distance for neighbour in neighbours]

    found: dict[str, Search] = {"ours": ours}
    if "seed" not in workload.without:
        compare = seed_compare.DISTANCES[metric]
        found["seed"] = lambda number: seed_compare.nearest(compare(rows, query(number)), K)[1]
    if metric in numpy_prepared.METRICS:
        prepared = numpy_prepared.Prepared(rows, metric)
        found["numpy"] = lambda number: seed_compare.nearest(prepared.distances(query(number)), K)[1]
    if table is not None:
        found["pgvector"] = lambda number: table.nearest(query(number), metric, K)[1]
    if "faiss" not in workload.without:
        from benchmarks.rivals import faiss_indexes

        flat = faiss_indexes.Flat(rows, metric)
        found["faiss"] = lambda number: flat.nearest(query(number), K)[1]
    return found


def _lines(what: str, timings: dict[str, Timings[Sequence[float]]]) -> Iterator[Line]:
    ours = timings["ours"].value
    rivals = [name for name in _RIVALS if name in timings]
    for name in rivals:
        theirs = timings[name].value
        goal = ratio_at_most(_GOALS[name], ours, theirs) if name in _GOALS else None
        yield Line(Section.SEARCH, what, "s", ours, _RIVALS[name], theirs, goal)
    if not rivals:
        yield Line(Section.SEARCH, what, "s", ours)


def _agreement(timings: dict[str, Timings[Sequence[float]]]) -> list[bool]:
    if "seed" not in timings:
        return []
    pairs = zip(timings["ours"].answers, timings["seed"].answers, strict=True)
    # float32 sums of 512 values differ in the last digits by their order.
    return [
        np.shape(ours) == np.shape(theirs)
        and np.allclose(np.array(ours, dtype=float), np.array(theirs, dtype=float), rtol=1e-3, atol=1e-4)
        for ours, theirs in pairs
    ]
