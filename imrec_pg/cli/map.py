"""imrec-pg map."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from imrec_pg.cli.common import (
    PATH,
    database_options,
    invocation,
    json_option,
    print_json,
    print_line,
    say,
)
from imrec_pg.cli.map_export import export
from imrec_pg.cli.map_options import (
    dims_option,
    feature_option,
    force_option,
    kept_by,
    seed_option,
    staleness,
)
from imrec_pg.cli.progress import steps
from imrec_pg.outputs import shown as shown_path
from imrec_pg.records import Feature

if TYPE_CHECKING:
    from imrec_pg.analysis.records import MapInfo


_COLOURS = ("cluster", "map-cluster", "folder", "year", "none")


@click.group(
    "map",
    epilog="""\b
Examples:
  imrec-pg map build
  imrec-pg map show
  imrec-pg map plot map.png
  imrec-pg map export --html map.html
  imrec-pg search a.jpg --in-box 1.5,2,3.5,4""",
)
def command() -> None:
    """Lay all photos out on a map, where alike ones lie together.

    New photos are placed on the maps that there are as they are stored.
    """


command.add_command(export)


@command.command(
    epilog="""\b
Examples:
  imrec-pg map build
  imrec-pg map build --feature histogram --dims 2 --neighbours 30"""
)
@feature_option
@click.option(
    "--dims", type=click.Choice([2, 3]), default=3, show_default=True, help="A flat map, or one in space."
)
@click.option(
    "--neighbours",
    type=click.IntRange(2, 200),
    default=15,
    show_default=True,
    help="Photos that each is to lie near to: few show detail, many the whole.",
)
@click.option(
    "--min-dist",
    type=click.FloatRange(0, 1),
    default=0.1,
    show_default=True,
    help="How close photos may lie: small values make tight groups.",
)
@seed_option
@database_options
def build(*, feature: Feature, dims: int, neighbours: int, min_dist: float, seed: int) -> None:
    """Lay all photos out on a map by UMAP, in place of the one that there was.

    UMAP lays out 200,000 photos at most, the others lie by their nearest ones. Where there are no clusters by
    the feature yet, they are made first. Ctrl-C leaves the last map as it is.
    """
    with invocation().library() as library:
        with steps("map", unit="") as show:
            library.build_map(
                feature,
                dims=dims,
                neighbours=neighbours,
                min_dist=min_dist,
                seed=seed,
                on_progress=show,
                on_wait=lambda: say("another session makes a map by this feature: waiting for it"),
            )
        (made,) = (one for one in library.maps() if (one.feature, one.dims) == (feature, dims))
    for line in _lines(made):
        say(line)


@command.command(
    epilog="""\b
Examples:
  imrec-pg map show
  imrec-pg map show --json"""
)
@json_option
@database_options
def show(*, as_json: bool) -> None:
    """Show the maps that there are, how true they are to the features, and how old.

    \b
    trustworthiness  whether photos that lie together are alike; 1 is best
    preservation     the share of the 15 most alike photos that are among the 15 nearest on the map
    agreement        of the clusters by the feature and on the map (adjusted Rand index); 1 is the same
    """  # noqa: D301 - click's mark for text that is not to be wrapped
    with invocation().library() as library:
        maps = library.maps()
    if as_json:
        print_json([dataclasses.asdict(one) for one in maps])
        return
    if not maps:
        say("there is no map yet: imrec-pg map build")
    for one in maps:
        for line in _lines(one):
            print_line(line)


@command.command(
    epilog="""\b
Examples:
  imrec-pg map drop --feature histogram --dims 2"""
)
@feature_option
@click.option("--dims", type=click.Choice([2, 3]), required=True, help="Of which map.")
@database_options
def drop(*, feature: Feature, dims: int) -> None:
    """Forget a map, and the clusters found on it; photos stay."""
    with invocation().library() as library:
        existed = library.drop_map(feature, dims=dims)
    name = f"map by {feature} of {dims} dimensions"
    say(f"dropped the {name}" if existed else f"there was no {name}")


@command.command(
    epilog="""\b
Examples:
  imrec-pg map plot map.png
  imrec-pg map plot map.png --feature histogram --dims 3 --colour map-cluster
  imrec-pg map plot map.pdf --colour folder --no-thumbnails"""
)
@click.argument("file", type=PATH)
@feature_option
@dims_option
@click.option(
    "--colour",
    type=click.Choice(_COLOURS),
    default="cluster",
    show_default=True,
    help="By what the dots are coloured: clusters by the feature, those found on the map, folder or year.",
)
@click.option(
    "--thumbnails/--no-thumbnails",
    default=True,
    help="Show the most typical photo of each group, and others where there is room.",
)
@click.option("--dark", is_flag=True, help="Light on dark.")
@force_option
@database_options
def plot(
    *,
    file: Path,
    feature: Feature,
    dims: int | None,
    colour: str,
    thumbnails: bool,
    dark: bool,
    force: bool,
) -> None:
    """Draw a map into FILE (png, jpg, webp or pdf).

    Up to 20,000 photos are dots, more are shades of how many there are. A map of three dimensions is seen
    from the side.
    """
    from imrec_pg.cli.contact_sheet import check_target, save_picture

    with invocation().library() as library:
        replaced = check_target(file, force=force, kept=kept_by(library))
        shown = library.shown_map(feature, dims=dims)
        from imrec_pg.pictures.drawing import draw_map
        from imrec_pg.pictures.placed_photos import MOST_PHOTOS
        from imrec_pg.pictures.shown import Colour

        photos = MOST_PHOTOS if thumbnails else 0
        save_picture(draw_map(shown, Colour(colour), photos=photos, dark=dark), file, replaced)
    say(f"drew {len(shown.points):,} photos into {shown_path(file)}")


def summary(one: "MapInfo") -> str:
    """Return what a map is, in one line."""
    return (
        f"{one.feature} in {one.dims} dimensions: {one.images:,} photos, {one.landmarks:,} of them landmarks"
        f"{staleness(one.later, one.lacking, one.images)}"
    )


def _lines(one: "MapInfo") -> list[str]:
    measured = [
        ("trustworthiness", one.trustworthiness),
        ("preservation", one.neighbour_preservation),
        ("agreement", one.agreement),
    ]
    figures = ", ".join(f"{name} {value:.3f}" for name, value in measured if value is not None)
    made = one.created_at.astimezone().strftime("%Y-%m-%d %H:%M")
    return [
        summary(one),
        f"  {figures or 'too few photos to measure it'}",
        f"  made {made}: --neighbours {one.neighbours} --min-dist {one.min_dist:g} --seed {one.seed}",
    ]
