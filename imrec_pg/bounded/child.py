"""The child's side: run one call after another, until the parent closes the pipe or is gone."""

import os
import pickle
import sys

from imrec_pg.bounded.limits import harden, limited


def main() -> None:
    """Read calls from stdin, and write their results to stdout."""
    # Its buffer may hold the first call already.
    requests = sys.stdin.buffer
    results = os.fdopen(os.dup(1), "wb")
    # A library that prints must not write into the results.
    os.dup2(2, 1)
    if sys.platform != "win32":
        harden()
    while True:
        try:
            limits, function, arguments = pickle.load(requests)  # noqa: S301 - from the parent
        except EOFError:
            return
        result = limited(limits, function, arguments)
        del arguments
        pickle.dump(result, results, pickle.HIGHEST_PROTOCOL)
        results.flush()
        del result
