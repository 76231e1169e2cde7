"""imrec-pg errors."""

import dataclasses
from collections import Counter

import click

from imrec_pg.cli.common import database_options, invocation, json_option, print_json, say

# What each class of failure means and what helps, the most common first.
_MEANING = {
    "Empty": "the files are empty: copy them again from their source",
    "Truncated": "their end is missing: copy them again from their source",
    "Corrupt": "their content is broken: take another copy, or a backup",
    "NotAnImage": "their content is not an image, whatever the name says",
    "UnsupportedFormat": "imrec-pg does not read their format: convert them to JPEG",
    "DecoderMissing": "their decoder is not installed: install the extra named above, then ingest --retry",
    "TooLarge": "larger than any photo: skipped",
    "TooManyPixels": "more pixels than any camera has, or a malicious file: skipped",
    "Unreadable": "no permission to read them, a disk error, or an unfinished download: check permissions and the disk",
    "ChangedWhileRead": "another program was writing them: the next ingest reads them again",
    "OutOfMemory": "decoding took too much memory: ingest --retry with fewer --workers",
    "Refused": "the database does not take what was read of them: please report it",
    "DecoderTimeout": "decoding did not end: the file is broken or malicious",
    "DecoderCrashed": "they crashed the decoder: the file is broken or malicious",
}


@click.command(
    "errors",
    epilog="""\b
Examples:
  imrec-pg errors
  imrec-pg errors --class Truncated
  imrec-pg errors --missing              the missing files, and since when
  imrec-pg errors --json | jq -r .[].path
  imrec-pg ingest --retry                try them again""",
)
@click.option(
    "--class", "kind", type=click.Choice(list(_MEANING), case_sensitive=False), help="Only these failures."
)
@click.option("--missing", is_flag=True, help="List the missing files instead.")
@json_option
@database_options
def command(*, kind: str | None, missing: bool, as_json: bool) -> None:
    """List the files that could not be read, and why.

    ingest tries them again when they change, and with --retry.
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
        say(f"  {number:,} {name}: {_MEANING.get(name, 'unknown to this version of imrec-pg')}")


def _list_missing(*, as_json: bool) -> None:
    with invocation().library() as library:
        gone = library.missing()
    if as_json:
        print_json([dataclasses.asdict(file) for file in gone])
        return
    for file in gone:
        print(f"{file.path}: missing since {file.since.astimezone():%Y-%m-%d %H:%M}")
    say(f"{len(gone):,} files are missing: imrec-pg prune forgets them" if gone else "no file is missing")
