"""The command line: python -m benchmarks."""

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmarks.results import Section
from imrec_pg import outputs
from imrec_pg.cli.common import database_options, invocation, print_json, say
from imrec_pg.cli.main import run as run_program
from imrec_pg.errors import UsageError
from imrec_pg.images.formats import CANDIDATE_EXTENSIONS, extension

if TYPE_CHECKING:
    from benchmarks.results import Report

_PROGRAM = "python -m benchmarks"
_PLAIN_WIDTH = 180
_MARK = "imrec-pg benchmarks"  # by it an earlier report is known, and may be replaced
_OPTIONAL = ("seed", "faiss", "faiss-hnsw", "pgvector", "pgvector-hnsw", "approximate")


@click.command(
    _PROGRAM,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="""\b
Examples:
  python -m benchmarks                          everything, on 20,000 rows and 1,000 photos
  python -m benchmarks search hamming --rows 450000 --without pgvector-hnsw --without faiss-hnsw
  python -m benchmarks ingest --photos ~/Pictures --images 20000
  python -m benchmarks quality --photos ~/Pictures
  python -m benchmarks search --from-library    on the features of your own library
  python -m benchmarks --json result.json --markdown result.md

\b
It works in a folder and databases of its own and removes them at the end; your library is only
read, and only with --from-library. 450,000 rows take 5 GB of disk and 4 GB of memory.
Run nothing else meanwhile: the report says how busy the machine was.""",
)
@click.argument("sections", nargs=-1, type=click.Choice([*map(str, Section), "all"]), metavar="[SECTION]...")
@click.option(
    "--rows", type=click.IntRange(min=100), default=20_000, show_default=True, help="Rows to search in."
)
@click.option(
    "--images", type=click.IntRange(min=4), default=1_000, show_default=True, help="Photos to ingest."
)
@click.option(
    "--photos",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    help="Make photos and altered copies from these.  [default: those in the scikit-image package]",
)
@click.option(
    "--kinds",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE.csv",
    help="Kinds of these photos, in lines such as pug,dog (without .jpg).  [default: the folders they are in]",
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
@click.option(
    "--without",
    type=click.Choice(_OPTIONAL),
    multiple=True,
    help="Leave out a rival or a part; can be repeated.",
)
@click.option("--from-library", is_flag=True, help="Measure on your library's features, not generated ones.")
@click.option(
    "--scratch",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    help="Where to work.  [default: the temporary folder]",
)
@click.option(
    "--json", "json_file", metavar="FILE", help="Write JSON to FILE; - prints it instead of the table."
)
@click.option(
    "--markdown",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the table to FILE as Markdown.",
)
@click.option("--force", is_flag=True, help="Replace those files even if another program wrote them.")
@database_options
def command(
    *,
    sections: tuple[str, ...],
    rows: int,
    images: int,
    photos: Path | None,
    kinds: Path | None,
    repeat: int,
    seconds: float,
    without: tuple[str, ...],
    from_library: bool,
    scratch: Path | None,
    json_file: str | None,
    markdown: Path | None,
    force: bool,
) -> None:
    """Measure imrec-pg beside the alternatives, and print each figure with its ratio and goal.

    The alternatives are the extraction loop and the NumPy search of the project that imrec-pg succeeds, FAISS,
    and pgvector as its README sets it up.

    \b
    Sections, all of them by default:
      search   exact and approximate search by vectors
      hamming  exact search by hashes
      ingest   photos to rows
      load     rows of known features, and the index
      serve    the REST API beside SQL, one client and many
      map      clusters, and a map of all rows
      duplicates  near copies in the whole library
      startup  the command line, from the shell
      quality  how often altered copies of a photo lead to the original

    With --dsn it works on that server, in databases that it creates and drops.
    """  # noqa: D301 - click's own mark
    from benchmarks.measure import Effort
    from benchmarks.run import Options, new_report, run

    asked = invocation()
    if asked.data is not None and not from_library:
        raise UsageError("--data names a library, which is only used with --from-library")
    options = Options(
        sections=tuple(s for s in Section if s in sections or "all" in sections or not sections),
        rows=rows,
        images=images,
        photos=photos,
        kinds=kinds,
        effort=Effort(rounds=repeat, seconds=seconds),
        dsn=asked.dsn,
        library=asked.settings() if from_library else None,
        scratch=scratch,
        without=frozenset(without),
    )
    written = {
        kind: _Target(path, force=force)
        for kind, path in (
            ("json", Path(json_file) if json_file not in (None, "-") else None),
            ("markdown", markdown),
        )
        if path is not None
    }
    report = new_report(options)
    # Python's own reaction would end the program at once and leave a server running.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run(options, report, say)
    finally:
        # A long run that broke off has still measured something.
        if report.complete or report.lines:
            _show(report, written, as_json=json_file == "-")


class _Target:
    """A file for a report; that it may be written is known before hours of measuring."""

    def __init__(self, path: Path, *, force: bool) -> None:
        def kept(target: Path) -> str | None:
            return "an image" if extension(bytes(target)) in CANDIDATE_EXTENSIONS else None

        self._path = outputs.place(path)
        self._replaced = outputs.check(self._path, "a report", _is_report, force=force, kept=kept)

    def write(self, text: str) -> None:
        with outputs.new_file(self._path, self._replaced) as file:
            file.write(text.encode())


def _is_report(path: Path) -> bool:
    return outputs.is_marked(path, (b"{", b"<!--"), _MARK.encode())


def _show(report: "Report", written: dict[str, _Target], *, as_json: bool) -> None:
    import json

    from rich.console import Console

    from benchmarks.report import as_dict, as_markdown, print_table

    if as_json:
        print_json(as_dict(report))
    else:
        # A file or pipe has no width: 80 columns would fold every cell.
        print_table(report, Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH))
    if (target := written.get("json")) is not None:
        target.write(json.dumps({"program": _MARK} | as_dict(report), indent=2, default=str) + "\n")
    if (target := written.get("markdown")) is not None:
        target.write(f"<!-- {_MARK} -->\n{as_markdown(report)}")
    sys.stdout.flush()


if __name__ == "__main__":
    run_program(command, _PROGRAM)
