"""Exact search by Hamming distance: ours beside the scan in the same table, the seed's compare and FAISS."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pgvector import Bit
from psycopg.sql import SQL, Composed, Identifier

from benchmarks.feature_rows import Hashes
from benchmarks.measure import Timings, side_by_side
from benchmarks.results import Line, Section, Value, at_least, ratio_at_most
from benchmarks.rivals import seed_compare
from benchmarks.workload import PAUSE, K, Workload
from imrec_pg.db.connection import Connection, vector_schema
from imrec_pg.records import Feature, Features, Metric
from imrec_pg.search.ranking import recommend

_RIVALS = {
    "scan": "ORDER BY … <~> … in the same table",
    "seed": "NumPy, the seed's compare",
    "faiss": "FAISS binary flat",
}
_RADIUS = 7
_MOST_OF_SCAN = 1.2
_MOST_WITHIN = 0.1
_FLIPPED_BITS = 2

Search = Callable[[int], Sequence[float]]
"""Returns the distances to the query of a round, nearest first."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """Queries of one kind.

    Attributes:
        hashes: uint8 (n, 8).
        within: whether to measure the search within a radius as well.
    """

    name: str
    k: int
    hashes: Hashes
    within: bool


def hamming_lines(workload: Workload, conn: Connection) -> Iterator[Line]:
    """Yield lines for each hash, with near neighbours and without, and for all rows within a radius."""
    equal: list[bool] = []
    for feature in (feature for feature in Feature if feature.is_hash):
        rows = np.asarray(workload.dataset.column(feature), dtype=np.uint8)
        for kind in _kinds(workload.dataset.queries.hashes(feature), rows):
            what = f"{feature} hamming, k = {kind.k}, {kind.name}"
            contenders = _nearest(workload, conn, feature, rows, kind)
            rounds = workload.effort.rounds
            timings = side_by_side(contenders, workload.effort, title=what, pause=PAUSE, warm_up=rounds)
            last = np.median([answer[-1] for answer in timings["scan"].answers])
            yield from _lines(what, timings, _MOST_OF_SCAN, f"the last of them at {last:g} bits (median)")
            equal += _agreement(timings)
            if kind.within:
                what = f"{feature} hamming, all within {_RADIUS} bits, {kind.name}"
                within = _within(conn, feature, kind.hashes)
                timings = side_by_side(within, workload.effort, title=what, pause=PAUSE, warm_up=rounds)
                found = np.median([len(answer) for answer in timings["scan"].answers])
                yield from _lines(what, timings, _MOST_WITHIN, f"{found:g} rows (median)")
                equal += _agreement(timings)
    share = sum(equal) / len(equal)
    yield Line(
        Section.HAMMING,
        "answers whose distances are the scan's",
        "share",
        Value(share, count=len(equal)),
        goal=at_least(1, share, "100 %"),
    )


def _kinds(held_out: Hashes, rows: Hashes) -> list[_Kind]:
    rng = np.random.default_rng(1)
    number = len(held_out)
    stored = rows[rng.integers(0, len(rows), number)]
    noise = rng.integers(0, 256, size=(number, 8), dtype=np.uint8)
    return [
        _Kind(f"a stored one with {_FLIPPED_BITS} bits flipped", 1, _flipped(stored, rng), within=False),
        _Kind("in dense places", K, _flipped(_densest(rows, rng), rng), within=True),
        _Kind("held out", K, held_out, within=True),
        _Kind("nothing near (random bits)", K, noise, within=False),
    ]


def _flipped(hashes: Hashes, rng: np.random.Generator) -> Hashes:
    bits = np.unpackbits(hashes, axis=1)
    for row in bits:
        row[rng.choice(64, _FLIPPED_BITS, replace=False)] ^= 1
    return np.packbits(bits, axis=1)


def _densest(rows: Hashes, rng: np.random.Generator) -> Hashes:
    """Return the quarter of 200 stored hashes whose Kth neighbours are nearest."""
    sample = rows[rng.integers(0, len(rows), 200)]
    bits = seed_compare.unpacked(rows)
    last = [
        seed_compare.nearest(seed_compare.hamming(bits, query), K)[1][-1]
        for query in seed_compare.unpacked(sample)
    ]
    return sample[np.argsort(last, kind="stable")[:50]]


def _nearest(
    workload: Workload, conn: Connection, feature: Feature, rows: Hashes, kind: _Kind
) -> dict[str, Search]:
    def query(number: int) -> Hashes:
        return np.asarray(kind.hashes[number % len(kind.hashes)])

    def ours(number: int) -> Sequence[float]:
        likes = [Features.of(feature, query(number).tobytes())]
        neighbours, _ = recommend(conn, likes, feature, Metric.HAMMING, k=kind.k)
        return [neighbour.distance for neighbour in neighbours]

    scan = SQL(
        "SELECT image_id, {feature} {distance} %(query)s AS distance FROM imrec.{feature} "
        "ORDER BY {feature} {distance} %(query)s LIMIT {k}"
    ).format(distance=_operator(conn), feature=Identifier(feature), k=kind.k)
    found: dict[str, Search] = {
        "ours": ours,
        "scan": lambda number: _distances(conn, scan, query(number)),
    }
    if "seed" not in workload.without:
        bits = seed_compare.unpacked(rows)
        found["seed"] = lambda number: seed_compare.nearest(
            seed_compare.hamming(bits, seed_compare.unpacked(query(number)[None])[0]), kind.k
        )[1]
    if "faiss" not in workload.without:
        from benchmarks.rivals import faiss_indexes

        flat = faiss_indexes.BinaryFlat(rows)
        found["faiss"] = lambda number: flat.nearest(query(number), kind.k)[1]
    return found


def _within(conn: Connection, feature: Feature, queries: Hashes) -> dict[str, Search]:
    ours = SQL("SELECT distance FROM imrec.hamming_within(%(query)s, {radius}, {feature}) AS w").format(
        feature=str(feature), radius=_RADIUS
    )
    scan = SQL(
        "SELECT {feature} {distance} %(query)s AS distance FROM imrec.{feature} "
        "WHERE {feature} {distance} %(query)s <= {radius}"
    ).format(distance=_operator(conn), feature=Identifier(feature), radius=_RADIUS)

    def by(statement: Composed) -> Search:
        return lambda number: sorted(_distances(conn, statement, queries[number % len(queries)]))

    return {"ours": by(ours), "scan": by(scan)}


def _operator(conn: Connection) -> Composed:
    # The path of our connections is pinned to pg_catalog.
    return SQL("OPERATOR({}.<~>)").format(SQL(vector_schema(conn)))


def _distances(conn: Connection, statement: Composed, query: Hashes) -> list[float]:
    """Return the last column."""
    rows = conn.execute(statement, {"query": Bit(query.tobytes())}).fetchall()
    return [float(str(row[-1])) for row in rows]


def _lines(
    what: str, timings: dict[str, Timings[Sequence[float]]], limit: float, note: str
) -> Iterator[Line]:
    ours = timings["ours"].value
    for name, rival in _RIVALS.items():
        if name in timings:
            theirs = timings[name].value
            goal = ratio_at_most(limit, ours, theirs) if name == "scan" else None
            yield Line(Section.HAMMING, what, "s", ours, rival, theirs, goal, note)


def _agreement(timings: dict[str, Timings[Sequence[float]]]) -> list[bool]:
    return [
        list(ours) == list(scan)
        for ours, scan in zip(timings["ours"].answers, timings["scan"].answers, strict=True)
    ]
