"""imrec-pg index."""

import dataclasses
from typing import TYPE_CHECKING

import click

from imrec_pg.cli.common import (
    EnumChoice,
    database_options,
    invocation,
    json_option,
    print_json,
    print_line,
    say,
    size,
)
from imrec_pg.cli.progress import steps
from imrec_pg.errors import PermissionDeniedError
from imrec_pg.records import Feature, Metric

if TYPE_CHECKING:
    from imrec_pg.library import Library

_feature = click.argument("feature", type=EnumChoice(Feature))
_metric = click.argument("metric", type=EnumChoice(Metric))


@click.group(
    "index",
    epilog="""\b
Examples:
  imrec-pg index list
  imrec-pg index build histogram cosine
  imrec-pg index drop histogram cosine""",
)
def command() -> None:
    """List, build and drop the approximate (HNSW) indexes.

    Without an index a search compares with every photo, which is exact. With one, it is orders of
    magnitude faster on large libraries, and may occasionally miss a neighbour.
    """


@command.command(
    "list",
    epilog="""\b
Examples:
  imrec-pg index list
  imrec-pg index list --json""",
)
@json_option
@database_options
def list_(*, as_json: bool) -> None:
    """List every feature and metric with its index."""
    with invocation().library() as library:
        states = library.indexes()
    if as_json:
        print_json([dataclasses.asdict(state) for state in states])
        return
    width = max(len(state.feature) for state in states)
    for state in states:
        kind = "exact scan"
        if state.name:
            kind = f"HNSW {size(state.size)}" if state.valid else "HNSW, incomplete: build it again"
        print_line(f"{state.feature:<{width}}  {state.metric:<9}  {kind}")


@command.command(
    epilog="""\b
Examples:
  imrec-pg index build embedding cosine
  imrec-pg index build histogram manhattan""",
)
@_feature
@_metric
@database_options
def build(*, feature: Feature, metric: Metric) -> None:
    """Build the index of a feature and metric, such as: embedding cosine.

    Photos can be stored and searched meanwhile. Ctrl-C leaves nothing behind.
    """
    with invocation().library() as library:
        built = build_with_progress(library, feature, metric, quiet=False)
        reduce_with_progress(library, quiet=False)
    say(f"built the index of {feature} {metric}" if built else f"{feature} {metric} is indexed already")


@command.command(
    epilog="""\b
Examples:
  imrec-pg index drop histogram manhattan""",
)
@_feature
@_metric
@database_options
def drop(*, feature: Feature, metric: Metric) -> None:
    """Drop the index of a feature and metric; searches compare with every photo again."""
    with invocation().library() as library:
        existed = library.drop_index(feature, metric)
    say(f"dropped the index of {feature} {metric}" if existed else f"{feature} {metric} had no index")


def build_with_progress(library: "Library", feature: Feature, metric: Metric, *, quiet: bool) -> bool:
    """Build an index with a progress bar; return False if it was there already."""
    with steps("index", quiet=quiet) as show:
        return library.build_index(feature, metric, on_progress=show)


def build_after_load(library: "Library", *, quiet: bool) -> bool:
    """Build the index of embedding and cosine if there are embeddings; return whether it was built now."""
    if not library.has_embeddings():
        return False
    try:
        built = build_with_progress(library, Feature.EMBEDDING, Metric.COSINE, quiet=quiet)
    except PermissionDeniedError:
        say("only the owner may build the index: imrec-pg index build embedding cosine")
        return False
    reduce_with_progress(library, quiet=quiet)
    return built


def reduce_with_progress(library: "Library", *, quiet: bool) -> None:
    """Reduce the vectors where that is due, with a progress bar."""
    with steps("vectors", unit=" photos", quiet=quiet) as show:
        library.reduce_vectors(on_progress=show)
