"""imrec-pg prune."""

import re
from datetime import timedelta

import click

from imrec_pg.cli.common import ask, database_options, invocation, json_option, print_json, say

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


class _Age(click.ParamType[timedelta]):
    """A time span such as 12h, 30d or 4w."""

    name = "AGE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        match = re.fullmatch(r"(\d{1,6})([hdw])", str(value).strip().lower())
        if match is None:
            self.fail(f"{value!r} is not an age: write 12h, 30d or 4w", param, ctx)
        return int(match[1]) * _UNITS[match[2]]


@click.command(
    "prune",
    epilog="""\b
Examples:
  imrec-pg prune --dry-run
  imrec-pg prune --older-than 30d
  imrec-pg prune --older-than 30d --yes      in a nightly job""",
)
@click.option(
    "--older-than",
    type=_Age(),
    default=timedelta(0),
    metavar="AGE",
    help="Only files missing this long, such as 30d.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would be forgotten.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@json_option
@database_options
def command(*, older_than: timedelta, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Forget missing files, and the features of photos that no other file holds.

    ingest marks a file as missing when it is gone; only this command forgets it. A photo that comes back
    later is read again.
    """
    with invocation().library() as library:
        found = library.prune(older_than, dry_run=True)
        if found.files and not dry_run:
            if not yes:
                _ask(found.files, found.images)
            found = library.prune(older_than)
    if as_json:
        print_json({"files": found.files, "images": found.images, "dry_run": dry_run})
        return
    what = f"{found.files:,} missing files, and {found.images:,} photos that no other file holds"
    say(
        "no file has been missing that long"
        if not found.files
        else f"{'would forget' if dry_run else 'forgot'} {what}"
    )


def _ask(files: int, images: int) -> None:
    ask(
        f"Forget {files:,} missing files, and {images:,} photos that no other file holds?",
        unasked=f"this would forget {files:,} files: pass --yes to do it, or --dry-run to look",
    )
