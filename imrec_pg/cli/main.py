"""The entry point: global options, and every error as one line and an exit code."""

import io
import logging
import os
import signal
import sys
import traceback
from typing import NoReturn

import click

from imrec_pg.cli import streams
from imrec_pg.cli.common import Invocation, database_options
from imrec_pg.cli.hints import with_hint
from imrec_pg.cli.lazy import LazyGroup
from imrec_pg.cli.streams import StdoutError
from imrec_pg.errors import ImrecError, UsageError
from imrec_pg.paths import display_path, is_text, terminal_text

_COMMANDS = {
    "ingest": "Store the photos of folders: find, decode, extract, write.",
    "watch": "Keep the library in step with folders as photos come, change, move and go.",
    "search": "Find the stored photos most like one or several images.",
    "serve": "Serve a page to look at photos, and a REST API.",
    "embed": "Print the features of image files, for SQL.",
    "duplicates": "Find copies of photos, and remember what you said of them.",
    "prune": "Forget missing files.",
    "root": "Name folders of photos, and say where they are on this host.",
    "cluster": "Put photos into clusters of alike ones, and list these.",
    "map": "Lay all photos out on a map, where alike ones lie together.",
    "status": "Show what is stored, what is lacking, and the versions in use.",
    "doctor": "Check the database, and say how to fix what is wrong.",
    "export": "Write the catalogue and all features as Parquet files.",
    "import": "Store an export of another library.",
    "errors": "List the files that could not be read.",
    "index": "List, build and drop the approximate (HNSW) indexes.",
    "tune": "Measure on your photos how far indexes search, and what search --fuse goes by.",
    "db": "Start, stop, upgrade, dump and restore the database.",
    "psql": "Open psql on the database in use.",
    "weights": "Show where the model's weights are, and fetch them.",
}
_INTERRUPTED = 130


class _BrokenPipeError(Exception):
    """A BrokenPipeError, but not of stdout; click would turn it into exit code 1, and say nothing."""


class _Commands(LazyGroup):
    descriptions = _COMMANDS

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _BrokenPipeError from error


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
    streams.guard()
    invocation = Invocation()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_Formatter("imrec-pg: %(message)s"))
    # It warns about the rollback that fails after a second Ctrl-C; it raises what matters.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    try:
        try:
            return _exit_code(command, name, arguments, invocation)
        finally:
            sys.stdout.flush()
    except StdoutError as error:
        streams.drop_stdout()
        if error.reader_gone:
            return 0
        _explain(str(error), debug=invocation.debug)
        return 1


def _exit_code(command: click.Command, name: str, arguments: list[str], invocation: Invocation) -> int:
    try:
        _refuse_empty(arguments)
        result = command.main(arguments, prog_name=name, standalone_mode=False, obj=invocation)
    except click.ClickException as error:
        text = io.StringIO()
        error.show(file=text)
        _print_lines(text.getvalue())
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        print("imrec-pg: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except StdoutError:
        raise
    except ImrecError as error:
        _explain(with_hint(error), debug=invocation.debug)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the user gets one line, and a traceback on request
        said, code = _unforeseen(error, arguments)
        _explain(said, debug=invocation.debug)
        return code
    return result if isinstance(result, int) else 0


def _unforeseen(error: Exception, arguments: list[str]) -> tuple[str, int]:
    """Return what to say of an error that is none of ours, and the exit code."""
    if isinstance(error, _BrokenPipeError) and error.__cause__ is not None:
        return f"lost the connection to another program: {error.__cause__}", 1
    if isinstance(error, FileNotFoundError) and not error.filename:  # of os.getcwd()
        return "the working folder was deleted: change to another one", UsageError.exit_code
    if isinstance(error, OSError):  # a full disk, say, or no right to a folder
        named = f"{display_path(os.fsencode(error.filename))}: " if error.filename else ""
        return f"{named}{error.strerror or error}", 1
    if isinstance(error, UnicodeEncodeError):
        for number, word in enumerate(arguments):
            if not is_text(word):
                # The word itself may be a DSN, with a password.
                return f"{_place(arguments, number)} is not valid UTF-8", UsageError.exit_code
    return f"internal error, {type(error).__name__}: {error} (--debug shows where; please report it)", 1


def _refuse_empty(arguments: list[str]) -> None:
    """Return when no argument is empty: an unset variable must not become the working folder.

    Raises:
        UsageError: one is.
    """
    for number, word in enumerate(arguments):
        option, _, value = word.partition("=")
        # What goes to psql may be empty: --set name= or --command "".
        ours = "psql" not in arguments[:number] or {"--dsn", "--data"} & {arguments[number - 1], option}
        if ours and not word:
            raise UsageError(f"{_place(arguments, number)} is empty: is a variable not set?")
        is_option = option.startswith("--") and "--" not in arguments[:number]
        if ours and is_option and "=" in word and not value:
            raise UsageError(f"{_place(arguments, number)} is empty: is a variable not set?")


def _place(arguments: list[str], number: int) -> str:
    """Return words for an argument that do not show it, nor another one than an option."""
    option = arguments[number] if "=" in arguments[number] else arguments[max(0, number - 1)]
    return f"what follows {option.partition('=')[0]}" if option.startswith("--") else f"argument {number + 1}"


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
