"""imrec-pg watch."""

import json
from pathlib import Path

import click

from imrec_pg.cli.common import PATH, database_options, invocation, model_options, say
from imrec_pg.cli.index import build_after_load
from imrec_pg.cli.ingest import exclude_option, feature_option, retry_for_option, stoppable, workers_option
from imrec_pg.cli.ingest_output import counts, explain, has_news, summary
from imrec_pg.records import Feature


@click.command(
    "watch",
    epilog="""\b
Examples:
  imrec-pg watch ~/Pictures
  imrec-pg watch /mnt/nas/photos --poll    a network disk does not report changes by other hosts
  imrec-pg watch ~/Pictures --json         one line of JSON for each change

watch first ingests everything. From then on it stores new, changed and moved photos and marks
deleted ones within seconds. Ctrl-C ends it; nothing stored is lost.""",
)
@click.argument("paths", nargs=-1, type=PATH, metavar="FOLDER...", required=True)
@feature_option
@exclude_option
@workers_option
@click.option(
    "--settle",
    type=click.FloatRange(min=0),
    default=2,
    show_default=True,
    metavar="SECONDS",
    help="Read a file once it has not changed for this long.",
)
@click.option(
    "--rescan",
    type=click.FloatRange(min=0),
    default=3600,
    show_default=True,
    metavar="SECONDS",
    help="Check everything again after this long; 0 for never.",
)
@click.option(
    "--poll",
    is_flag=True,
    help="Check regularly instead of waiting for the system to report changes.",
)
@retry_for_option
@model_options
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON to stdout for each change.")
@database_options
def command(
    *,
    paths: tuple[Path, ...],
    features: tuple[Feature, ...],
    exclude: tuple[str, ...],
    workers: int | None,
    settle: float,
    rescan: float,
    poll: bool,
    retry_for: int,
    weights: Path | None,
    allow_other_weights: bool,
    device: str,
    as_json: bool,
) -> None:
    """Keep the library in step with folders: store photos as they come, change, move and go.

    The same as running imrec-pg ingest again and again, but only for what has changed.
    """
    with (
        invocation().library(
            weights=weights, device=device, allow_other_weights=allow_other_weights
        ) as library,
        stoppable() as stopping,
    ):
        results = library.watch(
            paths,
            features=features,
            exclude=exclude,
            workers=workers,
            settle=settle,
            rescan=rescan,
            polling=poll,
            retry_for=retry_for,
            stopping=stopping,
        )
        for number, result in enumerate(results):
            first = number == 0
            if first or has_news(result):
                print(json.dumps(counts(result)) if as_json else summary(result), flush=True)
                if not as_json:
                    explain(result)
            if first and Feature.EMBEDDING in features and not stopping():
                build_after_load(library, quiet=as_json)
            if first and not stopping():
                say("watching; Ctrl-C ends it")
