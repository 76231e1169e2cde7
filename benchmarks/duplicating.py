"""Duplicates: ours beside a BK-tree over one hash, czkawka's way, and comparing all pairs, imagededup's way."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self
from uuid import UUID

import numpy as np
import psutil
from numpy.typing import NDArray

from benchmarks.feature_rows import as_value
from benchmarks.results import Line, Section, Value, at_least, at_most, ratio_at_most
from benchmarks.rivals.one_hash import BkTree, Pairs, brute_force, by_the_rule
from benchmarks.workload import Workload
from imrec_pg.analysis import duplicates
from imrec_pg.db.connection import Connection
from imrec_pg.db.rows import all_rows, one_row, values
from imrec_pg.db.session import open_session
from imrec_pg.ingest.write import write_batch
from imrec_pg.paths import file_id
from imrec_pg.records import Feature, Features, FoundFile, ImageInfo, StoredImage
from imrec_pg.settings import Settings

PLANTED = 1_000
_BITS = 10
"""imagededup's own limit, and between czkawka's "medium" and "low"."""
_LOOKED_UP = 300
_BATCH = 256
_PROVED = 20_000
_HASHES = (Feature.DIFFERENCE_HASH, Feature.PERCEPTUAL_HASH)
_LIMIT = """
SELECT difference_bits, perceptual_bits, near_bits, other_bits, embedding
FROM imrec_internal.duplicate_limit WHERE strictness = 'normal'
"""
_PAIRS = "SELECT image_id, other_id FROM imrec.duplicate_pair"
_DETAILED = "SELECT image_id FROM imrec.difference_hash WHERE imrec_internal.detailed(difference_hash)"


@dataclass(frozen=True, slots=True)
class _Limit:
    difference_bits: int
    perceptual_bits: int
    near_bits: int
    other_bits: int
    embedding: float


@dataclass(frozen=True, slots=True)
class _Pair:
    image_id: UUID
    other_id: UUID


class _Memory:
    """Samples the memory of a server's process that it shares with no other: Linux counts the rest as shared."""

    def __init__(self, process: psutil.Process) -> None:
        self.peak = 0
        self._process = process
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bench-memory", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            now = self._process.memory_info()
            self.peak = max(self.peak, now.rss - getattr(now, "shared", 0))
            if self._ended.wait(0.1):
                return


def duplicate_lines(workload: Workload, settings: Settings) -> Iterator[Line]:
    """Yield lines on near copies among the rows of the library of these settings, to which some are added."""
    with open_session(settings) as conn:
        limit = one_row(conn, _Limit, _LIMIT)
        columns = {feature: workload.dataset.column(feature) for feature in Feature}
        planted = _plant(conn, workload, columns, limit)
        conn.execute("ANALYZE")
        with _Memory(psutil.Process(conn.info.backend_pid)) as memory:
            started = time.perf_counter()
            duplicates.find(conn, duplicates.Strictness.NORMAL, crops=False)
            seconds = time.perf_counter() - started
        yield from _beside(columns, Value(seconds), Value(memory.peak))
        found = {(one.image_id, one.other_id) for one in all_rows(conn, _Pair, _PAIRS)}
        detailed = set(values(conn, UUID, _DETAILED))
        due = [pair for pair in planted if detailed.issuperset(pair)]
        share = sum(pair in found for pair in due) / len(due)
        yield Line(
            Section.DUPLICATES,
            "planted copies found",
            "share",
            Value(share, count=len(due)),
            goal=at_least(1, share, "1"),
        )
        yield from _proof(workload, columns, limit, found, detailed)
        new = [one for _, one in planted[: 4 * _BATCH]] or [one for one, _ in planted]
        started = time.perf_counter()
        for start in range(0, len(new), _BATCH):
            duplicates.add(conn, new[start : start + _BATCH])
        each = (time.perf_counter() - started) / len(new)
        yield Line(
            Section.DUPLICATES,
            "look up a new photo",
            "s",
            Value(each, count=len(new)),
            goal=at_most(0.01, each, "10 ms"),
        )


