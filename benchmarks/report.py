"""Print a report: a table for the terminal, Markdown for the documentation, JSON for programs."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.results import Grid, Line, Report, Value

_HEADINGS = ("what", "ours", "rival", "ratio", "goal", "met?")
_QUIET = 0.05


def as_dict(report: Report) -> dict[str, object]:
    """Return everything, for JSON."""
    lines = [dataclasses.asdict(line) | {"ratio": line.ratio} for line in report.lines]
    return dataclasses.asdict(report) | {"lines": lines}


def print_table(report: Report, console: Console) -> None:
    """Print the machine, the data, a row a line, and the grids."""
    for text in _preamble(report):
        console.print(Text(text), style="dim")
    table = Table(pad_edge=False, header_style="bold")
    for heading in _HEADINGS:
        table.add_column(heading, overflow="fold", justify="right" if heading == "ratio" else "left")
    previous = None
    for line, cells in zip(report.lines, _rows(report), strict=True):
        if previous is not None and line.section != previous:
            table.add_section()
        previous = line.section
        style = "" if line.goal is None else ("green" if line.goal.met else "red")
        table.add_row(*(Text(cell) for cell in cells), style=style)
    console.print(table)
    for text in _notes(report):
        console.print(Text(text))
    for grid in report.grids:
        _print_grid(grid, console)
    console.print(Text(verdict(report)))


def as_markdown(report: Report) -> str:
    """Return the same as Markdown, ready to paste."""
    table = _markdown([_HEADINGS, ("---", "---", "---", "---:", "---", "---"), *_rows(report)])
    preamble = "\n".join(f"- {text}" for text in _preamble(report))
    notes = "".join(f"{text}  \n" for text in _notes(report))
    grids = "".join(f"{_markdown_grid(grid)}\n\n" for grid in report.grids)
    return f"{preamble}\n\n{table}\n\n{notes}\n{grids}{verdict(report)}\n"


def verdict(report: Report) -> str:
    """Return how many goals were met, and which were missed."""
    goals = [line for line in report.lines if line.goal is not None]
    missed = [line.what for line in goals if line.goal is not None and not line.goal.met]
    text = f"{len(goals) - len(missed)} of {len(goals)} goals met"
    if missed:
        text += f"; missed: {'; '.join(missed)}"
    return text if report.complete else f"{text} (the run broke off)"


def figure(value: Value, unit: str) -> str:
    """Return a figure for people, with its 99th percentile where there is one."""
    text = _number(value.number, unit)
    return text if value.p99 is None else f"{text} (p99 {_number(value.p99, unit)})"


def _rows(report: Report) -> Iterator[tuple[str, ...]]:
    """Yield the cells of each line; what a line shares with the one before is left empty."""
    numbers = {note: number for number, note in enumerate(_distinct_notes(report), start=1)}
    previous: Line | None = None
    for line in report.lines:
        what, ours, *rest = _cells(line)
        if previous is not None and (line.what, line.ours) == (previous.what, previous.ours):
            what = ours = ""
        elif line.note:
            what += f" [{numbers[line.note]}]"
        yield (what, ours, *rest)
        previous = line


def _print_grid(grid: Grid, console: Console) -> None:
    table = Table(title=grid.title, title_justify="left", pad_edge=False, header_style="bold")
    for number, heading in enumerate(grid.columns):
        table.add_column(heading, overflow="fold", justify="right" if number else "left")
    for cells in _grid_rows(grid):
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)
    if grid.note:
        console.print(Text(grid.note))


def _markdown_grid(grid: Grid) -> str:
    rule = ("---", *("---:" for _ in grid.columns[1:]))
    table = _markdown([grid.columns, rule, *_grid_rows(grid)])
    return "\n\n".join(part for part in (f"**{grid.title}**", table, grid.note) if part)


def _grid_rows(grid: Grid) -> Iterator[tuple[str, ...]]:
    for row in grid.rows:
        yield row.name, *(f"{100 * share:.1f} %" for share in row.shares)


def _markdown(rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows)


def _distinct_notes(report: Report) -> list[str]:
    return list(dict.fromkeys(line.note for line in report.lines if line.note))


def _notes(report: Report) -> list[str]:
    return [f"[{number}] {note}" for number, note in enumerate(_distinct_notes(report), start=1)]


def _cells(line: Line) -> tuple[str, ...]:
    rival = ""
    if line.rival is not None and line.theirs is not None:
        rival = f"{figure(line.theirs, line.unit)}, {line.rival}"
    return (
        line.what,
        figure(line.ours, line.unit),
        rival,
        "" if line.ratio is None else f"{line.ratio:.3g} x",
        line.goal.text if line.goal else "",
        "" if line.goal is None else ("yes" if line.goal.met else "no"),
    )


def _number(number: float, unit: str) -> str:
    match unit:
        case "s":
            return f"{number * 1000:.3g} ms" if number < 1 else f"{number:.3g} s"
        case "bytes":
            return _bytes(number)
        case "share":
            return f"{number * 100:.4g} %"
        case "rows/s" | "images/s":
            return f"{number:,.0f} {unit}" if number >= 100 else f"{number:.1f} {unit}"  # noqa: PLR2004
        case _:
            return f"{number:.5g}"


def _busy(others: float) -> str:
    text = f"other programs took {others:.0%} of the processors' time meanwhile"
    return f"{text}: too much for figures to be quoted" if others > _QUIET else text


def _bytes(number: float) -> str:
    for unit in ("B", "kB", "MB"):
        if number < 1000:  # noqa: PLR2004 - SI
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} GB"


def _preamble(report: Report) -> list[str]:
    machine = report.machine
    if not machine:
        return [report.started_at]
    memory = machine["memory_bytes"]
    assert isinstance(memory, int)
    packages = machine["packages"]
    server = machine.get("server", {})
    assert isinstance(packages, Mapping)
    assert isinstance(server, Mapping)
    return [
        f"{report.started_at}, load average {machine['load_average']} at the start",
        f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads, {_bytes(memory)} memory",
        f"{machine['os']}, {machine['file_system']}",
        f"Python {machine['python']}, {', '.join(f'{name} {version}' for name, version in packages.items())}",
        *([", ".join(f"{name} {value}" for name, value in server.items())] if server else []),
        *([] if report.others is None else [_busy(report.others)]),
        *(f"{name}: {text}" for name, text in report.data.items()),
        *(["times are medians (and 99th percentiles)"] if "server" in machine else []),
        "ratio is ours divided by the rival's",
    ]
