"""imrec-pg search."""

import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imrec_pg.cli.common import (
    PATH,
    EnumChoice,
    database_options,
    invocation,
    json_option,
    model_options,
    say,
)
from imrec_pg.cli.filters import Weights, filter_from, filter_options
from imrec_pg.errors import UsageError
from imrec_pg.paths import absolute
from imrec_pg.records import Combine, Feature, Fusion, Metric

if TYPE_CHECKING:
    from imrec_pg.library import Library
    from imrec_pg.search import Answer, FusedAnswer


@click.command(
    "search",
    epilog="""\b
Examples:
  imrec-pg search a.jpg
  imrec-pg search a.jpg b.jpg -k 20 --combine min
  imrec-pg search a.jpg --feature histogram --metric manhattan
  imrec-pg search a.jpg --fuse --under ~/Pictures/2024 --min-width 1920
  imrec-pg search a.jpg --dislike b.jpg --weights embedding=2,histogram=1
  imrec-pg search a.jpg --paths -0 | xargs -0 open
  imrec-pg search a.jpg --plot alike.png

The embedding (what a photo shows) and the histogram (its colours) are compared by cosine, euclidean or
manhattan distance, cosine by default; hashes (its brightness pattern) by hamming distance.

Several images are combined by their mean: for vectors the distance to the mean vector, for hashes
the mean of the Hamming distances. --combine min takes the distance to the nearest of them.

With --dislike the answer is moved away from that image; with --combine min, photos nearer to a
dislike than to any image come last.

--fuse adds up how much each feature's distance speaks for an altered copy of the same picture, in decibans:
+30 is 1,000 to 1. Where nothing speaks, the embedding decides. The table shows for each feature which number
the photo was, its distance and its evidence; --explain says it in words. --fusion reciprocal_rank adds up
weight / (5 + rank) instead.

A filtered search returns k photos whenever there are k. Photos without a date are left out by
--after and --before.""",
)
@click.argument("images", nargs=-1, required=True, type=PATH, metavar="IMAGE...")
@click.option(
    "--feature",
    type=EnumChoice(Feature),
    default=None,
    help="What to compare: what it shows, its colours, or its brightness pattern.  [default: embedding]",
)
@click.option(
    "--metric",
    type=EnumChoice(Metric),
    default=None,
    help="How to compare.  [default: cosine; hamming for hashes]",
)
@click.option("--fuse", is_flag=True, help="Compare by all features at once.")
@click.option(
    "--weights",
    "feature_weights",
    type=Weights(),
    metavar="F=W,...",
    help="How much each feature counts, as in embedding=2,histogram=1; with it goes --fuse.",
)
@click.option(
    "--fusion",
    type=EnumChoice(Fusion),
    default=None,
    help="How features are fused; with it goes --fuse.  [default: evidence]",
)
@click.option("--dislike", "dislikes", type=PATH, multiple=True, metavar="IMG", help="Be unlike this image.")
@click.option("-k", "k", type=int, default=5, show_default=True, help="How many photos.")
@click.option(
    "--combine",
    type=EnumChoice(Combine),
    default="mean",
    show_default=True,
    help="How several images become one ranking.",
)
@filter_options
@click.option("--exact", is_flag=True, help="Compare with every photo, whatever indexes there are.")
@click.option("--include-self", is_flag=True, help="Let the query images appear in the answer.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.option("--paths", "as_paths", is_flag=True, help="Print paths only, as the file system spells them.")
@click.option("-0", "--null", "null", is_flag=True, help="With --paths: end each with NUL, for xargs -0.")
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.png",
    help="Draw the queries beside the matches; an earlier plot is replaced.",
)
@click.option(
    "--force", is_flag=True, help="With --plot: replace any other file, unless it is a query or stored."
)
@click.option("-v", "--verbose", is_flag=True, help="Show the time of each step and how it was answered.")
@click.option(
    "--explain",
    is_flag=True,
    help="Show PostgreSQL's plan too, by a second search; with --fuse, the evidence in words.",
)
@model_options
@json_option
@database_options
def command(
    *,
    images: tuple[Path, ...],
    feature: Feature | None,
    metric: Metric | None,
    fuse: bool,
    feature_weights: dict[Feature, float] | None,
    fusion: Fusion | None,
    dislikes: tuple[Path, ...],
    k: int,
    combine: Combine,
    exact: bool,
    include_self: bool,
    as_csv: bool,
    as_paths: bool,
    null: bool,
    plot: Path | None,
    force: bool,
    verbose: bool,
    explain: bool,
    weights: Path | None,
    allow_other_weights: bool,
    device: str,
    as_json: bool,
    **filters: Any,  # noqa: ANN401 - those of filter_options
) -> None:
    """Find the stored photos most like one or several images, nearest first.

    An image that is stored itself (the same bytes, wherever it lies) is answered from the database
    alone; any other is decoded as ingest does it. Smaller distances are nearer.
    """
    if as_json + as_csv + as_paths > 1:
        raise click.UsageError("--json, --csv and --paths exclude each other")
    fuse = fuse or feature_weights is not None or fusion is not None
    if fuse and (feature or metric):
        raise click.UsageError("--fuse takes all features: --feature and --metric don't go with it")
    shared: dict[str, Any] = {
        "k": k,
        "dislikes": dislikes,
        "combine": combine,
        "exact": exact,
        "include_self": include_self,
        **filter_from(**filters),
    }
    with invocation().library(
        weights=weights, device=device, allow_other_weights=allow_other_weights
    ) as library:
        kept = partial(_kept, library, images + dislikes)
        if plot is not None:
            from imrec_pg.cli.contact_sheet import check_target

            check_target(plot, force=force, kept=kept)
        answer: Answer | FusedAnswer
        if fuse:
            answer = library.fuse(images, weights=feature_weights, fusion=fusion or Fusion.EVIDENCE, **shared)
        else:
            answer = library.search(
                images, feature=feature or Feature.EMBEDDING, metric=metric, explain=explain, **shared
            )
        asked_for = "all features" if fuse else str(feature or Feature.EMBEDDING)
        hint = None if answer.neighbours else _why_empty(library, asked_for, filtered=any(filters.values()))
        from imrec_pg.cli import search_output

        search_output.print_answer(answer, as_json=as_json, as_csv=as_csv, as_paths=as_paths, null=null)
        if plot is not None:
            search_output.draw(answer, plot, force=force, kept=kept)
    if hint is not None:
        say(hint)
    if verbose or explain:
        search_output.explain(answer)
    if explain:
        search_output.say_evidence(answer)
        if not as_json:
            search_output.print_plan(answer)


def _kept(library: "Library", queries: tuple[Path, ...], target: Path) -> str | None:
    """Return what a file is that no plot may replace."""
    for query in queries:
        with suppress(OSError, UsageError):  # that the query cannot be read, the search will say
            path = absolute(query)
            if path == os.fsencode(target) or os.path.samefile(path, target):  # noqa: PTH121 - bytes
                return "a query"
    return "a stored photo" if library.holds(target) else None


def _why_empty(library: "Library", feature: str, *, filtered: bool) -> str:
    if not library.status().images:
        return "nothing is stored yet: imrec-pg ingest FOLDER"
    if filtered:
        return "no photo passes these filters"
    return f"no other photo with this feature is stored: imrec-pg status, or ingest with {feature}"
