"""How near our stored features are to the seed's, which come from the full resolution in float32."""

import os
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.results import Line, Section, Value, at_least, at_most
from imrec_pg.db.connection import Connection

_COSINE_MEDIAN, _COSINE_FIRST = 0.999, 0.99
_MOST_HISTOGRAM = 0.02
_MOST_BITS, _LEAST_WITHIN = 2, 0.99
_STORED = """
SELECT p.path, p.embedding, p.histogram, p.average_hash, p.difference_hash
FROM imrec.photo AS p WHERE p.path = ANY(%s)
"""


def fidelity_lines(conn: Connection, pickles: Sequence[Path], what: str) -> Iterator[Line]:
    """Yield lines on the photos of the seed's pickles, which must be stored; what names them."""
    theirs = {os.fspath(row["path"]): row for file in pickles for row in _read(file)}
    ours = conn.execute(_STORED, (list(theirs),)).fetchall()
    assert len(ours) == len(theirs), f"{len(theirs)} photos extracted, {len(ours)} of them stored"
    pairs = [(row, theirs[str(row[0])]) for row in ours]
    cosine = [similarity(_floats(row[1]), seed["embedding"]) for row, seed in pairs]
    yield from _cosine_lines(cosine, what)
    yield _histogram_line([l1(_floats(row[2]), seed["histogram"]) for row, seed in pairs], what)
    for column, name in ((3, "average_hash"), (4, "difference_hash")):
        bits = [differing_bits(str(row[column]), seed[name]) for row, seed in pairs]
        yield _hash_line(bits, f"{what}: {name}")


def similarity(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return the cosine of the angle between two vectors, -1 to 1."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    return float(x @ y / (np.linalg.norm(x) * np.linalg.norm(y)))


def l1(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return the sum of absolute differences; of two histograms 0 to 2."""
    return float(np.abs(a.astype(np.float64) - b).sum())


def differing_bits(stored: str, bits: NDArray[np.bool_]) -> int:
    """Return the Hamming distance of a bit(64), as text, and 64 bools."""
    return int(np.count_nonzero(np.array([digit == "1" for digit in stored]) != bits.reshape(-1)))


def _cosine_lines(cosine: Sequence[float], what: str) -> Iterator[Line]:
    median, first = (float(value) for value in np.percentile(cosine, [50, 1]))
    for value, limit, name in ((median, _COSINE_MEDIAN, "median"), (first, _COSINE_FIRST, "1st percentile")):
        yield Line(
            Section.INGEST,
            f"{what}: embedding against the seed's, cosine similarity, {name}",
            "",
            Value(value, count=len(cosine)),
            goal=at_least(limit, value, f"{limit:g}"),
        )


def _histogram_line(differences: Sequence[float], what: str) -> Line:
    median = float(np.median(differences))
    return Line(
        Section.INGEST,
        f"{what}: histogram against the seed's, L1, median",
        "",
        Value(median, count=len(differences)),
        goal=at_most(_MOST_HISTOGRAM, median, f"{_MOST_HISTOGRAM:g}"),
    )


def _hash_line(bits: Sequence[int], what: str) -> Line:
    within = sum(number <= _MOST_BITS for number in bits) / len(bits)
    return Line(
        Section.INGEST,
        f"{what} within {_MOST_BITS} bits of the seed's",
        "share",
        Value(within, count=len(bits)),
        goal=at_least(_LEAST_WITHIN, within, "99 %"),
        note=f"at most {max(bits)} bits",
    )


def _read(file: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pickle.loads(file.read_bytes())  # noqa: S301 - written by our own program
    return rows


def _floats(value: object) -> NDArray[np.float32]:
    array: NDArray[np.float32] = value.to_numpy()  # type: ignore[attr-defined]
    return array
