"""The child's side: run one call after another, until the parent closes the pipe or is gone."""

import os
import pickle
import sys

from imrec_pg.bounded.limits import give_up_root, harden, limited
from imrec_pg.bounded.unpickling import write_frame


def main() -> None:
    """Read calls from stdin, and write their results to stdout, each with its length before it."""
    # Its buffer may hold the first call already.
    requests = sys.stdin.buffer
    results = os.fdopen(os.dup(1), "wb")
    # A library that prints must not write into the results.
    os.dup2(2, 1)
    prepare = pickle.load(requests)  # noqa: S301 - from the parent, as are the calls
    if sys.platform != "win32":
        harden()
        if os.geteuid() == 0:
            # Nobody may not be able to read the libraries.
            prepare()
        give_up_root()
    while True:
        try:
            limits, function, arguments = pickle.load(requests)  # noqa: S301
        except EOFError:
            return
        result = limited(limits, function, arguments)
        del arguments
        # Protocol 5 would rebuild arrays by a function that reads any buffer.
        write_frame(results, pickle.dumps(result, 4))
        del result
