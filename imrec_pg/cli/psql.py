"""imrec-pg psql."""

import os

import click

from imrec_pg.cli.common import database_options, invocation


@click.command(
    "psql",
    context_settings={"ignore_unknown_options": True},
    epilog="""\b
Examples:
  imrec-pg psql
  imrec-pg psql -c "SELECT path FROM imrec.photo LIMIT 5"
  imrec-pg psql -f report.sql""",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[PSQL OPTIONS]...")
@database_options
def command(*, arguments: tuple[str, ...]) -> None:
    """Open psql on the database in use; options are passed on to it."""
    from imrec_pg.db.connection import check_reachable, psql_call
    from imrec_pg.embedded import psql_path

    settings = invocation().settings()
    check_reachable(settings)
    connection, environment = psql_call(settings)
    psql = str(psql_path())
    # Not a subprocess: psql takes over the terminal, its signals and the exit code.
    os.execve(psql, [psql, *connection, *arguments], environment)  # noqa: S606
