"""Measure several contenders side by side, and say how good an approximate answer is."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Never, TypeVar

import numpy as np
from tqdm import tqdm

from benchmarks.results import Value

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure.

    Attributes:
        rounds: of each comparison at most.
        seconds: after which no further round begins.
        least: rounds that are made however long they take.
    """

    rounds: int = 30
    seconds: float = 20.0
    least: int = 3


@dataclass(frozen=True, slots=True)
class Timings(Generic[Answer]):
    """Seconds of one contender, round by round, and what it answered."""

    seconds: Sequence[float]
    answers: Sequence[Answer]

    @property
    def value(self) -> Value:
        """Median and 99th percentile."""
        return summary(self.seconds)


def summary(values: Sequence[float]) -> Value:
    """Return the median and the 99th percentile (linear between neighbours)."""
    p50, p99 = np.percentile(values, [50, 99])
    return Value(float(p50), float(p99), len(values))


def side_by_side(
    contenders: Mapping[str, Callable[[int], Answer]],
    effort: Effort,
    *,
    title: str,
    pause: float = 0.0,
    warm_up: int = 1,
) -> dict[str, Timings[Answer]]:
    """Return the timings of each contender, a function that does the task of the round it is given.

    In each round all of them work in turn on the same task, and each round begins with another one, so that
    what else the machine does meets all alike. The first warm_up rounds are done once beforehand and not
    counted, to fill the caches: where each task reads other pages, that has to be all of them. Before each
    turn there is a pause of so many seconds: threads of NumPy and FAISS wait busily for a while after their
    work, and would take a core from whoever comes next.
    """
    names = list(contenders)
    for number in range(warm_up):
        for name in names:
            contenders[name](number)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    answers: dict[str, list[Answer]] = {name: [] for name in names}
    started = time.perf_counter()
    with bar(effort.rounds, title) as done:
        for number in range(effort.rounds):
            if number >= effort.least and time.perf_counter() - started > effort.seconds:
                break
            first = number % len(names)
            for name in names[first:] + names[:first]:
                time.sleep(pause)
                before = time.perf_counter()
                answer = contenders[name](number)
                seconds[name].append(time.perf_counter() - before)
                answers[name].append(answer)
            done.update()
    return {name: Timings(seconds[name], answers[name]) for name in names}


def bar(total: int | None, title: str) -> "tqdm[Never]":
    """Return a bar on stderr, where that is a terminal."""
    return tqdm(total=total, desc=title, unit="", disable=None, dynamic_ncols=True, leave=False)


def recall(found: Sequence[Sequence[object]], truth: Sequence[Sequence[object]]) -> float:
    """Return which share of the true neighbours was found, over all queries, 0 to 1."""
    hits = sum(len(set(f) & set(t)) for f, t in zip(found, truth, strict=True))
    return hits / sum(len(t) for t in truth)
