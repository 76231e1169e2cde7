"""python -m benchmarks."""

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from imrec_pg.cli.common import database_options, invocation, print_json, say
from imrec_pg.cli.main import run as run_program
from imrec_pg.errors import UsageError

if TYPE_CHECKING:
    from benchmarks.results import Report

# As in bench.results.Section, which is not imported for --help.
_SECTIONS = ("search", "hamming", "ingest", "load", "startup", "quality")
_PLAIN_WIDTH = 180
_LEAVABLE = ("seed", "faiss", "faiss-hnsw", "pgvector", "pgvector-hnsw", "approximate")


@click.command(
    "bench",
    epilog="""\b
Examples:
  python -m benchmarks                                     everything, on 20,000 rows and 1,000 photos
  python -m benchmarks search --rows 450000 --without pgvector-hnsw --without faiss-hnsw
  python -m benchmarks ingest --photos ~/Pictures --images 20000
  python -m benchmarks quality --photos ~/Pictures
  python -m benchmarks --json result.json --markdown result.md

It works in databases and a folder of its own, which it removes at the end; your library is left
alone. Rows at 450,000 take 5 GB of disk and 4 GB of memory. The machine should do nothing else.""",
)
@click.argument("sections", nargs=-1, type=click.Choice([*_SECTIONS, "all"]), metavar="[SECTION]...")
@click.option("--rows", type=click.IntRange(min=100), default=20_000, show_default=True, help="To search in.")
@click.option(
    "--images", type=click.IntRange(min=4), default=1_000, show_default=True, help="Photos to ingest."
)
@click.option(
    "--photos",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    help="Make photos, or altered copies, from these.  [default: from those in the scikit-image package]",
)
@click.option(
    "--repeat",
    type=click.IntRange(min=1),
    default=30,
    show_default=True,
    help="Rounds of each comparison at most.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    default=20.0,
    show_default=True,
    help="Begin no further round of a comparison after this time.",
)
@click.option("--without", type=click.Choice(_LEAVABLE), multiple=True, help="Leave out, to be done sooner.")
@click.option("--from-library", is_flag=True, help="Copy the library's features instead of generating them.")
@click.option(
    "--scratch",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    help="Where to work.  [default: the temporary folder]",
)
@click.option(
    "--json", "json_file", metavar="FILE", help="Write JSON there; - for stdout, without the table."
)
@click.option(
    "--markdown",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the table there as Markdown.",
)
@database_options
def command(
    *,
    sections: tuple[str, ...],
    rows: int,
    images: int,
    photos: Path | None,
    repeat: int,
    seconds: float,
    without: tuple[str, ...],
    from_library: bool,
    scratch: Path | None,
    json_file: str | None,
    markdown: Path | None,
) -> None:
    """Measure imrec-pg beside what you would take instead, and print the ratios.

    Sections: search (exact and approximate), hamming, ingest, load, startup, quality (are altered
    copies of a photo found?); all by default.
    Rivals: the loop and the NumPy compare of the project that this one succeeds, FAISS, and
    pgvector as its README sets it up. --dsn names a server on which databases may be created.
    """
    from benchmarks.measure import Effort
    from benchmarks.results import Section
    from benchmarks.run import Options, new_report, run

    asked = invocation()
    if asked.data is not None and not from_library:
        raise UsageError("the benchmark works in a database of its own: --data goes with --from-library only")
    chosen = tuple(s for s in Section if s in sections or "all" in sections or not sections)
    options = Options(
        sections=chosen,
        rows=rows,
        images=images,
        photos=photos,
        effort=Effort(rounds=repeat, seconds=seconds),
        dsn=asked.dsn,
        library=asked.settings() if from_library else None,
        scratch=scratch,
        without=frozenset(without),
    )
    report = new_report(options)
    # Python would end at once, and leave a server running.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run(options, report, say)
    finally:
        # A long run that breaks off has still measured something.
        if report.complete or report.lines:
            _show(report, json_file, markdown)


def _show(report: "Report", json_file: str | None, markdown: Path | None) -> None:
    import json

    from rich.console import Console

    from benchmarks.report import as_dict, as_markdown, print_table

    if json_file == "-":
        print_json(as_dict(report))
    else:
        # A file or pipe has no width: 80 columns would fold every cell.
        print_table(report, Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH))
    if json_file not in (None, "-"):
        Path(str(json_file)).write_text(json.dumps(as_dict(report), indent=2, default=str) + "\n")
    if markdown is not None:
        markdown.write_text(as_markdown(report), encoding="utf-8")
    sys.stdout.flush()


if __name__ == "__main__":
    run_program(command, "python -m benchmarks")
