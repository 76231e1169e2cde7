"""imrec-pg export."""

import dataclasses
from pathlib import Path

import click

from imrec_pg.cli.common import (
    PATH,
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
from imrec_pg.records import Feature


@click.command(
    "export",
    epilog="""\b
Examples:
  imrec-pg export ~/backup/photos-2024-05
  imrec-pg export /mnt/usb/photos --overwrite      in a nightly job
  duckdb -c "SELECT format, count(*) FROM 'photos-2024-05/image.parquet' GROUP BY ALL"
  imrec-pg export --projector ~/projector          then: tensorboard --logdir ~/projector
  imrec-pg export --projector ~/projector --feature histogram --sample 10000 --overwrite

imrec-pg import reads an export into another database. Parquet needs pyarrow: pip install
'imrec-pg[parquet]'. --projector needs nothing; TensorBoard comes by pip install tensorboard.""",
)
@click.argument("folder", type=PATH)
@click.option("--projector", is_flag=True, help="Write files for TensorBoard's projector instead.")
@click.option(
    "--feature",
    type=EnumChoice(Feature),
    metavar="FEATURE",
    help="With --projector: what lays out the photos, embedding (the default) or histogram.",
)
@click.option(
    "--sample",
    type=int,
    metavar="N",
    help="With --projector: at most N photos, in proportion of each cluster or else folder. The fewer, the "
    "larger their thumbnails. The projector reads 100,000 at most.",
)
@click.option(
    "--tiles", is_flag=True, help="With --projector: a folder for each cluster; --sample counts for each."
)
@click.option("--seed", type=int, metavar="N", help="With --projector: of the sample and the order (42).")
@click.option("--overwrite", is_flag=True, help="Replace the export that FOLDER holds.")
@json_option
@database_options
def command(
    *,
    folder: Path,
    projector: bool,
    feature: Feature | None,
    sample: int | None,
    tiles: bool,
    seed: int | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write the catalogue and all features into a new FOLDER, one Parquet file per table.

    All tables are a snapshot of one moment; photos can be stored meanwhile. The export does not contain
    the photos themselves. FOLDER appears once everything is written: an aborted export leaves nothing.
    Only you may read it.

    With --projector it writes what TensorBoard's projector shows: a feature, the map by it if there is one,
    paths, clusters, folders, dates and cameras, and a small thumbnail of each photo.
    """
    if not projector:
        _refuse_without_projector(
            {"--feature": feature, "--sample": sample, "--seed": seed, "--tiles": tiles}
        )
        _export(folder, overwrite=overwrite, as_json=as_json)
        return
    with invocation().library() as library, steps("export", quiet=as_json, unit=" photos") as show:
        done = library.export_projector(
            folder,
            feature=feature or Feature.EMBEDDING,
            sample=sample,
            tiles=tiles,
            seed=42 if seed is None else seed,
            overwrite=overwrite,
            on_progress=show,
        )
    if done.lacking_place:
        say(
            f"photos without a place on the map, left out: {done.lacking_place:,} (imrec-pg map build places them)"
        )
    if done.sampled_by is not None:
        say(f"a sample of {done.photos:,} of {done.of:,} photos, in proportion of each {done.sampled_by}")
    if done.unreadable:
        say(f"pictures that could not be read, grey in the projector: {done.unreadable:,}")
    if as_json:
        print_json(dataclasses.asdict(done))
        return
    where = f" in {len(done.tiles)} folders" if done.tiles else ""
    print_line(f"{done.photos:,} photos{where}: {', '.join(done.tensors)}")
    print_line(f"tensorboard --logdir {_quoted(folder)}")
    if len(done.tensors) > 1:
        say('untick "Spherize data" to see the map as it is')


def _refuse_without_projector(options: dict[str, object]) -> None:
    for name, given in options.items():
        if given is not None and given is not False:
            raise click.UsageError(f"{name} belongs to --projector, and a Parquet export holds everything")


def _quoted(folder: Path) -> str:
    import shlex

    return shlex.quote(str(folder))


def _export(folder: Path, *, overwrite: bool, as_json: bool) -> None:
    with invocation().library() as library, steps("export", quiet=as_json) as show:
        done = library.export(folder, overwrite=overwrite, on_progress=show)
    if as_json:
        print_json({"folder": folder, "tables": [dataclasses.asdict(table) for table in done.tables]})
        return
    for table in done.tables:
        print_line(f"{table.table:<15} {table.rows:>12,} rows  {size(table.size):>9}")
