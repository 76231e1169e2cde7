"""imrec-pg cluster."""

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from imrec_pg import outputs
from imrec_pg.cli.common import (
    PATH,
    database_options,
    invocation,
    json_option,
    print_json,
    print_line,
    say,
)
from imrec_pg.cli.contact_sheet import (
    FORMATS,
    Tile,
    check_target,
    is_sheet,
    save_picture,
    write_contact_sheet,
)
from imrec_pg.cli.map_options import (
    Number,
    feature_option,
    force_option,
    kept_by,
    on_map_option,
    seed_option,
    staleness,
)
from imrec_pg.cli.progress import steps
from imrec_pg.errors import UsageError
from imrec_pg.output_folders import whole_folder
from imrec_pg.paths import display_path
from imrec_pg.records import Feature

if TYPE_CHECKING:
    from imrec_pg.analysis.records import Cluster, Clustering


@click.group(
    "cluster",
    epilog="""\b
Examples:
  imrec-pg cluster build
  imrec-pg cluster list
  imrec-pg cluster plot clusters/
  imrec-pg search a.jpg --cluster 3""",
)
def command() -> None:
    """Put photos into clusters of alike ones, and list these.

    New photos are assigned to the clusters that there are as they are stored.
    """


@command.command(
    epilog="""\b
Examples:
  imrec-pg cluster build                        as many as the elbow of the curve says
  imrec-pg cluster build --feature histogram --k 12
  imrec-pg cluster build --plot elbow.png
  imrec-pg cluster build --space map            among the points of the map"""
)
@feature_option
@click.option("--k", type=Number(), default="auto", show_default=True, help="How many clusters, or auto.")
@click.option(
    "--space",
    type=click.Choice(["feature", "map"]),
    default="feature",
    show_default=True,
    help="Among the features, or among the points of their map.",
)
@click.option(
    "--dims",
    type=click.Choice([2, 3]),
    help="With --space map: of the map of so many dimensions; the larger one where it is left out.",
)
@seed_option
@click.option(
    "--plot", type=PATH, metavar="FILE", help="Draw the curve and its elbow into FILE; with --k auto."
)
@force_option
@database_options
def build(
    *,
    feature: Feature,
    k: int | str,
    space: str,
    dims: int | None,
    seed: int,
    plot: Path | None,
    force: bool,
) -> None:
    """Put all photos into clusters, in place of those that there were.

    Ctrl-C leaves these as they are.
    """
    if plot is not None and k != "auto":
        raise click.UsageError("--plot draws the curve of --k auto: a number that is given has none")
    if dims is not None and space != "map":
        raise click.UsageError("--dims is of the map: it needs --space map")
    with invocation().library() as library:
        replaced = check_target(plot, force=force, kept=kept_by(library)) if plot is not None else None
        on_map = library.map_dims(feature, dims) if space == "map" else None
        with steps("cluster", unit="") as show:
            library.build_clusters(feature, k=k, on_map=on_map, seed=seed, on_progress=show, on_wait=_waiting)
        made = library.clusters(feature, on_map=on_map)
    say(f"made {summary(made)}")
    if plot is not None:
        _plot_elbow(made, plot, replaced)


def _plot_elbow(made: "Clustering", plot: Path, replaced: os.stat_result | None) -> None:
    if not made.curve:
        say("so few photos have no curve: there is nothing to draw")
        return
    from imrec_pg.pictures.elbow import draw_elbow

    save_picture(draw_elbow(made), plot, replaced)
    say(f"drew the curve into {outputs.shown(plot)}")


