"""A whole run: set up, measure the chosen sections, tear down."""

import platform
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import machine, photos
from benchmarks.measure import Effort
from benchmarks.processes import OtherPrograms
from benchmarks.results import Report, Section
from benchmarks.scratch import Scratch, open_scratch
from imrec_pg import settings as settings_module
from imrec_pg.errors import UsageError
from imrec_pg.features import weights
from imrec_pg.settings import Settings

if TYPE_CHECKING:
    from benchmarks.workload import Workload

_ROWS = frozenset(
    {Section.SEARCH, Section.HAMMING, Section.LOAD, Section.SERVE, Section.MAP, Section.DUPLICATES}
)
_PHOTOS = frozenset({Section.INGEST, Section.STARTUP})
_GENERATED = (
    "generated: 2,000 kinds of picture of very unequal sizes, one photo in ten in a burst with another; "
    "values distributed as those of 160 real photos; queries held out from the same mixture "
    "(docs/benchmark.md)"
)


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure.

    Attributes:
        photos: a folder of photos to make others or copies from; None for those in the scikit-image wheel.
        kinds: a file that tells of what kind these photos are; None for their folders.
        dsn: the server to measure on; None for a new embedded one.
        library: take its features instead of generated ones.
        scratch: where to make the benchmark's folder; None for the system's temporary folder.
        without: rivals and parts to leave out.
    """

    sections: tuple[Section, ...] = tuple(Section)
    rows: int = 20_000
    images: int = 1_000
    photos: Path | None = None
    kinds: Path | None = None
    effort: Effort = field(default_factory=Effort)
    dsn: str | None = None
    library: Settings | None = None
    scratch: Path | None = None
    without: frozenset[str] = frozenset()


def new_report(options: Options) -> Report:
    """Return a report without lines."""
    asked: dict[str, object] = {
        "sections": [str(section) for section in options.sections],
        "rows": options.rows,
        "images": options.images,
        "rounds": options.effort.rounds,
        "seconds": options.effort.seconds,
        "without": sorted(options.without),
        "server": "named with --dsn" if options.dsn else "embedded",
    }
    return Report(datetime.now(UTC).astimezone().isoformat(timespec="seconds"), asked)


def run(options: Options, report: Report, say: Callable[[str], None]) -> None:
    """Fill the report; lines measured before an error or Ctrl-C stay in it.

    No server, database or file is left behind.

    Raises:
        UsageError: FAISS or scikit-learn is not installed, or there are no photos.
        WeightsError: the model's weights were not found.
        DatabaseUnreachableError: the server cannot be reached.
    """
    chosen = frozenset(options.sections)
    _check_packages(options)
    sources: list[Path] = []
    if chosen & _PHOTOS:
        sources = photos.sources(options.photos)
        report.data["photos"] = f"made from {len(sources)} photos: cut, resized, altered, with grain"
        # Fetched now, if need be, and not while the clock runs.
        weights.resolve(settings_module.load())
    needs_database = chosen - {Section.QUALITY}
    with open_scratch(options.dsn, options.scratch) if needs_database else nullcontext() as scratch:
        folder = Path(tempfile.gettempdir()) if scratch is None else scratch.folder
        server = {} if scratch is None else {"server": scratch.server_description()}
        report.machine = machine.describe(folder) | server
        say(f"measuring in {folder} on {report.machine['cpu']}, load {report.machine['load_average']}")
        others = OtherPrograms(list if scratch is None else scratch.server_processes)
        try:
            if scratch is not None:
                _measure(options, scratch, sources, report, say)
            if Section.QUALITY in chosen:
                _measure_quality(options, report, say)
        finally:
            # The work of a server named by --dsn cannot be told from that of other programs.
            report.others = others.share() if scratch is not None and options.dsn is None else None
    report.complete = True


def _measure(
    options: Options, scratch: Scratch, sources: list[Path], report: Report, say: Callable[[str], None]
) -> None:
    if _ROWS.intersection(options.sections):
        _measure_rows(options, scratch, report, say)
    if Section.INGEST in options.sections:
        from benchmarks.ingesting import ingest_lines

        say("ingest")
        for line in ingest_lines(scratch, sources, options.images):
            report.lines.append(line)
    if Section.STARTUP in options.sections:
        from benchmarks.startup import startup_lines

        say("start-up")
        for line in startup_lines(scratch, sources, options.effort):
            report.lines.append(line)


def _measure_rows(options: Options, scratch: Scratch, report: Report, say: Callable[[str], None]) -> None:
    from benchmarks import dataset, workload
    from imrec_pg.db.session import open_session

    chosen = frozenset(options.sections)
    say(f"{options.rows:,} rows")
    if options.library is None:
        rows = dataset.generate(scratch.folder / "rows", options.rows)
        report.data["rows"] = f"{len(rows):,}, {_GENERATED}"
    else:
        from benchmarks.from_library import copy_of

        rows = copy_of(options.library, scratch.folder / "rows", options.rows)
        report.data["rows"] = f"{len(rows):,} of the user's own library; one image in a hundred is a query"
    settings = scratch.library("rows")
    indexed = Section.LOAD in chosen or (Section.SEARCH in chosen and "approximate" not in options.without)
    loaded = workload.load(settings, rows, indexed=indexed)
    say(f"loaded in {loaded.copy_seconds:.1f} s, indexed in {loaded.index_seconds:.1f} s")
    work = workload.Workload(scratch, rows, options.effort, options.without)
    if Section.LOAD in chosen:
        from benchmarks.loading import load_lines

        say("load")
        for line in load_lines(work, settings, loaded):
            report.lines.append(line)
    with open_session(settings) as conn:
        if Section.SEARCH in chosen:
            from benchmarks.searching import search_lines

            say("search")
            for line in search_lines(work, conn):
                report.lines.append(line)
        if Section.HAMMING in chosen:
            from benchmarks.hamming import hamming_lines

            say("hamming")
            for line in hamming_lines(work, conn):
                report.lines.append(line)
    _measure_analysis(work, settings, chosen, report, say)


def _measure_analysis(
    work: "Workload",
    settings: Settings,
    chosen: frozenset[Section],
    report: Report,
    say: Callable[[str], None],
) -> None:
    if Section.SERVE in chosen:
        from benchmarks.serving import serve_lines

        say("serve")
        for line in serve_lines(work, settings):
            report.lines.append(line)
    if Section.MAP in chosen:
        from benchmarks.mapping import map_lines

        say("map")
        for line in map_lines(work, settings):
            report.lines.append(line)
    # The last, since it adds rows.
    if Section.DUPLICATES in chosen:
        from benchmarks.duplicating import duplicate_lines

        say("duplicates")
        for line in duplicate_lines(work, settings):
            report.lines.append(line)


def _measure_quality(options: Options, report: Report, say: Callable[[str], None]) -> None:
    from benchmarks.kinds import read_kinds
    from benchmarks.quality import measure
    from imrec_pg.features.model import EmbedderSource

    say("quality")
    found = measure(
        photos.candidates(options.photos), EmbedderSource(settings_module.load()), read_kinds(options.kinds)
    )
    report.data["copies"] = found.data
    report.add(found.lines)
    report.grids.extend(found.grids)


def _check_packages(options: Options) -> None:
    chosen = frozenset(options.sections)
    faiss = chosen & {Section.SEARCH, Section.HAMMING} and "faiss" not in options.without
    if faiss and find_spec("faiss") is None:
        raise UsageError(
            f"FAISS, a rival, is not installed for this Python {platform.python_version()}: "
            "pip install 'imrec-pg[bench]', or leave it out with --without faiss"
        )
    if Section.MAP in chosen and find_spec("umap") is None:
        raise UsageError(
            "umap-learn is not installed: pip install 'imrec-pg[map]', or name the sections without map"
        )
    if Section.QUALITY in chosen and find_spec("sklearn") is None:
        raise UsageError(
            "scikit-learn, which computes recall and mean average precision, is not installed: "
            "pip install 'imrec-pg[bench]', or name the sections without quality"
        )
