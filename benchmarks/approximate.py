"""Approximate search by embedding and cosine: time, recall, and answers that come up short."""

import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from benchmarks.feature_rows import Vectors
from benchmarks.measure import Timings, recall, side_by_side, summary
from benchmarks.results import Line, Section, Value, at_least, at_most
from benchmarks.rivals.plain_pgvector import PlainPgvector
from benchmarks.workload import INDEXED, K, Workload
from imrec_pg.catalogue.tuning import tune
from imrec_pg.db.connection import Connection
from imrec_pg.records import Certainty, Feature, Features
from imrec_pg.search.ranking import recommend

_QUERIES = 200
_MANY = 100
_TUNED_ON = 300
_WHAT = "approximate embedding cosine"
_FAISS_M, _FAISS_EF_SEARCH = 32, 64
_RIVALS = {
    "pgvector": "pgvector, plain table, default HNSW",
    "faiss": f"FAISS HNSW (m {_FAISS_M}, efSearch {_FAISS_EF_SEARCH})",
}
_MOST_SECONDS = 0.003
_LEAST_RECALL = 0.99


@dataclass(frozen=True, slots=True)
class _Answer:
    """What was found.

    Attributes:
        found: image ids of ours, row numbers of the rivals.
        server_seconds: of ours, until the server had answered, round trips included.
        exact: of ours, whether the index was passed over.
    """

    found: Sequence[Hashable]
    server_seconds: float = 0.0
    exact: bool = False


class _TimedCursor(psycopg.Cursor[Any]):
    """Adds up how long the server took to answer."""

    seconds = 0.0

    def execute(self, *args: Any, **kwargs: Any) -> "_TimedCursor":  # noqa: ANN401 - as psycopg's
        started = time.perf_counter()
        super().execute(*args, **kwargs)
        _TimedCursor.seconds += time.perf_counter() - started
        return self


def approximate_lines(workload: Workload, conn: Connection, plain: PlainPgvector | None) -> Iterator[Line]:
    """Yield p50, p99, recall@10 and the fewest rows; plain holds the embeddings, with its index."""
    rows = np.asarray(workload.dataset.column(Feature.EMBEDDING), dtype=np.float32)
    queries = workload.dataset.queries.vectors(Feature.EMBEDDING)[:_QUERIES]
    rivals: dict[str, Callable[[Vectors, int], Sequence[int]]] = {}
    if plain is not None:
        rivals["pgvector"] = lambda query, k: plain.nearest(query, "cosine", k)[0]
    if not workload.without & {"faiss", "faiss-hnsw"}:
        from benchmarks.rivals import faiss_indexes

        hnsw = faiss_indexes.Hnsw(rows, _FAISS_M, _FAISS_EF_SEARCH)
        rivals["faiss"] = lambda query, k: hnsw.nearest(query, k)[0]

    def contenders(k: int) -> Mapping[str, Callable[[int], _Answer]]:
        def ours(number: int) -> _Answer:
            return _recommend(conn, queries[number % len(queries)], k)

        def by(search: Callable[[Vectors, int], Sequence[int]]) -> Callable[[int], _Answer]:
            return lambda number: _Answer(search(queries[number % len(queries)], k))

        return {"ours": ours} | {name: by(search) for name, search in rivals.items()}

    # So few rows are all compared by default.
    conn.execute("SELECT set_config('imrec.min_index_rows', '5000', false)")
    tuned = tune(conn, *INDEXED, k=K, wanted=_LEAST_RECALL, queries=_TUNED_ON)
    conn.cursor_factory = _TimedCursor
    effort = replace(workload.effort, rounds=2 * len(queries), least=len(queries))
    timings = side_by_side(contenders(K), effort, title=_WHAT, warm_up=len(queries))
    many = {name: [search(number) for number in range(20)] for name, search in contenders(_MANY).items()}
    conn.cursor_factory = psycopg.Cursor
    conn.execute("SELECT set_config('imrec.min_index_rows', '', false)")
    yield from _time_lines(timings, tuned.ef_search)
    yield from _recall_lines(workload, timings, _truth(rows, queries))
    for k, answers in ((K, {name: t.answers for name, t in timings.items()}), (_MANY, many)):
        yield from _short_lines(
            {n: min(len(a.found) for a in found) for n, found in answers.items()}, k, rows
        )


def _recommend(conn: Connection, query: Vectors, k: int) -> _Answer:
    before = _TimedCursor.seconds
    neighbours, certainty = recommend(conn, [Features(embedding=query)], *INDEXED, k=k)
    return _Answer(
        [neighbour.image_id for neighbour in neighbours],
        _TimedCursor.seconds - before,
        certainty is Certainty.EXACT,
    )


def _truth(rows: Vectors, queries: Vectors) -> list[NDArray[np.int64]]:
    """Return the numbers of the K nearest rows of each query, by NumPy."""
    lengths = np.linalg.norm(rows, axis=1)
    found: list[NDArray[np.int64]] = []
    for query in queries:
        similarity = rows @ query / lengths
        found.append(np.argsort(-similarity)[:K])
    return found


def _time_lines(timings: Mapping[str, Timings[_Answer]], ef_search: int) -> Iterator[Line]:
    ours = timings["ours"]
    in_database = summary([answer.server_seconds for answer in ours.answers])
    exact = sum(answer.exact for answer in ours.answers)
    note = f"ef_search {ef_search}, by imrec-pg tune"
    if exact:
        note = f"{exact} of {len(ours.answers)} answers were exact: the table is small"
    yield Line(
        Section.SEARCH,
        f"{_WHAT}, k = {K}, in the database",
        "s",
        in_database,
        goal=at_most(_MOST_SECONDS, in_database.number, "3 ms"),
        note=note,
    )
    for name, rival in _RIVALS.items():
        if name in timings:
            theirs = timings[name].value
            yield Line(Section.SEARCH, f"{_WHAT}, k = {K}, the whole call", "s", ours.value, rival, theirs)


def _recall_lines(
    workload: Workload, timings: Mapping[str, Timings[_Answer]], truth: Sequence[NDArray[np.int64]]
) -> Iterator[Line]:
    by_name = {}
    for name, timing in timings.items():
        answers = timing.answers[: len(truth)]
        expected: list[Sequence[Hashable]] = [
            workload.dataset.ids_of(numbers.tolist()) if name == "ours" else numbers.tolist()
            for numbers in truth
        ]
        by_name[name] = Value(recall([a.found for a in answers], expected), count=len(answers))
    ours = by_name["ours"]
    goal = at_least(_LEAST_RECALL, ours.number, "99 %")
    what = f"{_WHAT}, recall@{K} against NumPy"
    yield Line(Section.SEARCH, what, "share", ours, goal=goal)
    for name, rival in _RIVALS.items():
        if name in by_name:
            yield Line(Section.SEARCH, what, "share", ours, rival, by_name[name])


def _short_lines(fewest: Mapping[str, int], k: int, rows: Vectors) -> Iterator[Line]:
    wanted = min(k, len(rows))
    what, ours = f"{_WHAT}, fewest rows for k = {k}", Value(fewest["ours"])
    goal = at_least(wanted, fewest["ours"], str(wanted))
    yield Line(Section.SEARCH, what, "", ours, goal=goal)
    for name, rival in _RIVALS.items():
        if name in fewest:
            yield Line(Section.SEARCH, what, "", ours, rival, Value(fewest[name]))
