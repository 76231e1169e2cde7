"""imrec-pg duplicates: the group of commands; each lives in a module of its own."""

import click

from imrec_pg.cli.lazy import LazyGroup

_COMMANDS = {
    "find": "Look for near copies in the whole library.",
    "list": "List the groups of duplicates.",
    "plan": "Write a shell script that moves or links what could go.",
    "review": "Go through near copies in the terminal, and say what they are.",
    "tune": "Measure each strictness on your own photos, and choose one.",
    "verdict": "Say that two photos are the same, alternates or different.",
}


class _Subcommands(LazyGroup):
    descriptions = _COMMANDS
    modules = "imrec_pg.cli.duplicates_"


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
