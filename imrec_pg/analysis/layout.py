"""UMAP (McInnes, Healy, Melville 2018, arXiv:1802.03426), in a process of its own."""

import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.spawn import get_executable
from pathlib import Path
from typing import IO

import numpy as np

from imrec_pg.analysis.cells import Floats, Numbers
from imrec_pg.analysis.extras import own_folder
from imrec_pg.errors import ImrecError

# As for the children that decode: -P, since the current folder may hold a numpy.py.
_CODE = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from imrec_pg.analysis.layout_child import main; main()"
)
# Of fewer, UMAP makes nothing that their first components don't show.
_FEWEST = 8
_WORDS = 300


@dataclass(frozen=True, slots=True)
class Shape:
    """How a map is laid out; see MapInfo."""

    dims: int
    neighbours: int
    min_dist: float
    seed: int


def laid_out(
    start: Floats,
    nearest: Numbers,
    distances: Floats,
    shape: Shape,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Floats:
    """Return points, float32 (n, dims), the same ones each time on the same machine.

    Args:
        start: where they begin: the first principal components, float32 (n, dims).
        nearest: the neighbours of each, itself first, int32 (n, neighbours).
        distances: to these, float32.
        shape: how to lay them out.
        on_progress: gets how many epochs are done, and of how many.

    Raises:
        ImrecError: the process has died, such as for lack of memory.
    """
    if len(start) < _FEWEST:
        return start
    call = {
        "start": _spread(start, shape.seed),
        "nearest": nearest,
        "distances": distances,
        "neighbours": nearest.shape[1],
        "min_dist": shape.min_dist,
        "seed": shape.seed,
    }
    # What it says goes into a file: a pipe that nobody reads would fill up, and stop it.
    with own_folder("numba") as cache, tempfile.TemporaryFile() as said, _child(cache, said) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            path = [path for path in sys.path if isinstance(path, str)]
            process.stdin.write(pickle.dumps(path) + pickle.dumps(call, pickle.HIGHEST_PROTOCOL))
            process.stdin.flush()
        except BrokenPipeError:
            pass  # it has died, and what it said tells why
        size = _followed(process.stdout, on_progress)
        data = b"" if size is None else process.stdout.read(size)
        if size is None or len(data) < size:
            raise ImrecError(_obituary(process.wait(), said))
    points = np.frombuffer(data, np.float32).reshape(start.shape)
    if not np.isfinite(points).all():
        raise ImrecError("UMAP made points that are no numbers: try another --seed, or more --neighbours")
    return points


def _spread(start: Floats, seed: int) -> Floats:
    """Return where points begin, apart along each axis: UMAP divides by how far they are."""
    flat = start.min(axis=0) == start.max(axis=0)
    noise = np.random.default_rng(seed).normal(size=start.shape).astype(np.float32)
    return np.where(flat, noise, start)


def _followed(stdout: IO[bytes], on_progress: Callable[[int, int], None]) -> int | None:
    """Return the size of the result that follows, None where none does."""
    for line in stdout:
        told = json.loads(line)
        if "size" in told:
            return int(told["size"])
        on_progress(told["done"], told["total"])
    return None


def _obituary(code: int, said: IO[bytes]) -> str:
    said.seek(0)
    lines = [line for line in said.read().decode(errors="replace").splitlines() if line.strip()]
    last = lines[-1][:_WORDS] if lines else "it said nothing"
    if code < 0:
        return f"UMAP's process was ended by signal {-code}, perhaps for lack of memory; nothing has changed"
    return f"UMAP failed: {last}"


@contextmanager
def _child(cache: Path, said: IO[bytes]) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        [os.fsdecode(get_executable()), "-P", "-c", _CODE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=said,
        # scikit-learn would run lscpu to count the cores.
        env={"OMP_NUM_THREADS": str(os.cpu_count() or 1), **os.environ, "NUMBA_CACHE_DIR": str(cache)},
        # Ctrl-C reaches a whole process group: the parent ends it.
        process_group=None if sys.platform == "win32" else 0,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            try:
                stream.close()
            except BrokenPipeError:
                continue
