"""imrec-pg errors."""

import dataclasses
from collections import Counter

import click

from imrec_pg.cli.common import database_options, invocation, json_option, print_json, say

# What each class of failure means, and what helps; in the order in which one would look.
_MEANING = {
    "Empty": "they hold nothing: copy them again from where they came",
    "Truncated": "their end is missing: copy them again from where they came",
    "Corrupt": "their content is broken: take another copy, or a backup",
    "NotAnImage": "their content is no image, whatever the name says",
    "UnsupportedFormat": "images of a format that is not read: convert them to JPEG",
    "DecoderMissing": "their decoder is not installed: install the extra that is named, then ingest --retry",
    "TooLarge": "larger than any photo: left alone",
    "TooManyPixels": "more pixels than any camera makes, or a trap: left alone",
    "Unreadable": "they may not be read, or the disk fails: look at their permissions and the disk",
    "ChangedWhileRead": "somebody was writing to them: the next ingest takes them as they are then",
    "OutOfMemory": "decoding took too much memory: ingest --retry with fewer --workers",
    "DecoderTimeout": "decoding never ended: the file is broken, or a trap",
    "DecoderCrashed": "the decoder died of them: the file is broken, or a trap",
}


@click.command(
    "errors",
    epilog="""\b
Examples:
  imrec-pg errors
  imrec-pg errors --class Truncated
  imrec-pg errors --missing              files that were there once, and since when they are gone
  imrec-pg errors --json | jq -r .[].path
  imrec-pg ingest --retry                try them again""",
)
@click.option(
    "--class", "kind", type=click.Choice(list(_MEANING), case_sensitive=False), help="Only these failures."
)
@click.option("--missing", is_flag=True, help="List the files that are gone instead.")
@json_option
@database_options
def command(*, kind: str | None, missing: bool, as_json: bool) -> None:
    """List the files that could not be read, and why.

    They are tried again when they change, or with imrec-pg ingest --retry.
    """
    if missing:
        _list_missing(as_json=as_json)
        return
    with invocation().library() as library:
        failures = [f for f in library.failures() if kind in (None, f.error_class)]
    if as_json:
        print_json([dataclasses.asdict(failure) for failure in failures])
        return
    for failure in failures:
        print(f"{failure.path}: {failure.error_class}: {failure.error}")
    say(f"{len(failures):,} files could not be read" if failures else "no file failed")
    for name, number in Counter(failure.error_class for failure in failures).most_common():
        say(f"  {number:,} {name}: {_MEANING.get(name, 'of another version of imrec-pg')}")


def _list_missing(*, as_json: bool) -> None:
    with invocation().library() as library:
        gone = library.missing()
    if as_json:
        print_json([dataclasses.asdict(file) for file in gone])
        return
    for file in gone:
        print(f"{file.path}: gone since {file.since.astimezone():%Y-%m-%d %H:%M}")
    say(f"{len(gone):,} files are gone: imrec-pg prune forgets them" if gone else "no file is gone")
