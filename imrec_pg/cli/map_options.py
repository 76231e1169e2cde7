"""What the commands of clusters and maps have in common."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from imrec_pg.cli.common import EnumChoice
from imrec_pg.records import Feature

if TYPE_CHECKING:
    from imrec_pg.library import Library

feature_option = click.option(
    "--feature",
    type=EnumChoice(Feature),
    default=Feature.EMBEDDING,
    show_default=True,
    help="By what photos are alike: embedding or histogram.",
)
seed_option = click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=42,
    show_default=True,
    help="The same photos and seed give the same result on the same machine.",
)
on_map_option = click.option(
    "--on-map", type=click.Choice([2, 3]), help="Those found on the map of so many dimensions."
)
dims_option = click.option(
    "--dims", type=click.Choice([2, 3]), help="Of which map; where it is left out, the one in space first."
)
force_option = click.option(
    "--force", is_flag=True, help="Replace a file that imrec-pg did not write; never a stored photo."
)


def kept_by(library: "Library") -> Callable[[Path], str | None]:
    """Return what says that a file is a stored photo, which no output may replace."""
    return lambda path: "a stored photo" if library.holds(path) else None


class Number(click.ParamType[int | str]):
    """How many clusters: a number, or auto."""

    name = "N"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """Return the number, or "auto"."""
        if isinstance(value, int) or str(value) == "auto":
            return value if isinstance(value, int) else "auto"
        try:
            return int(str(value))
        except ValueError:
            self.fail(f"{value!r} is neither a number nor auto", param, ctx)


def staleness(later: int, lacking: int, images: int) -> str:
    """Return how far clusters or a map lag behind, in a few words; nothing where they don't."""
    parts = []
    if later:
        parts.append(f"{later:,} came later ({later / max(1, images + later):.0%})")
    if lacking:
        parts.append(f"{lacking:,} are not in it")
    return f"; {', '.join(parts)}" if parts else ""
