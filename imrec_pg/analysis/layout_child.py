"""The process that UMAP runs in: two fits in one process abort it, and Ctrl-C cannot end one.

It reads one pickled call from stdin, and ends when stdin does: then whoever started it is gone. It writes lines to
stdout: of progress, and at last the size of the result, which follows.
"""

import json
import os
import pickle
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import IO, Any

import numpy as np


def main() -> None:
    """Lay points out as the call on stdin says."""
    results = os.fdopen(os.dup(1), "wb")
    # A library that prints must not write into the results.
    os.dup2(2, 1)
    call = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the parent
    threading.Thread(target=_end_with_parent, daemon=True).start()
    points = _laid_out(call, results)
    _tell(results, size=points.nbytes)
    results.write(points.tobytes())
    results.flush()
    # UMAP's and numba's threads need not be waited for.
    os._exit(0)


def _laid_out(call: dict[str, Any], results: IO[bytes]) -> "np.ndarray[Any, np.dtype[np.float32]]":
    start = call["start"]
    reducer = _umap()(
        n_neighbors=call["neighbours"],
        n_components=start.shape[1],
        min_dist=call["min_dist"],
        init=start,
        # A seed takes one thread for the layout: with several, runs differ.
        random_state=call["seed"],
        n_jobs=1,
        precomputed_knn=(call["nearest"], call["distances"]),
        # Else it ignores the neighbours of fewer than 4,096 points.
        force_approximation_algorithm=True,
        verbose=True,
        tqdm_kwds={
            "file": _Epochs(results),
            "bar_format": "{n_fmt}/{total_fmt}",
            "mininterval": 0.2,
            "disable": False,
        },
    )
    # It looks at the neighbours alone: of the vectors it only counts the rows.
    return np.ascontiguousarray(reducer.fit_transform(start), dtype=np.float32)


def _umap() -> type[Any]:
    """Return the class UMAP, which starts in a second, not in fifteen the first time and five each time."""
    try:
        with _without_pynndescent():
            from umap import UMAP
    except ImportError:  # another version, which asks more of it
        for name in [name for name in sys.modules if name.partition(".")[0] == "umap"]:
            del sys.modules[name]
        from umap import UMAP
    from umap import layouts, umap_

    # UMAP has numba compile these each time; the code that is kept is the same.
    for module, function in (
        (umap_, "smooth_knn_dist"),
        (umap_, "compute_membership_strengths"),
        (layouts, "_nb_optimize_layout_euclidean_single_epoch"),
    ):
        kept = getattr(module, function, None)
        if kept is not None and hasattr(kept, "enable_caching"):
            kept.enable_caching()
    found: type[Any] = UMAP
    return found


@contextmanager
def _without_pynndescent() -> Iterator[None]:
    """Let UMAP be imported without what would find neighbours, which it is given: that compiles for ten seconds."""
    empty: dict[str, dict[str, object]] = {
        "pynndescent": {"NNDescent": type("NNDescent", (), {})},
        "pynndescent.distances": {"named_distances": {}},
        "pynndescent.sparse": {"sparse_named_distances": {}},
    }
    for name, content in empty.items():
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name]).update(content)
    try:
        yield
    finally:
        for name in empty:
            del sys.modules[name]


class _Epochs:
    """What tqdm writes its bar to: each becomes a line of progress."""

    def __init__(self, results: IO[bytes]) -> None:
        self._results = results

    def write(self, text: str) -> None:
        """Tell of the last bar in the text."""
        if found := re.findall(r"(\d+)/(\d+)", text):
            done, total = found[-1]
            _tell(self._results, done=int(done), total=int(total))

    def flush(self) -> None:
        """Do nothing: lines are told at once."""


def _tell(results: IO[bytes], **fields: int) -> None:
    results.write(json.dumps(fields).encode() + b"\n")
    results.flush()


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)
