"""Keep the chatter of image libraries off stderr, where a progress bar is."""

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

# Both the warning filters and file descriptor 2 belong to the whole process, so threads take turns.
_TURN = threading.Lock()


@contextmanager
def silence(*, native: bool) -> Iterator[None]:
    """Ignore Python's warnings; with native also discard what is written to stderr meanwhile.

    Pillow warns of odd metadata in pictures that are fine. libtiff prints, for some fax scans once a line of
    the picture, past Python and past Pillow; LibRaw names each file that is cut short. Other threads' log
    lines go the same way for as long.
    """
    with _TURN, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if native:
            with _stderr_discarded():
                yield
        else:
            yield


@contextmanager
def _stderr_discarded() -> Iterator[None]:
    try:
        kept = os.dup(2)
    except OSError:  # a service may run without stderr; then nothing is heard anyway
        yield
        return
    try:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 2)
        os.close(nothing)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
