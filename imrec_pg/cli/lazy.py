"""Groups of commands whose modules are imported only when they run: --help must not wait for NumPy."""

import importlib
import keyword
from collections.abc import Mapping
from typing import ClassVar

import click


class LazyGroup(click.Group):
    """A group whose commands each live in a module of their own, named command.

    Attributes:
        descriptions: of the commands, in the order in which they are listed.
        modules: the modules' names, but for the command's at the end.
    """

    descriptions: ClassVar[Mapping[str, str]] = {}
    modules: ClassVar[str] = "imrec_pg.cli."

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        del ctx
        return list(self.descriptions)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of that name, or None."""
        del ctx
        if cmd_name not in self.descriptions:
            return None
        # A module cannot have the name of a keyword, such as import.
        name = self.modules + cmd_name
        name = f"{name}_" if keyword.iskeyword(name.rpartition(".")[2]) else name
        command: click.Command = importlib.import_module(name).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(self.descriptions.items()))