@command.command(
    "plot",
    epilog="""\b
Examples:
  imrec-pg cluster plot clusters/
  imrec-pg cluster plot clusters/ --feature histogram --photos 30 --overwrite""",
)
@click.argument("folder", type=PATH)
@feature_option
@on_map_option
@click.option(
    "--photos",
    type=click.IntRange(1, 200),
    default=12,
    show_default=True,
    help="How many of each cluster, the nearest to its centre.",
)
@click.option("--overwrite", is_flag=True, help="Replace the sheets that FOLDER holds.")
@database_options
def plot_(*, folder: Path, feature: Feature, on_map: int | None, photos: int, overwrite: bool) -> None:
    """Draw a contact sheet of each cluster into a new FOLDER: the most typical photo, and those next to it."""
    if folder.suffix.lower() in FORMATS:
        raise UsageError(f"{outputs.shown(folder)}: name a folder, which gets a picture for each cluster")
    with invocation().library() as library:
        clustering = library.clusters(feature, on_map=on_map)
        members = library.members(clustering, photos)
    digits = len(str(clustering.k))
    with (
        whole_folder(folder, "contact sheets", _are_sheets, overwrite=overwrite) as partial,
        steps("clusters", unit="") as show,
    ):
        for done, one in enumerate(clustering.clusters, start=1):
            first, *others = [
                Tile(member.path, display_path(os.path.basename(member.path)), f"{member.distance:.3f}")  # noqa: PTH119 - bytes
                for member in members.get(one.cluster, ())
            ] or [Tile(b"", "gone", "")]
            title = f"Cluster {one.cluster} of {clustering.k}: {one.size:,} photos{_common(one)}"
            write_contact_sheet(
                partial / f"cluster-{one.cluster:0{digits}}.png",
                title,
                [first],
                others,
                labels=("Most typical", "Next to it" if others else "No others"),
            )
            show("sheets", done, clustering.k)
    say(f"drew {clustering.k:,} sheets into {outputs.shown(folder)}")


def _are_sheets(folder: Path) -> bool:
    return all(
        path.name.startswith("cluster-")
        and path.suffix == ".png"
        and not path.is_symlink()
        and is_sheet(path)
        for path in folder.iterdir()
    )


def _waiting() -> None:
    say("another session makes clusters by this feature: waiting for it")


@command.command(
    "list",
    epilog="""\b
Examples:
  imrec-pg cluster list
  imrec-pg cluster list --feature histogram --json""",
)
@feature_option
@on_map_option
@json_option
@database_options
def list_(*, feature: Feature, on_map: int | None, as_json: bool) -> None:
    """List the clusters: size, the most typical photo, and what its photos have in common."""
    with invocation().library() as library:
        clustering = library.clusters(feature, on_map=on_map)
        paths = library.medoids(clustering)
    if as_json:
        rows = [
            row | {"path": paths.get(one.medoid)}
            for row, one in zip(clustering.to_dicts(), clustering.clusters, strict=True)
        ]
        shown = dataclasses.asdict(dataclasses.replace(clustering, html=None)) | {"clusters": rows}
        print_json({name: value for name, value in shown.items() if name != "html"})
        return
    say(summary(clustering))
    for one in clustering.clusters:
        print_line(f"{one.cluster:>5} {one.size:>9,}  {paths.get(one.medoid, 'gone')}{_common(one)}")


@command.command(
    epilog="""\b
Examples:
  imrec-pg cluster drop --feature histogram"""
)
@feature_option
@on_map_option
@database_options
def drop(*, feature: Feature, on_map: int | None) -> None:
    """Forget the clusters by a feature; photos stay."""
    with invocation().library() as library:
        existed = library.drop_clusters(feature, on_map=on_map)
    say(f"dropped the clusters by {feature}" if existed else f"there were no clusters by {feature}")


def summary(clustering: "Clustering") -> str:
    """Return what a clustering is, in one line."""
    where = "on the map by " if clustering.map_id else "by "
    how = "at the elbow" if clustering.k_chosen == "auto" else "as given"
    clear = "" if clustering.silhouette is None else f", silhouette {clustering.silhouette:.2f}"
    return (
        f"{clustering.k:,} clusters {where}{clustering.feature} ({how}) of {clustering.images:,} photos{clear}"
        f"{staleness(clustering.later, clustering.lacking, clustering.images)}"
    )


def _common(cluster: "Cluster") -> str:
    parts = [cluster.folder, str(cluster.year) if cluster.year else None, cluster.camera]
    said = ", ".join(part for part in parts if part)
    return f"  ({said})" if said else ""
