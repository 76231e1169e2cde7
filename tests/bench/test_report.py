"""Figures and goals against hand calculations, and how they are shown; nothing is timed."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.fidelity import differing_bits, l1, similarity
from benchmarks.measure import Effort, recall, side_by_side, summary
from benchmarks.processes import Usage, shares
from benchmarks.report import as_markdown, print_table, verdict
from benchmarks.results import (
    Grid,
    GridRow,
    Line,
    Report,
    Section,
    Value,
    at_least,
    at_most,
    ratio_at_least,
    ratio_at_most,
    ratio_below,
)


def floats(*values: float) -> NDArray[np.float32]:
    return np.array(values, dtype=np.float32)


def test_recall_by_hand() -> None:
    assert recall([[1, 2, 3], [4, 5, 6]], [[3, 2, 9], [6, 5, 4]]) == pytest.approx(5 / 6)
    assert recall([[]], [[1, 2]]) == 0


def test_summary_by_hand() -> None:
    assert summary([float(n) for n in range(101)]) == Value(50, 99, 101)


def test_contenders_take_turns_at_the_same_tasks() -> None:
    calls: list[tuple[str, int]] = []

    def a(number: int) -> int:
        calls.append(("a", number))
        return number

    def b(number: int) -> int:
        calls.append(("b", number))
        return -number

    timings = side_by_side({"a": a, "b": b}, Effort(rounds=3, seconds=100), title="")
    assert calls[2:] == [("a", 0), ("b", 0), ("b", 1), ("a", 1), ("a", 2), ("b", 2)]
    assert calls[:2] == [("a", 0), ("b", 0)]  # warming up
    assert timings["b"].answers == [0, -1, -2]
    assert timings["a"].value.count == 3


def test_no_round_begins_when_the_time_is_over() -> None:
    timings = side_by_side({"a": lambda _: None}, Effort(rounds=50, seconds=0, least=4), title="")
    assert len(timings["a"].seconds) == 4


def test_goals_are_met_or_not() -> None:
    one, two = Value(1.0), Value(2.0)
    assert [goal.met for goal in (ratio_at_most(0.5, one, two), ratio_at_most(0.4, one, two))] == [
        True,
        False,
    ]
    assert [goal.met for goal in (ratio_below(0.5, one, two), ratio_below(0.6, one, two))] == [False, True]
    assert [goal.met for goal in (ratio_at_least(2, two, one), ratio_at_least(3, two, one))] == [True, False]
    assert at_most(1, 1.001, "1").met is False
    assert at_least(0.99, 0.99, "99 %").met is True


def test_fidelity_by_hand() -> None:
    assert similarity(floats(1, 0), floats(1, 1)) == pytest.approx(0.5**0.5)
    assert l1(floats(0.5, 0.5), floats(1, 0)) == 1
    assert differing_bits("1100", np.array([[True, False], [True, False]])) == 2


def test_growth_and_shares_by_hand() -> None:
    usage = Usage([9, 9, 10, 10, 50, 50, 12, 14], {"main": 1.0, "workers": 3.0})
    assert usage.peak == 50
    assert usage.growth == 1.3
    assert shares(usage.cpu_seconds) == {"main": 0.25, "workers": 0.75}


def test_table_and_markdown_tell_what_was_missed() -> None:
    ours, numpy = Value(0.002, 0.003, 30), Value(0.001, 0.0015, 30)
    lines = [
        Line(Section.SEARCH, "exact", "s", ours, "NumPy", numpy, ratio_at_most(0.5, ours, numpy), "a note"),
        Line(Section.SEARCH, "exact", "s", ours, "A|B", Value(0.004, 0.004, 30), note="a note"),
        Line(Section.LOAD, "memory", "bytes", Value(1.4e9), goal=at_most(1.5e9, 1.4e9, "1.5 GB")),
    ]
    report = Report("2026-01-01T00:00:00+00:00", {}, lines=lines, complete=True)
    markdown = as_markdown(report).splitlines()
    assert "| exact [1] | 2 ms (p99 3 ms) | 1 ms (p99 1.5 ms), NumPy | 2 x | ≤ 0.5 x | no |" in markdown
    assert r"|  |  | 4 ms (p99 4 ms), A\|B | 0.5 x |  |  |" in markdown
    assert "| memory | 1.4 GB |  |  | ≤ 1.5 GB | yes |" in markdown
    assert verdict(report) == "1 of 2 goals met; missed: exact"
    console = Console(width=120, record=True, file=io.StringIO())
    print_table(report, console)
    assert "[1] a note" in console.export_text()


def test_grids_are_printed_and_written_as_markdown() -> None:
    grid = Grid(Section.QUALITY, "recall", ("kind", "average_hash"), (GridRow("mirror", (0.125,)),), "of few")
    report = Report("2026-01-01T00:00:00+00:00", {}, grids=[grid], complete=True)
    assert (
        "**recall**\n\n| kind | average_hash |\n| --- | ---: |\n| mirror | 12.5 % |\n\nof few"
        in as_markdown(report)
    )
    console = Console(width=80, record=True, file=io.StringIO())
    print_table(report, console)
    text = console.export_text()
    assert all(part in text for part in ("recall", "mirror", "12.5 %", "of few"))
