"""imrec-pg tune."""

import dataclasses

import click

from imrec_pg.cli.common import (
    EnumChoice,
    database_options,
    invocation,
    json_option,
    print_json,
    print_line,
    say,
)
from imrec_pg.cli.progress import steps
from imrec_pg.errors import UsageError
from imrec_pg.records import Feature, Metric


@click.command(
    "tune",
    epilog="""\b
Examples:
  imrec-pg tune                             every index
  imrec-pg tune embedding cosine --recall 0.999
  imrec-pg tune --queries 100 -k 20""",
)
@click.argument("feature", type=EnumChoice(Feature), required=False)
@click.argument("metric", type=EnumChoice(Metric), required=False)
@click.option("-k", "k", type=int, default=10, show_default=True, help="Measure recall@k.")
@click.option("--recall", type=float, default=0.99, show_default=True, help="The recall to reach, up to 1.")
@click.option("--queries", type=int, default=500, show_default=True, help="How many of your images to try.")
@json_option
@database_options
def command(
    *, feature: Feature | None, metric: Metric | None, k: int, recall: float, queries: int, as_json: bool
) -> None:
    """Measure the HNSW indexes on your own images, and set how far searches look.

    tune searches for a sample of the stored images, exactly, then through the index with growing
    ef_search. It stores the smallest ef_search that reaches the recall; searches use it from then on, and
    imrec-pg status shows it. The role needs the right to write to imrec.tuning.
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
                measured.append(library.tune(*pair, k=k, recall=recall, queries=queries, on_progress=show))
    if as_json:
        print_json([dataclasses.asdict(tuning) for tuning in measured])
        return
    for tuning in measured:
        print_line(
            f"{tuning.feature} {tuning.metric}: ef_search {tuning.ef_search}, "
            f"recall@{tuning.k} {tuning.recall:.4f} on {tuning.queries} of {tuning.images:,} images, "
            f"{tuning.p50_ms:.1f} ms a search"
        )
        if tuning.recall < tuning.wanted:
            say(
                f"{tuning.feature} {tuning.metric} reaches {tuning.recall:.4f} at most, "
                f"not {tuning.wanted:g}: search with --exact where it matters"
            )
