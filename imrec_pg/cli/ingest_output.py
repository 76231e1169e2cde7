"""What ingest and watch print of a result."""

from typing import TYPE_CHECKING

from imrec_pg.cli.common import say
from imrec_pg.paths import display_path

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
    "excluded",
    "previews",
)


def counts(result: "IngestResult") -> dict[str, object]:
    """Return the result as it is printed in JSON."""
    return {name: getattr(result.tally, name) for name in _COUNTS} | {
        "seconds": round(result.seconds, 3),
        "images_per_second": round(_rate(result), 1),
        "interrupted": result.interrupted,
        "missing": result.changes.gone,
        "back": result.changes.back,
        "doubted": result.changes.doubted,
        "doubted_folders": [display_path(doubt.folder) for doubt in result.changes.doubts],
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
    """Print to stderr what to know about the result, and what to do."""
    tally, changes = result.tally, result.changes
    if tally.failed or tally.known_failures:
        say("imrec-pg errors lists what could not be read; imrec-pg ingest --retry tries it again")
    for doubt in changes.doubts:
        say(
            f"{display_path(doubt.folder)}: {doubt.gone:,} of {doubt.known:,} known files are gone, suspiciously "
            "many: is a disk not mounted? None of them was marked as missing; if they are deleted, use "
            "ingest --accept-deletions"
        )
    if changes.gone:
        say("missing files keep their features until imrec-pg prune")
    if result.interrupted:
        say("interrupted: run the same command again to continue")


def has_news(result: "IngestResult") -> bool:
    """Return whether anything was stored, was marked or went wrong."""
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
        (tally.excluded, "left out by pattern"),
        (tally.previews, "folders of previews skipped"),
        (tally.unreadable, "unreadable folders"),
        (tally.known_failures, "known failures not retried"),
        (result.changes.gone, "now missing"),
        (result.changes.back, "back again"),
    ]
