"""Library.ingest in a process of its own: python -m benchmarks.ingest_program DSN WARM_UP_FOLDER.

The first ingest, of a few photos, loads the model; then it ingests the folders that it is asked to.
"""

import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.programs import serve
from imrec_pg import settings
from imrec_pg.features.model import EmbedderSource
from imrec_pg.library import Library
from imrec_pg.records import RgbArray


class _ModelClock:
    """Adds up the wall and processor time of the model; that of other threads meanwhile counts as its own."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.cpu_seconds = 0.0
        embed = EmbedderSource.embed

        def timed(source: EmbedderSource, crops: Sequence[RgbArray]) -> NDArray[np.float32]:
            wall, cpu = time.perf_counter(), time.process_time()
            rows = embed(source, crops)
            self.seconds += time.perf_counter() - wall
            self.cpu_seconds += time.process_time() - cpu
            return rows

        EmbedderSource.embed = timed  # type: ignore[assignment,method-assign]


def main() -> None:
    """Warm up, then answer."""
    dsn, warm_up = sys.argv[1:]
    clock = _ModelClock()
    with Library(settings.load(dsn=dsn)) as library:
        library.ingest([warm_up])

        def ingest(folder: str) -> dict[str, Any]:
            clock.seconds = clock.cpu_seconds = 0.0
            result = library.ingest([folder])
            return {
                "images": result.tally.written,
                "failed": result.tally.failed,
                "seconds": result.seconds,
                "model_seconds": clock.seconds,
                "model_cpu_seconds": clock.cpu_seconds,
            }

        serve(ingest)


if __name__ == "__main__":
    main()
