"""imrec-pg tune."""

import dataclasses
from pathlib import Path

import click

from imrec_pg.catalogue.tuning import LEAST_EF_SEARCH
from imrec_pg.cli.common import (
    EnumChoice,
    database_options,
    invocation,
    json_option,
    model_options,
    print_json,
    print_line,
    say,
)
from imrec_pg.cli.progress import steps
from imrec_pg.errors import UsageError
from imrec_pg.records import Feature, Metric


class _Tune(click.Group):
    """Without the name of a command it is tune index."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        named = args and args[0] in {*self.commands, "--help"}
        return super().parse_args(ctx, args if named else ["index", *args])


@click.group(
    "tune",
    cls=_Tune,
    epilog="""\b
Examples:
  imrec-pg tune                             every index
  imrec-pg tune embedding cosine --recall 0.999
  imrec-pg tune fuse                        what search --fuse goes by""",
)
def command() -> None:
    """Measure on your own photos, and set what searches go by; alone it is tune index."""


@command.command(
    "index",
    epilog="""\b
Examples:
  imrec-pg tune index                       every index
  imrec-pg tune index embedding cosine --recall 0.999
  imrec-pg tune index --queries 100 -k 20""",
)
@click.argument("feature", type=EnumChoice(Feature), required=False)
@click.argument("metric", type=EnumChoice(Metric), required=False)
@click.option("-k", "k", type=int, default=10, show_default=True, help="Measure recall@k.")
@click.option("--recall", type=float, default=0.99, show_default=True, help="The recall to reach, up to 1.")
@click.option("--queries", type=int, default=500, show_default=True, help="How many of your images to try.")
@click.option(
    "--min-ef-search",
    type=click.IntRange(1, 1000),
    default=LEAST_EF_SEARCH,
    show_default=True,
    help="The least ef_search to try. Below 100 groups of photos far from all others may be out of reach.",
)
@json_option
@database_options
def index(
    *,
    feature: Feature | None,
    metric: Metric | None,
    k: int,
    recall: float,
    queries: int,
    min_ef_search: int,
    as_json: bool,
) -> None:
    """Measure the HNSW indexes on your own images, and set how far searches look.

    It searches for a sample of the stored images, exactly, then through the index with growing
    ef_search. It stores the smallest ef_search by which the index reaches the recall, and by which as large
    a share of the images finds itself. Searches use it from then on, and imrec-pg status shows it. The role
    needs the right to write to imrec.tuning.
    """
    with invocation().library() as library:
        pairs = [(state.feature, state.metric) for state in library.indexes() if state.valid]
        if feature is not None:
            pairs = [(feature, metric or Metric.COSINE)]
        if not pairs:
            raise UsageError("there is no index to tune: build one first (imrec-pg index build)")
        measured = []
        for pair in pairs:
            with steps("tune", unit=" searches") as show:
                measured.append(
                    library.tune(
                        *pair, k=k, recall=recall, queries=queries, least=min_ef_search, on_progress=show
                    )
                )
    if as_json:
        print_json([dataclasses.asdict(tuning) for tuning in measured])
        return
    for tuning in measured:
        print_line(
            f"{tuning.feature} {tuning.metric}: ef_search {tuning.ef_search}, "
            f"recall@{tuning.k} {tuning.recall:.4f}, of the worst tenth {tuning.worst_decile:.4f}, "
            f"{tuning.self_found:.2%} find themselves, on {tuning.queries} of {tuning.images:,} images, "
            f"{tuning.p50_ms:.1f} ms a search"
        )
        if min(tuning.recall, tuning.self_found) < tuning.wanted:
            say(
                f"{tuning.feature} {tuning.metric} reaches {min(tuning.recall, tuning.self_found):.4f} at most, "
                f"not {tuning.wanted:g}: search with --exact where it matters"
            )


@command.command(
    "fuse",
    epilog="""\b
Examples:
  imrec-pg tune fuse
  imrec-pg tune fuse --photos 300
  imrec-pg tune fuse --reset                back to the curves that imrec-pg ships""",
)
@click.option(
    "--photos", type=click.IntRange(10, 10_000), default=100, show_default=True, help="How many to copy."
)
@click.option("--reset", is_flag=True, help="Forget what was fitted.")
@json_option
@model_options
@database_options
def fuse(
    *,
    photos: int,
    reset: bool,
    as_json: bool,
    weights: Path | None,
    allow_other_weights: bool,
    device: str,
) -> None:
    """Learn from your own photos how much a distance speaks for an altered copy.

    It makes 19 altered copies of each of so many photos (cropped, blurred, with text on them, …), in memory,
    and compares them with their originals, and stored photos with each other. Of every other photo the copies
    are left out: on these it measures how often search --fuse finds the original, before and after. Unless
    that got worse, search --fuse goes by what was found from then on. The role needs the right to write to
    imrec.evidence.
    """
    with invocation().library(
        weights=weights, device=device, allow_other_weights=allow_other_weights
    ) as library:
        if reset:
            library.reset_fuse()
            say("search --fuse goes by the curves that imrec-pg ships")
            return
        with steps("tune", unit="") as show:
            fitted = library.tune_fuse(photos=photos, on_progress=show)
    if as_json:
        print_json(dataclasses.asdict(fitted))
    else:
        print_line(
            f"recall@1 of {fitted.tested:,} altered copies: {fitted.before:.4f} before, {fitted.after:.4f} after"
        )
        for feature, curve in fitted.curves.items():
            print_line(
                f"{feature}: {curve.evidence[0]:+.0f} decibans at {curve.distances[0]:.4g}, "
                f"{curve.evidence[-1]:+.0f} at {curve.distances[-1]:.4g}"
            )
    if not fitted.stored:
        say("the new curves find less: those in use stay")
