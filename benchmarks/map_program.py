"""Our clusters and maps, as a program: so that its memory can be measured."""

import time
from pathlib import Path
from typing import Any

from benchmarks.programs import serve
from imrec_pg.library import Library
from imrec_pg.settings import Settings


def _work(what: str, dsn: str, k: str) -> dict[str, Any]:
    """Make clusters or a map of a library; return the seconds."""
    settings = Settings(dsn=dsn, data_dir=Path("/nonexistent"), weights=None, dsn_source="the benchmark")
    with Library(settings) as library:
        started = time.perf_counter()
        if what == "clusters":
            library.build_clusters(k="auto" if k == "auto" else int(k))
        else:
            library.build_map(dims=3)
        return {"seconds": time.perf_counter() - started}


if __name__ == "__main__":
    serve(_work)
