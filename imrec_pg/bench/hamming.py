"""Exact search by Hamming distance: ours beside the scan in the same table, the seed's compare and FAISS."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from pgvector import Bit
from psycopg.sql import SQL, Composed, Identifier

from imrec_pg.bench.ground import COLUMNS, PAUSE, Ground, K
from imrec_pg.bench.measure import Timings, side_by_side
from imrec_pg.bench.results import Line, Section, Value, at_least, ratio_at_most
from imrec_pg.bench.rivals import faiss_indexes, seed_compare
from imrec_pg.records import Feature, Metric
from imrec_pg.store.connection import Connection
from imrec_pg.store.search import rank

_RIVALS = {
    "scan": "ORDER BY … <~> … in the same table",
    "seed": "NumPy, the seed's compare",
    "faiss": "FAISS binary flat",
}
_RADIUS = 7
_MOST_OF_SCAN = 1.2
_MOST_WITHIN = 0.1
_FLIPPED_BITS = 2

Hashes = NDArray[np.uint8]
Search = Callable[[int], Sequence[float]]
"""Returns the distances to the query of a round, nearest first."""


def hamming_lines(ground: Ground, conn: Connection) -> Iterator[Line]:
    """Yield lines for both hashes, with near neighbours and without, and for all rows within a radius."""
    equal: list[bool] = []
    for feature in (Feature.AVERAGE_HASH, Feature.DIFFERENCE_HASH):
        rows = np.asarray(ground.dataset.column(COLUMNS[feature]), dtype=np.uint8)
        for kind, queries in _queries(ground, feature, rows).items():
            timings = side_by_side(
                _nearest(ground, conn, feature, rows, queries),
                ground.effort,
                title=f"{feature} hamming, {kind}",
                pause=PAUSE,
            )
            tenth = np.median([answer[-1] for answer in timings["scan"].answers])
            note = f"the {K}th neighbour at {tenth:g} bits"
            yield from _lines(f"{feature} hamming, k = {K}, {kind}", timings, _MOST_OF_SCAN, note)
            equal += _agreement(timings)
            if _has_within(conn):
                timings = side_by_side(
                    _within(conn, feature, queries),
                    ground.effort,
                    title=f"{feature} hamming within {_RADIUS}, {kind}",
                )
                found = np.median([len(answer) for answer in timings["scan"].answers])
                what = f"{feature} hamming, all within {_RADIUS} bits, {kind}"
                yield from _lines(what, timings, _MOST_WITHIN, f"{found:g} rows")
                equal += _agreement(timings)
    share = sum(equal) / len(equal)
    yield Line(
        Section.HAMMING,
        "answers whose distances are the scan's",
        "share",
        Value(share, count=len(equal)),
        goal=at_least(1, share, "100 %"),
    )


def _queries(ground: Ground, feature: Feature, rows: Hashes) -> dict[str, Hashes]:
    rng = np.random.default_rng(1)
    held_out = np.asarray(ground.queries(feature), dtype=np.uint8)
    number = len(held_out)
    copies = np.unpackbits(rows[rng.integers(0, len(rows), number)], axis=1)
    for bits in copies:
        bits[rng.choice(64, _FLIPPED_BITS, replace=False)] ^= 1
    return {
        f"a stored one with {_FLIPPED_BITS} bits flipped": np.packbits(copies, axis=1),
        "held out": held_out,
        "nothing near (random bits)": rng.integers(0, 256, size=(number, 8), dtype=np.uint8),
    }


def _nearest(
    ground: Ground, conn: Connection, feature: Feature, rows: Hashes, queries: Hashes
) -> dict[str, Search]:
    def query(number: int) -> Hashes:
        return np.asarray(queries[number % len(queries)])

    def ours(number: int) -> Sequence[float]:
        ranking = rank(conn, [query(number).tobytes()], feature, Metric.HAMMING, K)
        return [neighbour.distance for neighbour in ranking.neighbours]

    column = Identifier(COLUMNS[feature])
    scan = SQL(
        "SELECT image_id, {column} <~> %(query)s AS distance FROM imrec.hash "
        "ORDER BY {column} <~> %(query)s LIMIT {k}"
    ).format(column=column, k=K)
    found: dict[str, Search] = {
        "ours": ours,
        "scan": lambda number: _distances(conn, scan, query(number)),
    }
    if "seed" not in ground.without:
        bits = seed_compare.unpacked(rows)
        found["seed"] = lambda number: seed_compare.nearest(
            seed_compare.hamming(bits, seed_compare.unpacked(query(number)[None])[0]), K
        )[1]
    if "faiss" not in ground.without:
        flat = faiss_indexes.BinaryFlat(rows)
        found["faiss"] = lambda number: flat.nearest(query(number), K)[1]
    return found


def _within(conn: Connection, feature: Feature, queries: Hashes) -> dict[str, Search]:
    column = Identifier(COLUMNS[feature])
    ours = SQL("SELECT distance FROM imrec.hamming_within({feature}, %(query)s, {radius}) AS w").format(
        feature=str(feature), radius=_RADIUS
    )
    scan = SQL(
        "SELECT {column} <~> %(query)s AS distance FROM imrec.hash WHERE {column} <~> %(query)s <= {radius}"
    ).format(column=column, radius=_RADIUS)

    def by(statement: Composed) -> Search:
        return lambda number: sorted(_distances(conn, statement, queries[number % len(queries)]))

    return {"ours": by(ours), "scan": by(scan)}


def _has_within(conn: Connection) -> bool:
    row = conn.execute("SELECT to_regproc('imrec.hamming_within') IS NOT NULL").fetchone()
    return bool(row and row[0])


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
