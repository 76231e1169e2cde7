"""imrec-pg export."""

import dataclasses
from pathlib import Path

import click

from imrec_pg.cli.common import PATH, database_options, invocation, json_option, print_json, print_line, size
from imrec_pg.cli.progress import steps


@click.command(
    "export",
    epilog="""\b
Examples:
  imrec-pg export ~/backup/photos-2024-05
  imrec-pg export /mnt/usb/photos --overwrite      in a nightly job
  duckdb -c "SELECT format, count(*) FROM 'photos-2024-05/image.parquet' GROUP BY ALL"

imrec-pg import reads it into another database. Needs pyarrow: pip install 'imrec-pg[parquet]'.""",
)
@click.argument("folder", type=PATH)
@click.option("--overwrite", is_flag=True, help="Replace the export that FOLDER holds.")
@json_option
@database_options
def command(*, folder: Path, overwrite: bool, as_json: bool) -> None:
    """Write the catalogue and all features into a new FOLDER, one Parquet file per table.

    All tables are a snapshot of one moment; photos can be stored meanwhile. The export does not contain
    the photos themselves. FOLDER appears once everything is written: an aborted export leaves nothing.
    Only you may read it.
    """
    with invocation().library() as library, steps("export", quiet=as_json) as show:
        done = library.export(folder, overwrite=overwrite, on_progress=show)
    if as_json:
        print_json({"folder": folder, "tables": [dataclasses.asdict(table) for table in done.tables]})
        return
    for table in done.tables:
        print_line(f"{table.table:<15} {table.rows:>12,} rows  {size(table.size):>9}")
