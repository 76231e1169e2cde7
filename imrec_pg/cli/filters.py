"""Options that say which photos may be in an answer, and how much each feature counts."""

import math
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from imrec_pg.cli.common import PATH, EnumChoice, Size
from imrec_pg.records import Feature, Filter

Command = TypeVar("Command", bound=Callable[..., Any])

_DATE = click.DateTime(["%Y-%m-%d", "%Y-%m", "%Y", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])


class Box(click.ParamType[list[float]]):
    """Corners on a map, such as 1,2,3.5,4."""

    name = "CORNERS"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> list[float]:
        """Return the numbers."""
        try:
            corners = [float(part) for part in str(value).split(",")]
        except ValueError:
            corners = []
        if len(corners) not in {4, 6} or not all(map(math.isfinite, corners)):
            self.fail(f"{value!r} is no box: write X1,Y1,X2,Y2, the lowest corner first", param, ctx)
        return corners


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
    click.option(
        "--format",
        "format_",
        metavar="NAME",
        help="Only of this format: JPEG (or jpg), PNG, WEBP, HEIF (or heic), DNG …",
    ),
    click.option("--cluster", type=int, metavar="N", help="Only of this cluster (imrec-pg cluster list)."),
    click.option(
        "--in-box",
        type=Box(),
        help="Only there on the map: X1,Y1,X2,Y2, or X1,Y1,Z1,X2,Y2,Z2 in 3 dimensions.",
    ),
    click.option(
        "--by-feature",
        type=EnumChoice(Feature),
        help="Whose clusters and map those are, where it is not the feature that is searched by.",
    ),
    click.option(
        "--on-map", type=click.Choice([2, 3]), help="--cluster is one found on the map of so many dimensions."
    ),
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
    cluster: int | None,
    in_box: list[float] | None,
    by_feature: Feature | None,
    on_map: int | None,
) -> Filter:
    """Return the filter that the options make."""
    return Filter(
        # The folder need not be there: the disk that holds it may be elsewhere now.
        under=under,
        root=root,
        after=after,
        before=before,
        min_size=min_size,
        max_size=max_size,
        min_width=min_width,
        min_height=min_height,
        camera=camera,
        format=format_,
        cluster=cluster,
        in_box=in_box,
        by_feature=by_feature,
        on_map=on_map,
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
