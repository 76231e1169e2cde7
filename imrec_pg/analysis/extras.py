"""The libraries of the extra [map]: whether they are there, and where they may write."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from imrec_pg.errors import ImrecError
from imrec_pg.settings import cache_dir


def check_extra() -> None:
    """Return when the libraries for clusters and maps are there.

    Raises:
        ImrecError: one is not.
    """
    for module in ("sklearn", "kneed", "umap"):
        if find_spec(module) is None:
            raise ImrecError(
                f"clusters and maps need {module}, which is not installed: pip install 'imrec-pg[map]'"
            )


@contextmanager
def own_folder(name: str) -> Iterator[Path]:
    """Yield a folder of this name for what a library caches: in our cache, or for this time only.

    Else numba and matplotlib would write beside the libraries or into the home folder, and numba fails where it
    can write nowhere.
    """
    folder = cache_dir() / name
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError:
        with tempfile.TemporaryDirectory(prefix=f"imrec-{name}-") as other:
            yield Path(other)
    else:
        yield folder


@contextmanager
def without_matplotlib() -> Iterator[None]:
    """Let kneed be imported without matplotlib, which it would take for a plot that nobody asks of it.

    Importing that takes a second, and the first time scans all fonts and writes into the home folder.
    """
    if "matplotlib" in sys.modules:
        yield
        return
    sys.modules["matplotlib"] = None  # type: ignore[assignment]  # Python's own way to say that there is none
    try:
        yield
    finally:
        del sys.modules["matplotlib"]


@contextmanager
def threads_counted() -> Iterator[None]:
    """Let scikit-learn use all cores without running another program, lscpu, to count them."""
    if "OMP_NUM_THREADS" in os.environ:
        yield
        return
    os.environ["OMP_NUM_THREADS"] = str(os.cpu_count() or 1)
    try:
        yield
    finally:
        del os.environ["OMP_NUM_THREADS"]
