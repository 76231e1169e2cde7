"""imrec-pg db dump, imrec-pg db restore."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from imrec_pg.cli.common import PATH, database_options, invocation, say, size


@click.command(
    epilog="""\b
Examples:
  imrec-pg db dump ~/backup/photos.dump
  imrec-pg db dump ~/backup/photos.dump --overwrite      in a nightly job""",
)
@click.argument("file", type=PATH)
@click.option("--overwrite", is_flag=True, help="Replace FILE.")
@database_options
def dump(*, file: Path, overwrite: bool) -> None:
    """Write the whole database into FILE, your own tables included, with pg_dump.

    For PostgreSQL alone; imrec-pg export writes what other programs read too. FILE appears when all is
    written.
    """
    from imrec_pg.backup import dump

    with _bytes("dump") as show:
        dump.dump(invocation().settings(), file, overwrite=overwrite, on_bytes=show)
    say(f"wrote {size(file.expanduser().stat().st_size)}")


@click.command(
    epilog="""\b
Examples:
  imrec-pg db restore ~/backup/photos.dump --data /srv/photos-db
  imrec-pg db restore ~/backup/photos.dump --dsn postgresql://me@host/photos""",
)
@click.argument("file", type=PATH)
@database_options
def restore(*, file: Path) -> None:
    """Fill a database without photos from a FILE that db dump wrote, all or nothing.

    Restore only dumps that you trust: they hold SQL, which is carried out. Indexes are built anew, which
    takes long. Who may use the database is to be said again, by db grant.
    """
    from imrec_pg.backup import dump

    with _bytes("restore") as show:
        dump.restore(invocation().settings(), file, on_bytes=show)
    say("restored")


@contextmanager
def _bytes(name: str) -> Iterator[Callable[[int], object]]:
    from tqdm import tqdm

    with tqdm(unit="B", unit_scale=True, desc=name, disable=None, dynamic_ncols=True, delay=1) as bar:
        yield lambda done: bar.update(done - bar.n)
