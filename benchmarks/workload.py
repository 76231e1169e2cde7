"""What the sections search, hamming and load work on: rows, queries, and a library that holds the rows."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from benchmarks.bulk import Loaded, load_features
from benchmarks.dataset import Dataset
from benchmarks.measure import Effort, bar
from benchmarks.scratch import Scratch
from imrec_pg.analysis.reducing import reduce_all
from imrec_pg.catalogue.roots import add_root
from imrec_pg.db.session import open_session
from imrec_pg.records import Feature, Metric, OnProgress
from imrec_pg.settings import Settings

K = 10
"""Neighbours asked for everywhere, as in recall@10."""

PAUSE = 0.05
"""Seconds: OpenBLAS's threads spin for about half of that."""

INDEXED = (Feature.EMBEDDING, Metric.COSINE)
"""The pair that ingest builds an index for."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Rows and queries, and how to measure with them.

    Attributes:
        scratch: where databases of rivals are made.
        without: rivals and parts left out, as on the command line.
    """

    scratch: Scratch
    dataset: Dataset
    effort: Effort
    without: frozenset[str]


def load(settings: Settings, dataset: Dataset, *, indexed: bool) -> Loaded:
    """Load all rows into an empty library, with bars on stderr."""
    with open_session(settings) as conn, open_session(settings) as watcher, _bars() as show:
        add_root(conn, dataset.root)
        loaded = load_features(
            conn,
            dataset.images(),
            indexes=[INDEXED] if indexed else [],
            total=len(dataset),
            watcher=watcher,
            on_progress=show,
        )
        started = time.perf_counter()
        reduce_all(conn, show)
        return replace(loaded, reduce_seconds=time.perf_counter() - started)


@contextmanager
def _bars() -> Iterator[OnProgress]:
    with bar(None, "load") as shown:
        doing = ""

        def show(what: str, done: int, total: int | None) -> None:
            nonlocal doing
            if what != doing:
                doing = what
                shown.set_description(f"load: {what}", refresh=False)
                shown.reset(total)
            shown.update(done - shown.n)

        yield show
