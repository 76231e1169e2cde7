"""imrec-pg ingest."""

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
)
from imrec_pg.cli.index import build_after_load
from imrec_pg.cli.ingesting import (
    counts,
    explain,
    feature_option,
    retry_for_option,
    stoppable,
    summary,
    workers_option,
)
from imrec_pg.errors import UsageError
from imrec_pg.records import Feature

if TYPE_CHECKING:
    from imrec_pg.ingest.tally import Tally

_PARTLY = 3
_INTERRUPTED = 130


@click.command(
    "ingest",
    epilog="""\b
Examples:
  imrec-pg ingest ~/Pictures /mnt/nas/photos
  imrec-pg ingest ~/Pictures --features histogram,hash   no model needed; fill in the rest later
  imrec-pg ingest photos                                 the root of that name (imrec-pg root)
  imrec-pg ingest --retry                                try the failed files again

Run it again at any time: what is stored and unchanged is only checked. Ctrl-C writes what is
under way and stops; the next run goes on from there. Several may run at once, also on several
hosts: each photo is done by one of them.""",
)
@click.argument("paths", nargs=-1, type=PATH, metavar="FOLDER...")
@click.option("--retry", is_flag=True, help="Try files again that failed; without FOLDER, all of them.")
@feature_option
@click.option(
    "--batch", type=click.IntRange(min=1), default=256, show_default=True, help="Images a transaction."
)
@workers_option
@click.option(
    "--accept-deletions",
    is_flag=True,
    help="Take files for deleted though suddenly most of a folder is gone.",
)
@click.option(
    "--refresh", is_flag=True, help="Compute again what an earlier version of imrec-pg computed otherwise."
)
@retry_for_option
@click.option("--no-index", is_flag=True, help="Don't build the embedding index after the first load.")
@model_options
@json_option
@database_options
def command(
    *,
    paths: tuple[Path, ...],
    retry: bool,
    refresh: bool,
    features: tuple[Feature, ...],
    batch: int,
    workers: int | None,
    accept_deletions: bool,
    retry_for: int,
    no_index: bool,
    weights: Path | None,
    allow_other_weights: bool,
    device: str,
    as_json: bool,
) -> int:
    """Store the photos of folders, and of all folders inside them.

    Each photo is decoded once; what it shows (ResNet-18 embedding), its colours (RGB histogram)
    and its brightness pattern (average, difference and perceptual hash) are stored as columns.

    Files that are not there any more are marked as missing, and forgotten by imrec-pg prune alone.
    """
    if not paths and not retry:
        raise UsageError("name a folder of photos, such as imrec-pg ingest ~/Pictures (or --retry)")
    with invocation().library(
        weights=weights, device=device, allow_other_weights=allow_other_weights
    ) as library:
        with _progress(quiet=as_json) as show, stoppable() as stopping:
            result = library.ingest(
                paths,
                features=features,
                batch=batch,
                workers=workers,
                retry=retry,
                refresh=refresh,
                accept_deletions=accept_deletions,
                retry_for=retry_for,
                on_progress=show,
                stopping=stopping,
            )
        built = False
        if not no_index and not result.interrupted and Feature.EMBEDDING in features:
            built = build_after_load(library, quiet=as_json)
    if as_json:
        print_json(counts(result) | {"index_built": built})
    else:
        print(summary(result), flush=True)
        explain(result)
    if result.interrupted:
        return _INTERRUPTED
    doubted = result.changes.doubted
    return _PARTLY if result.tally.failed or result.tally.unreadable or doubted else 0


class _Progress:
    """A bar of files, with rate, remaining time and failures."""

    def __init__(self, *, quiet: bool) -> None:
        from tqdm import tqdm

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
