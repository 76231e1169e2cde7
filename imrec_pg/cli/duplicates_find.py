"""imrec-pg duplicates find."""

import dataclasses

import click

from imrec_pg.analysis.duplicates import Strictness
from imrec_pg.cli.common import (
    EnumChoice,
    database_options,
    invocation,
    json_option,
    print_json,
    print_line,
)
from imrec_pg.cli.progress import steps


@click.command(
    "find",
    epilog="""\b
Examples:
  imrec-pg duplicates find
  imrec-pg duplicates find --strictness strict
  imrec-pg duplicates find --crops          slower: crops and mirrored copies too""",
)
@click.option(
    "--strictness",
    type=EnumChoice(Strictness),
    help="How alike two photos must be; by default what duplicates tune chose, or else normal.",
)
@click.option("--crops", is_flag=True, help="Also compare each photo with the ten nearest by embedding.")
@json_option
@database_options
def command(*, strictness: Strictness | None, crops: bool, as_json: bool) -> None:
    """Look for near copies in the whole library, and put them into groups.

    From then on, ingest and watch look for copies of each new photo in the same way. Groups keep their ids, and
    what you said of pairs is kept. Ctrl-C leaves everything as it was.
    """
    with invocation().library() as library, steps("duplicates", quiet=as_json, unit="") as show:
        found = library.find_duplicates(strictness=strictness, crops=crops, on_progress=show)
    if as_json:
        print_json(dataclasses.asdict(found))
        return
    print_line(f"{found.pairs:,} pairs in {found.groups:,} groups")
