"""What the sections that search and load work on."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from benchmarks.bulk import Loaded, load_features
from benchmarks.dataset import Dataset
from benchmarks.measure import Effort, bar
from benchmarks.scratch import Scratch
from imrec_pg.catalogue.roots import add_root
from imrec_pg.db.session import open_session
from imrec_pg.records import Feature, Features, Metric, OnProgress
from imrec_pg.settings import Settings

K = 10
"""Neighbours asked for everywhere, as in recall@10."""

PAUSE = 0.05
"""Seconds: OpenBLAS's threads spin for about half of that."""

INDEXED = (Feature.EMBEDDING, Metric.COSINE)
"""The pair that ingest builds an index for."""

COLUMNS: Mapping[Feature, str] = MappingProxyType(
    {
        Feature.EMBEDDING: "embedding",
        Feature.HISTOGRAM: "histogram",
        Feature.AVERAGE_HASH: "average_hash",
        Feature.DIFFERENCE_HASH: "difference_hash",
    }
)


@dataclass(frozen=True, slots=True)
class Ground:
    """Rows, and where they are loaded.

    Attributes:
        without: rivals and parts left out, as on the command line.
    """

    place: Scratch
    dataset: Dataset
    effort: Effort
    without: frozenset[str]

    def queries(self, feature: Feature) -> NDArray[np.generic]:
        """Return the held-out features: float32 (n, 512) or uint8 (n, 8)."""
        rows: NDArray[np.generic] = getattr(self.dataset.queries, COLUMNS[feature])
        return rows


def load(settings: Settings, dataset: Dataset, *, indexed: bool) -> Loaded:
    """Load all rows into an empty library through store.bulk, with bars on stderr."""
    with open_session(settings) as conn, open_session(settings) as watcher, _bars() as show:
        add_root(conn, dataset.root)
        return load_features(
            conn,
            dataset.images(),
            indexes=[INDEXED] if indexed else [],
            total=len(dataset),
            watcher=watcher,
            on_progress=show,
        )


def as_query(row: NDArray[np.generic], feature: Feature) -> Features:
    """Return a feature as store.search.rank takes it."""
    value = row.tobytes() if row.dtype == np.uint8 else np.asarray(row, dtype=np.float32)
    return Features.of(feature, value)


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
