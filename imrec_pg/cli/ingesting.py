"""What ingest and watch share: options, how they are stopped, and what they say of the result."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from imrec_pg.cli.common import say
from imrec_pg.records import Feature

if TYPE_CHECKING:
    from imrec_pg.ingest.pipeline import IngestResult

_COUNTS = (
    "found",
    "new",
    "duplicates",
    "replaced",
    "completed",
    "elsewhere",
    "unchanged",
    "failed",
    "known_failures",
    "unreadable",
    "ignored",
)


def _features(ctx: click.Context, param: click.Parameter, value: str) -> tuple[Feature, ...]:
    names = [name.strip() for name in value.split(",") if name.strip()]
    unknown = sorted(set(names) - set(Feature))
    if unknown or not names:
        raise click.BadParameter(
            f"{', '.join(unknown) or 'nothing'}: choose from {', '.join(Feature)}", ctx=ctx, param=param
        )
    return tuple(table for table in Feature if table in names)


feature_option = click.option(
    "--features",
    default=",".join(Feature),
    show_default=True,
    callback=_features,
    metavar="LIST",
    help="What to compute.",
)
workers_option = click.option(
    "--workers", type=click.IntRange(1, 256), default=None, help="Decoder processes.  [default: one a core]"
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
    """Turns true at the first Ctrl-C; the second one ends the program at once."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self) -> bool:
        """Return whether to stop."""
        return self.asked

    def ask(self, number: int, _frame: object) -> None:
        """Stop soon: a signal handler."""
        self.asked = True
        # For SIGTERM too: dying of it would leave semaphores behind, of which Python then complains.
        signal.signal(number, signal.default_int_handler)
        say("\nimrec-pg: finishing what is under way; once more to stop at once (nothing stored is lost)")


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Yield what turns true at Ctrl-C or SIGTERM."""
    stop = Stop()
    before = {number: signal.signal(number, stop.ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def counts(result: "IngestResult") -> dict[str, object]:
    """Return the result as JSON has it."""
    return {name: getattr(result.tally, name) for name in _COUNTS} | {
        "seconds": round(result.seconds, 3),
        "images_per_second": round(_rate(result), 1),
        "interrupted": result.interrupted,
        "missing": result.changes.gone,
        "back": result.changes.back,
        "doubted": result.changes.doubted,
    }


def summary(result: "IngestResult") -> str:
    """Return the result as one line."""
    tally = result.tally
    parts = [f"{tally.new} new", f"{tally.unchanged} unchanged", f"{tally.duplicates} duplicates"]
    parts += [f"{count} {what}" for count, what in _rare(result) if count]
    parts.append(f"{tally.failed} failed")
    if tally.written:
        parts.append(f"{_rate(result):.1f} images/s")
    return f"{', '.join(parts)} in {result.seconds:.1f} s"


def explain(result: "IngestResult") -> None:
    """Say on stderr what there is to know of the result, and to do."""
    tally, changes = result.tally, result.changes
    if tally.failed or tally.known_failures:
        say("imrec-pg errors lists what could not be read; imrec-pg ingest --retry tries it again")
    if changes.doubted:
        say(
            f"{changes.doubted:,} of {changes.known:,} known files are not there, too many to believe it: "
            "is a disk not mounted? Nothing was marked; if they are deleted, say ingest --accept-deletions"
        )
    if changes.gone:
        say("files that are gone keep their features until imrec-pg prune")
    if result.interrupted:
        say("interrupted: run the same command again to go on")


def has_news(result: "IngestResult") -> bool:
    """Return whether anything was stored or marked, or went wrong."""
    tally, changes = result.tally, result.changes
    return bool(tally.written or tally.unreadable or changes.gone or changes.back or changes.doubted)


def _rate(result: "IngestResult") -> float:
    return result.tally.written / result.seconds if result.seconds else 0.0


def _rare(result: "IngestResult") -> list[tuple[int, str]]:
    tally = result.tally
    return [
        (tally.replaced, "replaced"),
        (tally.completed, "completed"),
        (tally.elsewhere, "left to another ingest"),
        (tally.ignored, "other files ignored"),
        (tally.unreadable, "unreadable folders"),
        (tally.known_failures, "known failures not tried"),
        (result.changes.gone, "missing from now on"),
        (result.changes.back, "back again"),
    ]
