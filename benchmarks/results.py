"""What a run found: lines of ours beside a rival's, with their goals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Section(StrEnum):
    """Parts of the benchmark that can be run alone."""

    SEARCH = "search"
    HAMMING = "hamming"
    INGEST = "ingest"
    LOAD = "load"
    SERVE = "serve"
    MAP = "map"
    DUPLICATES = "duplicates"
    STARTUP = "startup"
    QUALITY = "quality"


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal and whether it was met.

    Attributes:
        text: such as "≤ 0.5 x".
        met: as measured, not rounded.
    """

    text: str
    met: bool


@dataclass(frozen=True, slots=True)
class Value:
    """A figure.

    Attributes:
        number: in the unit of its line; of repeated measurements the median.
        p99: 99th percentile of repeated measurements, where there were any.
        count: how many measurements.
    """

    number: float
    p99: float | None = None
    count: int = 1


@dataclass(frozen=True, slots=True)
class Line:
    """One comparison, or one figure of ours alone.

    Attributes:
        what: what was done.
        unit: "s", "images/s", "rows/s", "bytes", "share" or "" (a plain number).
        rival: whom ours is compared with, if anybody.
        ratio: ours divided by the rival's.
        note: what a reader must know beside the figures.
    """

    section: Section
    what: str
    unit: str
    ours: Value
    rival: str | None = None
    theirs: Value | None = None
    goal: Goal | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours divided by the rival's, or None without one."""
        if self.theirs is None or not self.theirs.number:
            return None
        return self.ours.number / self.theirs.number


@dataclass(frozen=True, slots=True)
class GridRow:
    """A row of a grid; shares are 0 to 1, one a column."""

    name: str
    shares: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """Many figures of one sort, which would be hard to read as lines.

    Attributes:
        title: what the figures are.
        columns: headings, that of the rows' names first.
        note: what a reader must know beside the figures.
    """

    section: Section
    title: str
    columns: tuple[str, ...]
    rows: tuple[GridRow, ...]
    note: str = ""


@dataclass(slots=True)
class Report:
    """Everything that is printed.

    Attributes:
        started_at: ISO 8601, with the offset.
        options: how it was called.
        machine: what it ran on, and the versions of everything.
        data: where rows and photos came from.
        grids: what is no comparison line by line; printed after the lines.
        others: the share of all cores' time that other programs took meanwhile, where that is known.
        complete: False when the run broke off.
    """

    started_at: str
    options: Mapping[str, object]
    machine: Mapping[str, object] = field(default_factory=dict)
    data: dict[str, str] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    grids: list[Grid] = field(default_factory=list)
    others: float | None = None
    complete: bool = False

    def add(self, lines: Sequence[Line]) -> None:
        """Add what a section found."""
        self.lines.extend(lines)


def ratio_at_most(limit: float, ours: Value, theirs: Value) -> Goal:
    """Return the goal that ours is at most so many times the rival's; for times and sizes."""
    return Goal(f"≤ {limit:g} x", ours.number <= limit * theirs.number)


def ratio_below(limit: float, ours: Value, theirs: Value) -> Goal:
    """Return the goal that ours is under so many times the rival's."""
    return Goal(f"< {limit:g} x", ours.number < limit * theirs.number)


def ratio_at_least(limit: float, ours: Value, theirs: Value) -> Goal:
    """Return the goal that ours is at least so many times the rival's; for rates."""
    return Goal(f"≥ {limit:g} x", ours.number >= limit * theirs.number)


def at_most(limit: float, ours: float, text: str) -> Goal:
    """Return the goal that our own figure is at most this; text is the limit with its unit."""
    return Goal(f"≤ {text}", ours <= limit)


def at_least(limit: float, ours: float, text: str) -> Goal:
    """Return the goal that our own figure is at least this; text is the limit with its unit."""
    return Goal(f"≥ {text}", ours >= limit)
