"""Start-up: whole commands from the shell, beside the imports that they avoid."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import photos
from benchmarks.measure import Effort, side_by_side
from benchmarks.results import Line, Section, ratio_at_most, ratio_below
from benchmarks.scratch import Scratch
from imrec_pg.errors import ImrecError

_STORED = 20
_TORCH = 'python -c "import torch"'
_TORCHVISION = 'python -c "import torch, torchvision"'


@dataclass(frozen=True, slots=True)
class _Comparison:
    """A command of ours, what it is held against, and how many times that it may take."""

    what: str
    rival: str
    limit: float
    strict: bool


_COMPARISONS = (
    _Comparison("imrec-pg --help", _TORCH, 0.3, strict=False),
    _Comparison("imrec-pg search, a stored image", _TORCH, 0.5, strict=False),
    _Comparison("imrec-pg search, a new image", _TORCHVISION, 1.0, strict=True),
)


def startup_lines(scratch: Scratch, sources: list[Path], effort: Effort) -> Iterator[Line]:
    """Yield lines on cold processes; the disk's cache is warm."""
    _, database = scratch.users_library()
    folder = scratch.folder / "startup"
    stored = photos.make(folder / "stored", sources, _STORED, photos.SMALL)
    (new,) = photos.make(folder / "new", sources, 1, photos.SMALL, first=_STORED)
    program = _program()
    _run([*program, "ingest", str(folder / "stored"), *database])
    search = [*program, "search", *database]
    commands = {
        "imrec-pg --help": [*program, "--help"],
        "imrec-pg search, a stored image": [*search, str(stored[0])],
        "imrec-pg search, a new image": [*search, str(new)],
    }
    # Beside a torch for the CPU alone, torchvision's import ends in an error; it takes the same time.
    commands[_TORCH] = [sys.executable, "-c", "import torch"]
    commands[_TORCHVISION] = [sys.executable, "-c", "import torch, torchvision"]
    timings = side_by_side({name: _timed(c) for name, c in commands.items()}, effort, title="start-up")
    for comparison in _COMPARISONS:
        if any(timings[comparison.what].answers):
            raise ImrecError(f"{' '.join(commands[comparison.what])} failed: run it to see why")
        ours, theirs = timings[comparison.what].value, timings[comparison.rival].value
        goal = (ratio_below if comparison.strict else ratio_at_most)(comparison.limit, ours, theirs)
        yield Line(Section.STARTUP, comparison.what, "s", ours, comparison.rival, theirs, goal)


def _program() -> list[str]:
    script = Path(sys.executable).with_name("imrec-pg")
    return [str(script)] if script.is_file() else [sys.executable, "-m", "imrec_pg"]


def _timed(command: Sequence[str]) -> Callable[[int], int]:
    return lambda _number: (
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode
    )


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ImrecError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
