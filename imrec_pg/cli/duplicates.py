"""imrec-pg duplicates: the group of commands; each lives in a module of its own."""

import importlib

import click

_COMMANDS = {
    "find": "Look for near copies in the whole library.",
    "list": "List the groups of duplicates.",
    "plan": "Write a shell script that moves or links what could go.",
    "review": "Go through near copies in the terminal, and say what they are.",
    "tune": "Measure each strictness on your own photos, and choose one.",
    "verdict": "Say that two photos are the same, alternates or different.",
}


class _Subcommands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"imrec_pg.cli.duplicates_{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.command(
    cls=_Subcommands,
    name="duplicates",
    epilog="""\b
Examples:
  imrec-pg duplicates find
  imrec-pg duplicates list
  imrec-pg duplicates plan --trash ~/trash --output plan.sh
  imrec-pg duplicates verdict a.jpg b.jpg different""",
)
def command() -> None:
    """Find copies of photos, and remember what you said of them.

    Exact copies are known from ingest; find looks for near ones. Nothing is ever deleted.
    """
