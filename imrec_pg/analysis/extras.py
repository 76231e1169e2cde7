"""The libraries of the extra [map]: whether they are there, and where they may write."""

import os
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
def matplotlib_at_home() -> Iterator[None]:
    """Let matplotlib, imported within, keep its caches in a folder of ours; kneed imports it as well."""
    before = os.environ.get("MPLCONFIGDIR")
    with own_folder("matplotlib") as folder:
        os.environ["MPLCONFIGDIR"] = str(folder)
        try:
            yield
        finally:
            if before is None:
                del os.environ["MPLCONFIGDIR"]
            else:
                os.environ["MPLCONFIGDIR"] = before
