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
from imrec_pg.cli.hints import with_hint
from imrec_pg.errors import ImrecError
from imrec_pg.paths import terminal_text

_COMMANDS = {
    "ingest": "Store the photos of folders: find, decode, extract, write.",
    "watch": "Keep the library in step with folders as photos come, change, move and go.",
    "search": "Find the stored photos most like one or several images.",
    "embed": "Print the features of image files, for SQL.",
    "prune": "Forget missing files.",
    "root": "Name folders of photos, and say where they are on this host.",
    "status": "Show what is stored, what is lacking, and the versions in use.",
    "doctor": "Check the database, and say how to fix what is wrong.",
    "export": "Write the catalogue and all features as Parquet files.",
    "import": "Store an export of another library.",
    "errors": "List the files that could not be read.",
    "index": "List, build and drop the approximate (HNSW) indexes.",
    "tune": "Measure the recall of the indexes on your photos, and set ef_search.",
    "db": "Start, stop, upgrade, dump and restore the database.",
    "psql": "Open psql on the database in use.",
    "weights": "Show where the model's weights are, and fetch them.",
}
_INTERRUPTED = 130


class _ReaderGoneError(Exception):
    """The reader of stdout has gone, as in `imrec-pg search … | head`."""


class _Commands(click.Group):
    """Imports a command's module only when it runs: --help must not wait for NumPy."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            # click would turn a BrokenPipeError into exit code 1.
            raise _ReaderGoneError from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        # A module cannot have the name of a keyword, such as import.
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
  imrec-pg search a.jpg             the five most similar photos
  imrec-pg search a.jpg --feature histogram --plot alike.png
  imrec-pg psql                     the same in SQL, on the view imrec.photo

\b
The database, the first of these that is set:
  --dsn or --data, IMREC_DATABASE_URL, IMREC_DATA, DATABASE_URL, PGHOST, PGSERVICE …;
  otherwise the embedded PostgreSQL, which sets itself up and starts by itself.

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
    """Run a command under this program name and exit: every error becomes one line and an exit code."""
    code = _run(command, name, sys.argv[1:])
    # From here Ctrl-C ends the program silently; Python would show a traceback of its shutdown.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(code)


def _run(command: click.Command, name: str, arguments: list[str]) -> int:
    invocation = Invocation()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_Formatter("imrec-pg: %(message)s"))
    # It warns about the rollback that fails after a second Ctrl-C; it raises what matters.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A path with a letter that the terminal's encoding lacks must not stop the program.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        result = command.main(arguments, prog_name=name, standalone_mode=False, obj=invocation)
        sys.stdout.flush()
    except click.ClickException as error:
        text = io.StringIO()
        error.show(file=text)
        _print_lines(text.getvalue())
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        print("imrec-pg: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except (_ReaderGoneError, BrokenPipeError):
        # Else Python complains again when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ImrecError as error:
        _explain(with_hint(error), debug=invocation.debug)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the user gets one line, and a traceback on request
        _explain(
            f"internal error, {type(error).__name__}: {error} (--debug shows where; please report it)",
            debug=invocation.debug,
        )
        return 1
    return result if isinstance(result, int) else 0


def _explain(message: str, *, debug: bool) -> None:
    if debug:
        _print_lines(traceback.format_exc())
    _print_lines(f"imrec-pg: {' '.join(message.split())}")


def _print_lines(text: str) -> None:
    for line in text.splitlines():
        print(terminal_text(line), file=sys.stderr)


class _Formatter(logging.Formatter):
    """Messages name files."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(terminal_text, super().format(record).split("\n")))
