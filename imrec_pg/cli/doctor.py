"""imrec-pg doctor."""

import dataclasses
import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from imrec_pg.cli.common import database_options, invocation, json_option, print_json
from imrec_pg.paths import terminal_text

if TYPE_CHECKING:
    from rich.console import Console

    from imrec_pg.doctor import Finding

_STYLES = {"ok": "green", "notice": "cyan", "warning": "yellow", "error": "bold red"}
_INDENT = " " * 9  # "warning", the longest level, and two spaces


@click.command(
    "doctor",
    epilog="""\b
Examples:
  imrec-pg doctor
  imrec-pg doctor --verbose
  imrec-pg doctor --json | jq '.[] | select(.level == "error")'

Levels: error, something does not work or gives wrong answers; warning, it works, but slowly, or will
break one day; notice, worth knowing, or it could not be checked.

Exit codes: 0 nothing worse than a notice, 1 a warning or an error, 4 database unreachable.""",
)
@click.option("-v", "--verbose", is_flag=True, help="Also show what is fine.")
@click.option("--full", is_flag=True, help="Read all rows of large tables, not a sample.")
@json_option
@database_options
def command(*, verbose: bool, full: bool, as_json: bool) -> int:
    """Check the database in use: what is wrong, what it means, and how to fix it.

    doctor changes nothing. A role that may only read is enough; doctor says what it could not check.
    """
    from imrec_pg.doctor import examine

    findings = examine(invocation().settings(), full=full)
    if as_json:
        print_json([dataclasses.asdict(finding) for finding in findings])
    else:
        _print(findings, verbose=verbose)
    return int(any(finding.serious for finding in findings))


def _print(findings: "Sequence[Finding]", *, verbose: bool) -> None:
    from rich.console import Console

    # A file or pipe has no width: do not wrap lines there.
    console = Console(width=None if sys.stdout.isatty() else 10_000, highlight=False, soft_wrap=True)
    worst_first = list(reversed(_STYLES))
    for finding in sorted(findings, key=lambda finding: worst_first.index(finding.level)):
        if verbose or finding.level != "ok":
            _print_one(finding, console)
    fine = sum(finding.level == "ok" for finding in findings)
    if not verbose:
        console.print(f"{fine} findings are fine (--verbose shows them)", markup=False)


def _print_one(finding: "Finding", console: "Console") -> None:
    from rich.text import Text

    console.print(
        Text(f"{finding.level:<{len(_INDENT)}}", style=_STYLES[finding.level]),
        Text(_folded(f"{finding.check}: {finding.what}", console.width)),
        sep="",
    )
    if finding.why:
        console.print(Text(_INDENT + _folded(finding.why, console.width)))
    if finding.fix:
        # Not wrapped, so that it can be copied.
        console.print(Text(f"{_INDENT}fix: {terminal_text(finding.fix)}", style="bold"))


def _folded(text: str, width: int) -> str:
    return textwrap.fill(
        terminal_text(text),
        max(width, 40),
        initial_indent=_INDENT,
        subsequent_indent=_INDENT,
        break_on_hyphens=False,
    ).removeprefix(_INDENT)
