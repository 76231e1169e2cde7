"""imrec-pg import."""

import dataclasses
from pathlib import Path

import click

from imrec_pg.cli.common import PATH, database_options, invocation, json_option, print_json, print_line, say
from imrec_pg.cli.index import build_after_load
from imrec_pg.cli.progress import steps


@click.command(
    "import",
    epilog="""\b
Examples:
  imrec-pg import ~/backup/photos-2024-05
  imrec-pg import ~/backup/photos-2024-05 --dsn postgresql://me@host/photos
  imrec-pg import /mnt/usb/photos --replace     where the two differ, the export is right

You can run it again at any time: it skips what is here already. Ctrl-C loses nothing that is stored.
Needs pyarrow: pip install 'imrec-pg[parquet]'.""",
)
@click.argument("folder", type=PATH)
@click.option("--replace", is_flag=True, help="Where the two differ, prefer the export.")
@click.option("--no-index", is_flag=True, help="Don't build the embedding index afterwards.")
@json_option
@database_options
def command(*, folder: Path, replace: bool, no_index: bool, as_json: bool) -> None:
    """Store what an export has and this library does not.

    All files are checked first: if one is broken, nothing changes. Where the two differ, for example
    about a file that holds another photo now, this library is right, unless you pass --replace. Embeddings
    of another model are refused.
    """
    with invocation().library() as library:
        with steps("import", quiet=as_json) as show:
            done = library.import_(folder, replace=replace, on_progress=show)
        built = not no_index and build_after_load(library, quiet=as_json)
    if as_json:
        tables = [dataclasses.asdict(table) for table in done.tables]
        print_json({"folder": folder, "tables": tables, "index_built": built})
        return
    for table in done.tables:
        parts = [f"{table.table:<15} {table.rows:>12,} rows  {table.added:>12,} new"]
        parts += [f"{table.replaced:,} replaced"] if table.replaced else []
        parts += [f"{table.conflicts:,} left out"] if table.conflicts else []
        print_line(", ".join(parts))
    if done.conflicts:
        say(
            f"{done.conflicts:,} rows were left out because this library disagrees: "
            "import --replace stores them"
        )