def _plant(
    conn: Connection, workload: Workload, columns: dict[Feature, NDArray[np.generic]], limit: _Limit
) -> list[tuple[UUID, UUID]]:
    """Store copies of the first rows, their hashes changed as far as the rule allows; return the pairs."""
    rng = np.random.default_rng(14)
    rows = min(PLANTED, len(workload.dataset) // 10)
    images, pairs = [], []
    root = workload.dataset.root
    for number, original in enumerate(workload.dataset.ids_of(range(rows))):
        row = {feature: column[number] for feature, column in columns.items()}
        for feature, most in zip(_HASHES, (limit.difference_bits, limit.perceptual_bits), strict=True):
            row[feature] = _changed(row[feature], int(rng.integers(most + 1)), rng)
        image_id = UUID(bytes=rng.bytes(16))
        relative = b"planted/%06d.jpg" % number
        place = FoundFile(
            root.root_id,
            file_id(root.root_id, relative),
            relative,
            root.raw_path + b"/" + relative,
            9,
            number,
        )
        features = Features(**{feature.value: as_value(value) for feature, value in row.items()})  # type: ignore[arg-type]
        info = ImageInfo(image_id, 9, 548, 365, "JPEG", None, None, None)
        images.append(StoredImage(image_id, info, (place,), features))
        pairs.append((min(original, image_id), max(original, image_id)))
    for start in range(0, rows, _BATCH):
        write_batch(conn, images[start : start + _BATCH])
    return pairs


def _changed(code: NDArray[np.generic], bits: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    mask = np.zeros(64, np.uint8)
    mask[rng.permutation(64)[:bits]] = 1
    return np.asarray(code, np.uint8) ^ np.packbits(mask)


def _beside(columns: dict[Feature, NDArray[np.generic]], seconds: Value, memory: Value) -> Iterator[Line]:
    codes = _numbers(columns[Feature.PERCEPTUAL_HASH])
    started = time.perf_counter()
    tree = BkTree(codes.tolist())
    built = time.perf_counter() - started
    some = np.random.default_rng(1).choice(codes, min(_LOOKED_UP, len(codes)), replace=False)
    started = time.perf_counter()
    for code in some.tolist():
        tree.within(code, _BITS)
    theirs = Value(built + (time.perf_counter() - started) / len(some) * len(codes))
    yield Line(
        Section.DUPLICATES,
        "find all near copies",
        "s",
        seconds,
        "BK-tree of one hash, in Python",
        theirs,
        ratio_at_most(1, seconds, theirs),
        f"theirs from {len(some)} of {len(codes):,} look-ups",
    )
    some = codes[: min(_PROVED, len(codes))]
    started = time.perf_counter()
    brute_force(some, _BITS)
    share = len(codes) / len(some)
    theirs = Value((time.perf_counter() - started) * share * share)
    note = "" if share == 1 else f"theirs from {len(some):,} rows, by the square"
    yield Line(
        Section.DUPLICATES,
        "find all near copies",
        "s",
        seconds,
        "all pairs of one hash, NumPy",
        theirs,
        note=note,
    )
    goal = at_most(2**30, memory.number, "1 GB")
    note = "without its shared buffers"
    yield Line(
        Section.DUPLICATES, "memory of the server's process, at most", "bytes", memory, goal=goal, note=note
    )


def _proof(
    workload: Workload,
    columns: dict[Feature, NDArray[np.generic]],
    limit: _Limit,
    found: set[tuple[UUID, UUID]],
    detailed: set[UUID],
) -> Iterator[Line]:
    """Yield whether pairs among the first rows are all that there are, when each is compared."""
    rows = min(_PROVED, len(workload.dataset))
    ids = workload.dataset.ids_of(range(rows))
    numbers = [number for number, one in enumerate(ids) if one in detailed]
    hashes = [_numbers(columns[feature][numbers]) for feature in _HASHES]
    vectors = np.asarray(columns[Feature.EMBEDDING][numbers], np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    limits = (
        limit.difference_bits,
        limit.perceptual_bits,
        limit.near_bits,
        limit.other_bits,
        limit.embedding,
    )
    wanted = _named(by_the_rule(hashes[0], hashes[1], vectors, limits), [ids[number] for number in numbers])
    known = {ids[number] for number in numbers}
    ours = {pair for pair in found if known.issuperset(pair)}
    share = len(ours & wanted) / max(1, len(wanted | ours))
    yield Line(
        Section.DUPLICATES,
        "pairs that are those of brute force",
        "share",
        Value(share, count=max(1, len(wanted))),
        goal=at_least(1, share, "1"),
        note=f"all pairs of {rows:,} rows compared",
    )


def _named(pairs: Pairs, ids: list[UUID]) -> set[tuple[UUID, UUID]]:
    return {(min(ids[a], ids[b]), max(ids[a], ids[b])) for a, b in pairs}


def _numbers(codes: NDArray[np.generic]) -> NDArray[np.uint64]:
    return np.ascontiguousarray(codes).view(">u8").ravel().astype(np.uint64)
