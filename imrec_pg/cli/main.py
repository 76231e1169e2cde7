"""The entry point: global options, and every error as one line and an exit code."""

import importlib
import io
import keyword
import logging
import os
import signal
import sys
import traceback
from typing import NoReturn

import click

from imrec_pg.cli.common import Invocation, database_options
from imrec_pg.errors import ImrecError

_COMMANDS = {
    "ingest": "Store the photos of folders: find, decode, extract, write.",
    "watch": "Keep folders in step: store photos as they come, change, move and go.",
    "search": "Find the stored photos most like one or several images.",
    "embed": "Print the features of image files, for SQL.",
    "prune": "Forget files that are gone.",
    "root": "Name folders of photos, and say where they lie on this host.",
    "status": "Show what is stored, what is missing, and the versions in use.",
    "doctor": "Check the database, and say what to mend and how.",
    "export": "Write the catalogue and all features as Parquet files.",
    "import": "Store what another library has exported.",
    "errors": "List the files that could not be read.",
    "index": "List, build and drop the approximate (HNSW) indexes.",
    "tune": "Measure the indexes' recall on your photos, and set how far they search.",
    "db": "Start, stop, upgrade, dump and restore the database.",
    "psql": "Open psql on the database in use.",
    "weights": "Show where the model's weights are, and fetch them.",
}
_INTERRUPTED = 130


class _NobodyReadsError(Exception):
    """The reader of stdout has gone, as in `imrec-pg search … | head`."""


class _Commands(click.Group):
    """Commands whose modules are imported when they are run: --help must not wait for NumPy."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            # As itself, click would take it and exit with 1.
            raise _NobodyReadsError from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        # No module can be imported by the name of a keyword, such as import.
        name = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name
        module = importlib.import_module(f"imrec_pg.cli.{name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.command(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
First steps:
  imrec-pg ingest ~/Pictures        store a folder of photos
  imrec-pg search a.jpg             the five most alike
  imrec-pg search a.jpg --feature histogram --plot alike.png
  imrec-pg psql                     the same in SQL, on the view imrec.photo

\b
Which database, the first that is named:
  --dsn or --data, IMREC_DATABASE_URL, IMREC_DATA, DATABASE_URL, PGHOST, PGSERVICE …;
  otherwise an own PostgreSQL, set up and started by itself.

\b
Exit codes: 0 ok, 1 error, 2 usage, 3 some files failed, 4 database unreachable, 130 Ctrl-C.""",
)
@click.version_option(package_name="imrec-pg", prog_name="imrec-pg")
@database_options
def cli() -> None:
    """An image recommender that lives in PostgreSQL."""


def main() -> NoReturn:
    """Run the command line and exit."""
    run(cli, "imrec-pg")


def run(command: click.Command, name: str) -> NoReturn:
    """Run a command as a program of this name and exit: every error is one line and an exit code."""
    code = _run(command, name, sys.argv[1:])
    # Ctrl-C now ends the program without a word; Python would show a traceback of its own shutdown.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(code)


def _run(command: click.Command, name: str, arguments: list[str]) -> int:
    invocation = Invocation()
    logging.basicConfig(level=logging.WARNING, format="imrec-pg: %(message)s", stream=sys.stderr)
    # It warns of the rollback that fails after a second Ctrl-C; what matters it raises.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A path with a letter that the terminal's encoding lacks must not end the program.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        result = command.main(arguments, prog_name=name, standalone_mode=False, obj=invocation)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        print("imrec-pg: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except (_NobodyReadsError, BrokenPipeError):
        # Python would complain again when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ImrecError as error:
        _explain(str(error), debug=invocation.debug)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the user gets a line, and the traceback on request
        _explain(
            f"internal error, {type(error).__name__}: {error} (--debug shows where; please report it)",
            debug=invocation.debug,
        )
        return 1
    return result if isinstance(result, int) else 0


def _explain(message: str, *, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    print(f"imrec-pg: {' '.join(message.split())}", file=sys.stderr)
