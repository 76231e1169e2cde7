"""Options that say which photos may be in an answer, and how much each feature counts."""

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from imrec_pg.cli.common import PATH, Size
from imrec_pg.paths import display_path
from imrec_pg.records import Feature, Filter

Command = TypeVar("Command", bound=Callable[..., Any])

_DATE = click.DateTime(["%Y-%m-%d", "%Y-%m", "%Y", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])
_OPTIONS = (
    click.option("--under", type=PATH, metavar="DIR", help="Only photos below this folder."),
    click.option("--root", metavar="NAME", help="Only photos of this root (imrec-pg status lists them)."),
    click.option("--after", type=_DATE, metavar="DATE", help="Only taken then or later: 2024-07-31 or 2024."),
    click.option("--before", type=_DATE, metavar="DATE", help="Only taken before."),
    click.option("--min-size", type=Size(), help="Only files of this size or more: 500kB, 2MB."),
    click.option("--max-size", type=Size(), help="Only files of this size or less."),
    click.option("--min-width", type=click.IntRange(min=1), metavar="PIXELS", help="Only as wide or wider."),
    click.option(
        "--min-height", type=click.IntRange(min=1), metavar="PIXELS", help="Only as high or higher."
    ),
    click.option("--camera", metavar="TEXT", help="Only by cameras with this in make or model."),
    click.option("--format", "format_", metavar="NAME", help="Only of this format: JPEG, PNG, WEBP …"),
)


def filter_options(command: Command) -> Command:
    """Add --under, --root, --after and the rest; filter_from makes them a Filter."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def filter_from(
    *,
    under: Path | None,
    root: str | None,
    after: datetime | None,
    before: datetime | None,
    min_size: int | None,
    max_size: int | None,
    min_width: int | None,
    min_height: int | None,
    camera: str | None,
    format_: str | None,
) -> Filter:
    """Return the filter that the options make."""
    return Filter(
        # The folder need not be there: the disk that holds it may be elsewhere now.
        under=None if under is None else display_path(os.path.abspath(os.fsencode(under))),  # noqa: PTH100 - bytes
        root=root,
        after=after,
        before=before,
        min_size=min_size,
        max_size=max_size,
        min_width=min_width,
        min_height=min_height,
        camera=camera,
        format=format_,
    )


class Weights(click.ParamType[dict[Feature, float]]):
    """How much each feature counts, such as embedding=2,histogram=1; a dict of Feature to float."""

    name = "WEIGHTS"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[Feature, float]:
        """Return the weights."""
        weights: dict[Feature, float] = {}
        for part in str(value).split(","):
            name, _, number = part.partition("=")
            try:
                weight = float(number)
                feature = Feature(name.strip().lower())
            except ValueError:
                self.fail(
                    f"{part!r} is no weight; write embedding=2,histogram=1, of {', '.join(Feature)}",
                    param,
                    ctx,
                )
            if not 0 <= weight < float("inf"):
                self.fail(f"the weight of {feature} is {number}, not a number of 0 or more", param, ctx)
            weights[feature] = weight
        return weights
