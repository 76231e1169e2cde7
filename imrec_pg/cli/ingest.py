"""imrec-pg ingest."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from imrec_pg.cli.common import (
    PATH,
    database_options,
    invocation,
    json_option,
    model_options,
    print_json,
    say,
)
from imrec_pg.cli.index import build_after_load
from imrec_pg.errors import UsageError
from imrec_pg.records import FeatureTable

if TYPE_CHECKING:
    from imrec_pg.ingest.pipeline import IngestResult
    from imrec_pg.ingest.tally import Tally

_COUNTS = (
    "found",
    "new",
    "duplicates",
    "replaced",
    "completed",
    "unchanged",
    "failed",
    "known_failures",
    "unreadable",
    "ignored",
)
_PARTLY = 3
_INTERRUPTED = 130


def _features(ctx: click.Context, param: click.Parameter, value: str) -> tuple[FeatureTable, ...]:
    names = [name.strip() for name in value.split(",") if name.strip()]
    unknown = sorted(set(names) - set(FeatureTable))
    if unknown or not names:
        raise click.BadParameter(
            f"{', '.join(unknown) or 'nothing'}: choose from {', '.join(FeatureTable)}", ctx=ctx, param=param
        )
    return tuple(table for table in FeatureTable if table in names)


@click.command(
    "ingest",
    epilog="""\b
Examples:
  imrec-pg ingest ~/Pictures /mnt/nas/photos
  imrec-pg ingest ~/Pictures --features histogram,hash   no model needed; fill in the rest later
  imrec-pg ingest --retry                                try the failed files again

Run it again at any time: what is stored and unchanged is only checked. Ctrl-C writes what is
under way and stops; the next run goes on from there.""",
)
@click.argument("paths", nargs=-1, type=PATH, metavar="FOLDER...")
@click.option("--retry", is_flag=True, help="Try files again that failed; without FOLDER, all of them.")
@click.option(
    "--features",
    default=",".join(FeatureTable),
    show_default=True,
    callback=_features,
    metavar="LIST",
    help="What to compute.",
)
@click.option(
    "--batch", type=click.IntRange(min=1), default=256, show_default=True, help="Images a transaction."
)
@click.option(
    "--workers", type=click.IntRange(1, 256), default=None, help="Decoder processes.  [default: one a core]"
)
@click.option(
    "--accept-deletions",
    is_flag=True,
    help="Take files for deleted though suddenly most of a folder is gone.",
)
@click.option("--no-index", is_flag=True, help="Don't build the embedding index after the first load.")
@model_options
@json_option
@database_options
def command(
    *,
    paths: tuple[Path, ...],
    retry: bool,
    features: tuple[FeatureTable, ...],
    batch: int,
    workers: int | None,
    accept_deletions: bool,
    no_index: bool,
    weights: Path | None,
    allow_other_weights: bool,
    device: str,
    as_json: bool,
) -> int:
    """Store the photos of folders, and of all folders inside them.

    Each photo is decoded once; what it shows (ResNet-18 embedding), its colours (RGB histogram)
    and its brightness pattern (average and difference hash) are stored as columns.

    Files that are not there any more are marked as missing, and forgotten by imrec-pg prune alone.
    """
    if not paths and not retry:
        raise UsageError("name a folder of photos, such as imrec-pg ingest ~/Pictures (or --retry)")
    with invocation().library(
        weights=weights, device=device, allow_other_weights=allow_other_weights
    ) as library:
        with _progress(quiet=as_json) as show, _stoppable() as stopping:
            result = library.ingest(
                paths,
                features=features,
                batch=batch,
                workers=workers,
                retry=retry,
                accept_deletions=accept_deletions,
                on_progress=show,
                stopping=stopping,
            )
        built = False
        if not no_index and not result.interrupted and FeatureTable.EMBEDDING in features:
            built = build_after_load(library, quiet=as_json)
    _report(result, as_json=as_json, built=built)
    if result.interrupted:
        return _INTERRUPTED
    doubted = result.changes.doubted
    return _PARTLY if result.tally.failed or result.tally.unreadable or doubted else 0


class _Stop:
    """Turns true at the first Ctrl-C; the second one ends the program at once."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self) -> bool:
        return self.asked

    def ask(self, number: int, _frame: object) -> None:
        self.asked = True
        # For SIGTERM too: dying of it would leave semaphores behind, of which Python then complains.
        signal.signal(number, signal.default_int_handler)
        say("\nimrec-pg: finishing what is under way; once more to stop at once (nothing stored is lost)")


@contextmanager
def _stoppable() -> Iterator[_Stop]:
    stop = _Stop()
    before = {number: signal.signal(number, stop.ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Progress:
    """A bar of files, with rate, remaining time and failures."""

    def __init__(self, *, quiet: bool) -> None:
        from tqdm import tqdm  # noqa: PLC0415 - not for --help

        # disable=None: no bar where stderr is no terminal, such as in a log.
        self._bar = tqdm(unit=" files", desc="ingest", disable=True if quiet else None, dynamic_ncols=True)

    def __call__(self, tally: "Tally") -> None:
        self._bar.total = tally.total
        self._bar.set_postfix(new=tally.new, failed=tally.failed, refresh=False)
        self._bar.update(tally.done - self._bar.n)

    def close(self) -> None:
        self._bar.close()


@contextmanager
def _progress(*, quiet: bool) -> Iterator[_Progress]:
    progress = _Progress(quiet=quiet)
    try:
        yield progress
    finally:
        progress.close()


def _report(result: "IngestResult", *, as_json: bool, built: bool) -> None:
    tally = result.tally
    rate = tally.written / result.seconds if result.seconds else 0.0
    if as_json:
        counts = {name: getattr(tally, name) for name in _COUNTS}
        print_json(
            counts
            | {
                "seconds": round(result.seconds, 3),
                "images_per_second": round(rate, 1),
                "interrupted": result.interrupted,
                "index_built": built,
                "missing": result.changes.gone,
                "back": result.changes.back,
                "doubted": result.changes.doubted,
            }
        )
        return
    parts = [f"{tally.new} new", f"{tally.unchanged} unchanged", f"{tally.duplicates} duplicates"]
    parts += [f"{count} {what}" for count, what in _rare(result) if count]
    parts.append(f"{tally.failed} failed")
    if tally.written:
        parts.append(f"{rate:.1f} images/s")
    print(f"{', '.join(parts)} in {result.seconds:.1f} s")
    if tally.failed or tally.known_failures:
        say("imrec-pg errors lists what could not be read; imrec-pg ingest --retry tries it again")
    changes = result.changes
    if changes.doubted:
        say(
            f"{changes.doubted:,} of {changes.known:,} known files are not there, too many to believe it: "
            "is a disk not mounted? Nothing was marked; if they are deleted, say ingest --accept-deletions"
        )
    if changes.gone:
        say("files that are gone keep their features until imrec-pg prune")
    if result.interrupted:
        say("interrupted: run the same command again to go on")
    sys.stdout.flush()


def _rare(result: "IngestResult") -> list[tuple[int, str]]:
    tally = result.tally
    return [
        (tally.replaced, "replaced"),
        (tally.completed, "completed"),
        (tally.ignored, "other files ignored"),
        (tally.unreadable, "unreadable folders"),
        (tally.known_failures, "known failures not tried"),
        (result.changes.gone, "missing from now on"),
        (result.changes.back, "back again"),
    ]
