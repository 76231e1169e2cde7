"""How much memory and processor time a tree of processes takes while it works."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import psutil

_INTERVAL_S = 0.25
_NOT_BUSY = ("idle", "iowait", "guest", "guest_nice")


@dataclass(slots=True)
class Usage:
    """What was sampled.

    Attributes:
        memory: bytes of all processes but the database's at each sample (PSS: what they share counts once).
        cpu_seconds: by the role of the process.
    """

    memory: list[int] = field(default_factory=list)
    cpu_seconds: dict[str, float] = field(default_factory=dict)

    @property
    def peak(self) -> int:
        """The most memory of any sample."""
        return max(self.memory, default=0)

    @property
    def growth(self) -> float:
        """The median of the last quarter's samples divided by that of the second quarter's."""
        quarter = len(self.memory) // 4
        if not quarter:
            return 1.0
        return _median(self.memory[-quarter:]) / _median(self.memory[quarter : 2 * quarter])


class Sampler:
    """Samples a process, its descendants and a database server in a thread of its own.

    Args:
        main: whose tree is measured.
        database: returns the server's processes.
    """

    def __init__(self, main: psutil.Process, database: Callable[[], Sequence[psutil.Process]]) -> None:
        self._main = main
        self._database = database
        self._first: dict[psutil.Process, float] = {}
        self._last: dict[psutil.Process, float] = {}
        self._roles: dict[psutil.Process, str] = {}
        self._usage = Usage()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bench-sampler", daemon=True)

    def __enter__(self) -> Self:
        self._sample(first=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._sample()

    def usage(self) -> Usage:
        """Return what was sampled so far."""
        by_role: dict[str, float] = {}
        for process, seconds in self._last.items():
            role = self._roles[process]
            by_role[role] = by_role.get(role, 0.0) + seconds - self._first.get(process, 0.0)
        self._usage.cpu_seconds = by_role
        return self._usage

    def _run(self) -> None:
        while not self._ended.wait(_INTERVAL_S):
            self._sample()

    def _sample(self, *, first: bool = False) -> None:
        tree = _alive(lambda: [self._main, *self._main.children(recursive=True)])
        roles = {process: "main" if process == self._main else "workers" for process in tree}
        database = dict.fromkeys(_alive(self._database), "database")
        self._usage.memory.append(sum(_memory(process) for process in tree))
        for process, role in (roles | database).items():
            seconds = _cpu(process)
            if seconds is not None:
                self._roles[process] = role
                self._last[process] = seconds
                if first:
                    self._first[process] = seconds


def shares(cpu_seconds: Mapping[str, float]) -> dict[str, float]:
    """Return each role's share of the processor time of all, 0 to 1."""
    total = sum(cpu_seconds.values()) or 1.0
    return {role: seconds / total for role, seconds in cpu_seconds.items()}


class OtherPrograms:
    """Measures the share of all cores' time that other programs have taken since it was created.

    Args:
        database: returns the server's processes.
    """

    def __init__(self, database: Callable[[], Sequence[psutil.Process]]) -> None:
        self._database = database
        self._busy, self._own = _busy_seconds(), self._own_seconds()
        self._started = time.perf_counter()

    def share(self) -> float:
        """Return the share, 0 to 1; programs that this one started count as its own once they ended."""
        busy, own = _busy_seconds() - self._busy, self._own_seconds() - self._own
        cores = (os.cpu_count() or 1) * (time.perf_counter() - self._started)
        return min(1.0, max(0.0, (busy - own) / cores))

    def _own_seconds(self) -> float:
        ended = sum(os.times()[:4])
        return ended + sum(_cpu(process, ended_children=True) or 0.0 for process in _alive(self._database))


def _busy_seconds() -> float:
    times: dict[str, float] = psutil.cpu_times()._asdict()
    # Guests' time is in user's already.
    return sum(times.values()) - sum(times.get(name, 0.0) for name in _NOT_BUSY)


def _alive(processes: Callable[[], Iterable[psutil.Process]]) -> list[psutil.Process]:
    try:
        return list(processes())
    except psutil.NoSuchProcess:
        return []


def _memory(process: psutil.Process) -> int:
    try:
        full = process.memory_full_info()
        return int(getattr(full, "pss", full.uss))
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def _cpu(process: psutil.Process, *, ended_children: bool = False) -> float | None:
    try:
        times = process.cpu_times()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    of_children = times.children_user + times.children_system if ended_children else 0.0
    return float(times.user + times.system + of_children)


def _median(values: Sequence[int]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return (ordered[middle] + ordered[~middle]) / 2
