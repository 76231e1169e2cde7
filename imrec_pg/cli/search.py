"""imrec-pg search."""

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from imrec_pg.cli.common import (
    PATH,
    EnumChoice,
    database_options,
    invocation,
    json_option,
    model_options,
    print_json,
    say,
)
from imrec_pg.paths import display_path
from imrec_pg.records import METRICS, Combine, Feature, Metric

if TYPE_CHECKING:
    from imrec_pg.search import Answer

_PAIRS = "; ".join(f"{feature}: {', '.join(metrics)}" for feature, metrics in METRICS.items())


@click.command(
    "search",
    epilog=f"""\b
Examples:
  imrec-pg search a.jpg
  imrec-pg search a.jpg b.jpg -k 20 --combine min
  imrec-pg search a.jpg --feature histogram --metric manhattan
  imrec-pg search a.jpg --paths -0 | xargs -0 open
  imrec-pg search a.jpg --plot alike.png

Distances go with features as follows, the default first: {_PAIRS}.

Several images are combined by their mean: for vectors the distance to the mean vector, for hashes
the mean of the Hamming distances. --combine min takes the distance to the nearest of them.""",
)
@click.argument("images", nargs=-1, required=True, type=PATH, metavar="IMAGE...")
@click.option(
    "--feature",
    type=EnumChoice(Feature),
    default="embedding",
    show_default=True,
    help="What to compare: what it shows, its colours, or its brightness pattern.",
)
@click.option(
    "--metric",
    type=EnumChoice(Metric),
    default=None,
    help="How to compare.  [default: cosine; hamming for hashes]",
)
@click.option("-k", "k", type=int, default=5, show_default=True, help="How many photos.")
@click.option(
    "--combine",
    type=EnumChoice(Combine),
    default="mean",
    show_default=True,
    help="How several images become one ranking.",
)
@click.option("--exact", is_flag=True, help="Compare with every photo, whatever indexes there are.")
@click.option("--include-self", is_flag=True, help="Let the query images appear in the answer.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.option("--paths", "as_paths", is_flag=True, help="Print paths only, as the file system spells them.")
@click.option("-0", "--null", "null", is_flag=True, help="With --paths: end each with NUL, for xargs -0.")
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.png",
    help="Draw the queries beside the matches.",
)
@click.option("-v", "--verbose", is_flag=True, help="Show the time of each step and how it was answered.")
@model_options
@json_option
@database_options
def command(
    *,
    images: tuple[Path, ...],
    feature: Feature,
    metric: Metric | None,
    k: int,
    combine: Combine,
    exact: bool,
    include_self: bool,
    as_csv: bool,
    as_paths: bool,
    null: bool,
    plot: Path | None,
    verbose: bool,
    weights: Path | None,
    allow_other_weights: bool,
    device: str,
    as_json: bool,
) -> None:
    """Find the stored photos most like one or several images, nearest first.

    An image that is stored itself (the same bytes, wherever it lies) is answered from the database
    alone; any other is decoded as ingest does it. Smaller distances are nearer.
    """
    if as_json + as_csv + as_paths > 1:
        raise click.UsageError("--json, --csv and --paths exclude each other")
    if plot is not None:
        from imrec_pg.cli.contact_sheet import check_target  # noqa: PLC0415 - Pillow

        check_target(plot)
    from imrec_pg.search import SearchOptions  # noqa: PLC0415 - NumPy and psycopg take 0.2 s

    options = SearchOptions(
        feature=feature, metric=metric, k=k, combine=combine, exact=exact, include_self=include_self
    )
    with invocation().library(
        weights=weights, device=device, allow_other_weights=allow_other_weights
    ) as library:
        answer = library.search(images, options)
        empty = not answer.neighbours and not library.status().images
    _print(answer, as_json=as_json, as_csv=as_csv, as_paths=as_paths, null=null)
    if plot is not None:
        _plot(answer, plot)
    if empty:
        say("nothing is stored yet: imrec-pg ingest FOLDER")
    elif not answer.neighbours:
        say(f"no other photo with this feature is stored: imrec-pg status, or ingest with {feature}")
    if verbose:
        _explain(answer)


def _print(answer: "Answer", *, as_json: bool, as_csv: bool, as_paths: bool, null: bool) -> None:
    if as_json:
        print_json(_as_dict(answer))
    elif as_csv:
        _print_csv(answer)
    elif as_paths or null:
        end = b"\0" if null else b"\n"
        sys.stdout.buffer.write(b"".join(n.raw_path + end for n in answer.neighbours))
        sys.stdout.buffer.flush()
    elif answer.neighbours:
        _print_table(answer)


def _as_dict(answer: "Answer") -> dict[str, object]:
    return {
        "queries": [
            {"path": display_path(q.path), "image_id": q.image_id, "stored": q.stored} for q in answer.queries
        ],
        "feature": answer.feature,
        "metric": answer.metric,
        "combine": answer.combine,
        "exact": answer.exact,
        "index": answer.index,
        "seconds": {step: round(seconds, 6) for step, seconds in answer.timings},
        "neighbours": [
            {
                "rank": rank,
                "distance": n.distance,
                "path": n.path,
                "image_id": n.image_id,
                "copies": n.copies,
                "width": n.width,
                "height": n.height,
            }
            for rank, n in enumerate(answer.neighbours, start=1)
        ],
    }


def _print_csv(answer: "Answer") -> None:
    writer = csv.writer(sys.stdout)
    writer.writerow(["rank", "distance", "path", "image_id", "copies", "width", "height"])
    for rank, n in enumerate(answer.neighbours, start=1):
        writer.writerow([rank, n.distance, n.path, n.image_id, n.copies, n.width, n.height])


def _print_table(answer: "Answer") -> None:
    from rich.console import Console  # noqa: PLC0415 - only for the table
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("#", justify="right", style="dim")
    table.add_column(f"{answer.metric}", justify="right")
    table.add_column("path", overflow="fold")
    for rank, n in enumerate(answer.neighbours, start=1):
        # Text, not a string: a path such as [red].jpg is no markup.
        path = Text(n.path)
        if n.copies > 1:
            path.append(f"  (+{n.copies - 1} more)", style="dim")
        table.add_row(str(rank), _distance(answer.metric, n.distance), path)
    # A file or pipe has no width: lines must not be cut or folded there.
    console = Console(width=None if sys.stdout.isatty() else 10_000)
    console.print(table, crop=False)


def _distance(metric: Metric, distance: float) -> str:
    # Bits are whole numbers, but for the mean of several queries.
    return f"{distance:g}" if metric is Metric.HAMMING else f"{distance:.4f}"


def _plot(answer: "Answer", target: Path) -> None:
    from imrec_pg.cli.contact_sheet import Tile, write_contact_sheet  # noqa: PLC0415 - Pillow

    queries = [Tile(q.path, display_path(q.path).rpartition("/")[2], "") for q in answer.queries]
    matches = [
        Tile(n.raw_path, n.path.rpartition("/")[2], f"{answer.metric} {_distance(answer.metric, n.distance)}")
        for n in answer.neighbours
    ]
    write_contact_sheet(target, f"{answer.feature}, {answer.metric} distance", queries, matches)
    say(f"drawn: {target}")


def _explain(answer: "Answer") -> None:
    how = "exact, every photo compared" if answer.exact else f"approximate, from the index {answer.index}"
    say(f"answer: {how}")
    for query in answer.queries:
        source = "features from the database" if query.stored else "features extracted now"
        say(f"query {display_path(query.path)}: {source}")
    for step, seconds in answer.timings:
        say(f"{step:>8} {seconds * 1000:9.1f} ms")
