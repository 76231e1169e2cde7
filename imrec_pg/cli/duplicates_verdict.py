"""imrec-pg duplicates verdict."""

from pathlib import Path

import click

from imrec_pg.analysis.duplicates import Verdict
from imrec_pg.cli.common import PATH, database_options, invocation, say

_FORGET = "none"


@click.command(
    "verdict",
    epilog="""\b
Examples:
  imrec-pg duplicates verdict a.jpg b.jpg different
  imrec-pg duplicates verdict a.jpg b.jpg none            forget it""",
)
@click.argument("photo", type=PATH)
@click.argument("other", type=PATH)
@click.argument("verdict", type=click.Choice([*map(str, Verdict), _FORGET]))
@database_options
def command(*, photo: Path, other: Path, verdict: str) -> None:
    """Say that two photos (paths, or ids of images) are the same, alternates or different.

    Photos that are different or alternates are in no group together; those that are the same always are. It
    holds for their contents: moved, forgotten or renamed, they are known again.
    """
    with invocation().library() as library:
        before = library.set_verdict(photo, other, None if verdict == _FORGET else verdict)
    say(f"{verdict} (before: {before or _FORGET})")
