"""imrec-pg errors."""

import dataclasses

import click

from imrec_pg.cli.common import database_options, invocation, json_option, print_json, say


@click.command(
    "errors",
    epilog="""\b
Examples:
  imrec-pg errors
  imrec-pg errors --json | jq -r .[].path
  imrec-pg ingest --retry     try them again""",
)
@json_option
@database_options
def command(*, as_json: bool) -> None:
    """List the files that could not be read, and why.

    They are tried again when they change, or with imrec-pg ingest --retry.
    """
    with invocation().library() as library:
        failures = library.failures()
    if as_json:
        print_json([dataclasses.asdict(failure) for failure in failures])
        return
    for failure in failures:
        print(f"{failure.path}: {failure.error_class}: {failure.error}")
    say(f"{len(failures)} files could not be read" if failures else "no file failed")
