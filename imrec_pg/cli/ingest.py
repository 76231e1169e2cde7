"""imrec-pg ingest, and the options that watch shares."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
from imrec_pg.cli.ingest_output import counts, explain, summary
from imrec_pg.cli.progress import ingested
from imrec_pg.errors import UsageError
from imrec_pg.records import Feature

_PARTLY = 3
_INTERRUPTED = 130


exclude_option = click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Leave out files and folders, as in .gitignore: '*.gif', cache/, /2019/raw. Repeatable.",
)


def _features(ctx: click.Context, param: click.Parameter, value: str) -> tuple[Feature, ...]:
    names = [name.strip().lower() for name in value.split(",") if name.strip()]
    unknown = sorted(set(names) - set(Feature))
    if unknown or not names:
        raise click.BadParameter(
            f"{', '.join(unknown) or 'nothing'}: choose from {', '.join(Feature)}", ctx=ctx, param=param
        )
    return tuple(feature for feature in Feature if feature in names)


feature_option = click.option(
    "--features",
    default=",".join(Feature),
    show_default=True,
    callback=_features,
    metavar="LIST",
    help="The features to compute.",
)
workers_option = click.option(
    "--workers", type=click.IntRange(1, 256), default=None, help="Decoder processes.  [default: one per core]"
)
retry_for_option = click.option(
    "--retry-for",
    type=click.IntRange(min=0),
    default=300,
    show_default=True,
    metavar="SECONDS",
    help="How long to retry while the database is away: restarting, or its disk full.",
)


class Stop:
    """Becomes true at the first Ctrl-C; the second one ends the program at once."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self) -> bool:
        """Return whether to stop."""
        return self.asked

    def ask(self, number: int, _frame: object) -> None:
        """Stop soon: a signal handler."""
        self.asked = True
        # For SIGTERM too: dying of it would leave semaphores behind, and Python complains about those.
        signal.signal(number, signal.default_int_handler)
        say("\nimrec-pg: finishing the photos in progress; interrupt again to stop at once (nothing is lost)")


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Yield an object that becomes true at Ctrl-C or SIGTERM."""
    stop = Stop()
    before = {number: signal.signal(number, stop.ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@click.command(
    "ingest",
    epilog="""\b
Examples:
  imrec-pg ingest ~/Pictures /mnt/nas/photos
  imrec-pg ingest ~/Pictures --features histogram,hash   no model needed; fill in the rest later
  imrec-pg ingest photos                                 the root of that name (imrec-pg root)
  imrec-pg ingest --retry                                try the failed files again

You can run it again at any time: it only checks photos that are stored and unchanged. Ctrl-C stores
the photos in progress and stops; the next run continues. Several can run at once, also on several
hosts: each photo is handled by one of them.""",
)
@click.argument("paths", nargs=-1, type=PATH, metavar="FOLDER...")
@click.option("--retry", is_flag=True, help="Try failed files again; without FOLDER, all of them.")
@feature_option
@exclude_option
@click.option(
    "--batch", type=click.IntRange(min=1), default=256, show_default=True, help="Images per transaction."
)
@workers_option
@click.option(
    "--accept-deletions",
    is_flag=True,
    help="Mark files as missing even if most of a folder is suddenly gone.",
)
@click.option(
    "--accept-truncated",
    is_flag=True,
    help="Store JPEGs whose end is missing, as far as they go; with --retry also those that failed before.",
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
    exclude: tuple[str, ...],
    batch: int,
    workers: int | None,
    accept_deletions: bool,
    accept_truncated: bool,
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

    Files that are gone are marked as missing; only imrec-pg prune forgets them.
    """
    if not paths and not retry:
        raise UsageError("name a folder of photos, such as imrec-pg ingest ~/Pictures (or --retry)")
    with invocation().library(
        weights=weights, device=device, allow_other_weights=allow_other_weights
    ) as library:
        with ingested(quiet=as_json) as show, stoppable() as stopping:
            result = library.ingest(
                paths,
                features=features,
                exclude=exclude,
                batch=batch,
                workers=workers,
                retry=retry,
                refresh=refresh,
                accept_deletions=accept_deletions,
                accept_truncated=accept_truncated,
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
