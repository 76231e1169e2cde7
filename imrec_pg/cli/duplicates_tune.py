"""imrec-pg duplicates tune."""

import dataclasses
from pathlib import Path

import click

from imrec_pg.cli.common import (
    database_options,
    invocation,
    json_option,
    model_options,
    print_json,
    print_line,
    say,
)
from imrec_pg.cli.progress import steps


@click.command(
    "tune",
    epilog="""\b
Examples:
  imrec-pg duplicates tune
  imrec-pg duplicates tune --precision 1 --photos 300
  imrec-pg duplicates tune --json""",
)
@click.option(
    "--photos", type=click.IntRange(10, 10_000), default=100, show_default=True, help="How many to copy."
)
@click.option(
    "--precision",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.99,
    show_default=True,
    help="Which share of what is found has to be right.",
)
@json_option
@model_options
@database_options
def command(
    *,
    photos: int,
    precision: float,
    as_json: bool,
    weights: Path | None,
    allow_other_weights: bool,
    device: str,
) -> None:
    """Measure on your own photos how many copies each strictness finds, and choose one.

    It makes 19 altered copies of each of so many photos (cropped, blurred, with text on them, …), in memory, and
    judges each beside its original and beside other photos of the library. imrec-pg duplicates find goes by the
    strictness that finds most with the precision wanted, unless it is told another one.
    """
    with (
        invocation().library(
            weights=weights, device=device, allow_other_weights=allow_other_weights
        ) as library,
        steps("tune", quiet=as_json, unit="") as show,
    ):
        tuned = library.tune_duplicates(photos=photos, precision=precision, on_progress=show)
    if as_json:
        print_json(dataclasses.asdict(tuned))
    else:
        print_line(
            f"{tuned.copies:,} altered copies of {tuned.photos:,} photos, {tuned.pairs:,} unrelated pairs"
        )
        print_line("strictness         found   precision  wrong")
        for one in tuned.judged:
            name = f"{one.strictness}{' --crops' if one.crops else ''}"
            print_line(f"{name:<16} {one.recall:>7.1%}  {one.precision:>9.4f}  {one.wrong:>5,}")
    if tuned.chosen is None:
        say(f"no strictness has a precision of {precision:g} here: find goes on as before")
    else:
        say(f"duplicates find goes by: {tuned.chosen}")
