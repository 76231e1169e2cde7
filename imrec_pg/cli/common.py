"""What all commands share: options, the database in use, and printing."""

import json
import logging
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from imrec_pg import settings as settings_module
from imrec_pg.errors import UsageError
from imrec_pg.paths import terminal_text
from imrec_pg.settings import Settings

if TYPE_CHECKING:
    from imrec_pg.library import Library

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(slots=True)
class Invocation:
    """The options that may come before or after the command's name."""

    dsn: str | None = None
    data: Path | None = None
    debug: bool = False

    def settings(self, weights: Path | None = None) -> Settings:
        """Return the settings from the options and the environment."""
        return settings_module.load(dsn=self.dsn, data=self.data, weights=weights)

    def library(
        self, *, weights: Path | None = None, device: str = "auto", allow_other_weights: bool = False
    ) -> "Library":
        """Open the photo library."""
        from imrec_pg.library import Library

        return Library(self.settings(weights), device=device, allow_other_weights=allow_other_weights)


def invocation() -> Invocation:
    """Return the options of the running command."""
    found = click.get_current_context().find_object(Invocation)
    assert found is not None
    return found


def _remember(ctx: click.Context, param: click.Parameter, value: object) -> None:
    if value is not None and value is not False:
        found = ctx.find_object(Invocation)
        assert found is not None
        assert param.name is not None
        setattr(found, param.name, value)
        if param.name == "debug":
            logging.getLogger().setLevel(logging.DEBUG)
            logging.getLogger("PIL").setLevel(logging.INFO)


def database_options(command: Command) -> Command:
    """Add --dsn, --data and --debug."""
    for option in (
        click.option("--debug", is_flag=True, help="Show tracebacks and details.", **_SHARED),
        click.option(
            "--data",
            type=click.Path(path_type=Path, file_okay=False),
            metavar="DIR",
            help="Folder of the embedded PostgreSQL (IMREC_DATA).",
            **_SHARED,
        ),
        click.option(
            "--dsn",
            metavar="DSN",
            help="Use another server: postgresql://user@host/database (IMREC_DATABASE_URL).",
            **_SHARED,
        ),
    ):
        command = option(command)
    return command


_SHARED: dict[str, Any] = {"expose_value": False, "callback": _remember}

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON to stdout.")

weights_options = (
    click.option(
        "--model-weights",
        "weights",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="File of ResNet-18 weights, .pth or .safetensors (IMREC_WEIGHTS).",
    ),
    click.option(
        "--allow-other-weights",
        is_flag=True,
        help="Allow weights other than torchvision's, as another model.",
    ),
    click.option(
        "--device",
        default="auto",
        metavar="DEVICE",
        show_default=True,
        help="Device for the model: auto, cpu, cuda, cuda:1, mps.",
    ),
)


def model_options(command: Command) -> Command:
    """Add --model-weights, --allow-other-weights and --device."""
    for option in reversed(weights_options):
        command = option(command)
    return command


# readable=False: a file that may not be read is an error like others, not wrong usage.
PATH = click.Path(path_type=Path, readable=False)


class Size(click.ParamType[int]):
    """A number of bytes, such as 500000, 500kB or 2 MB (SI: 1 kB is 1,000 bytes)."""

    name = "SIZE"
    _units = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}  # noqa: RUF012 - never changed

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number of bytes."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([a-z]*)", str(value).strip().lower())
        if match is None or match[2] not in self._units:
            self.fail(f"{value!r} is not a size: write 500000, 500kB or 2MB", param, ctx)
        return round(float(match[1]) * self._units[match[2]])


class EnumChoice(click.Choice[str]):
    """A choice among an enum's values; click's own would show the names of the members."""

    def __init__(self, kind: type[StrEnum]) -> None:
        super().__init__([str(member) for member in kind], case_sensitive=False)
        self._kind = kind

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> StrEnum:
        """Return the member."""
        return self._kind(super().convert(value, param, ctx))


def ask(question: str, *, unasked: str) -> None:
    """Ask a person, and return if the answer is yes.

    Raises:
        UsageError: there is no terminal to ask on; its text is unasked, which says what to do then.
    """
    if not sys.stdin.isatty():
        raise UsageError(unasked)
    click.confirm(terminal_text(question), abort=True, err=True)


def print_json(value: object) -> None:
    """Print JSON to stdout, with dates, ids and bytes as text."""
    text = json.dumps(value, indent=2, default=_plain, ensure_ascii=not sys.stdout.isatty())
    # What is left of controls is within strings, where JSON has escapes for it.
    print("\n".join(map(_json_escaped, text.split("\n"))))


def _json_escaped(line: str) -> str:
    if line.isprintable():
        return line
    return "".join(
        c if terminal_text(c) == c else json.dumps(c)[1:-1].replace("\x7f", "\\u007f") for c in line
    )


def _plain(value: object) -> object:
    from datetime import datetime

    return value.isoformat() if isinstance(value, datetime) else str(value)


def size(value: int) -> str:
    """Return a number of bytes as people read it."""
    amount = float(value)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:  # noqa: PLR2004 - SI
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def say(message: str) -> None:
    """Print a message to stderr; stdout belongs to the data."""
    start = "\n" if message.startswith("\n") else ""
    print(start + terminal_text(message.removeprefix("\n")), file=sys.stderr)


def print_line(text: str) -> None:
    """Print a line of text for people to stdout, at once."""
    print(terminal_text(text), flush=True)
