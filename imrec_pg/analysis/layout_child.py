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
    from umap import UMAP

    start = call["start"]
    reducer = UMAP(
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
