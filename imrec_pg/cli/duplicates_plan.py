"""imrec-pg duplicates plan."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from imrec_pg import outputs
from imrec_pg.analysis.duplicates import DuplicateKind
from imrec_pg.analysis.removals import KeepRule
from imrec_pg.cli.common import PATH, EnumChoice, database_options, invocation, say, size
from imrec_pg.cli.map_options import force_option, kept_by
from imrec_pg.errors import ImrecError
from imrec_pg.paths import absolute

if TYPE_CHECKING:
    from imrec_pg.analysis.removals import RemovalPlan
    from imrec_pg.library import Library

_USUAL = (DuplicateKind.COPY, DuplicateKind.EXACT)


class _Rules(click.ParamType[tuple[KeepRule, ...]]):
    """Rules in their order, with commas between."""

    name = "RULES"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[KeepRule, ...]:
        """Return the rules."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(KeepRule(word.strip()) for word in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r}: write some of {', '.join(KeepRule)}, with commas between", param, ctx)


@click.command(
    "plan",
    epilog="""\b
Examples:
  imrec-pg duplicates plan --trash ~/trash --output plan.sh
  less plan.sh && sh plan.sh
  imrec-pg duplicates plan --trash /photos/.trash --keep resolution,oldest --prefer /photos/albums | less
  imrec-pg duplicates plan --hardlink --output link.sh      exact copies become names of one file""",
)
@click.option(
    "--trash", type=PATH, metavar="DIR", help="Move files below this folder; they keep their paths in it."
)
@click.option("--hardlink", is_flag=True, help="Make exact copies names of one file, instead of moving any.")
@click.option(
    "--keep",
    type=_Rules(),
    default=(),
    help=f"Which file of a group stays, by these rules in their order: {', '.join(KeepRule)}. "
    "Where they leave it open, the one that list shows first.",
)
@click.option(
    "--prefer",
    type=PATH,
    multiple=True,
    metavar="DIR",
    help="Files below this folder stay before all others; may be repeated, the first one first.",
)
@click.option(
    "--kind",
    "kinds",
    type=EnumChoice(DuplicateKind),
    multiple=True,
    help="Of which duplicates; may be repeated.  [default: copy and exact]",
)
@click.option(
    "--output", type=PATH, metavar="FILE", help="Write the script into a file rather than to stdout."
)
@force_option
@database_options
def command(
    *,
    trash: Path | None,
    hardlink: bool,
    keep: tuple[KeepRule, ...],
    prefer: tuple[Path, ...],
    kinds: tuple[DuplicateKind, ...],
    output: Path | None,
    force: bool,
) -> None:
    """Write a shell script that moves duplicates into a trash folder, or links them; nothing happens before you run it.

    For each file that goes, the script names the one that stays, and it acts only while both have the SHA-256
    that they were stored with. Files that are alike others of their group but not the one that stays, and camera
    raws beside their pictures, are left alone.
    """
    if hardlink == (trash is not None):
        raise click.UsageError("say where files go: either --trash DIR or --hardlink")
    if hardlink and set(kinds) - {DuplicateKind.EXACT}:
        raise click.UsageError("--hardlink is for exact copies alone")
    if output is None and sys.stdout.isatty():
        raise click.UsageError("the script holds paths as they are: write it by --output FILE, or pipe it on")
    wanted = (DuplicateKind.EXACT,) if hardlink else kinds or _USUAL
    with invocation().library() as library:
        target, replaced = _target(library, output, force=force)
        plan = library.plan_removal(wanted, keep=keep, prefer=prefer, trash=trash)
        _write(plan, trash, target, replaced)
    _tell(plan, target)


def _target(
    library: "Library", output: Path | None, *, force: bool
) -> tuple[Path | None, os.stat_result | None]:
    if output is None:
        return None, None
    target = outputs.place(output)
    return target, outputs.check(target, "a plan", _is_plan, force=force, kept=kept_by(library))


def _write(
    plan: "RemovalPlan", trash: Path | None, target: Path | None, replaced: os.stat_result | None
) -> None:
    from imrec_pg.analysis.removal_script import script_of

    script = script_of(plan, None if trash is None else absolute(trash))
    if target is None:
        sys.stdout.buffer.write(script)
        sys.stdout.buffer.flush()
        return
    try:
        with outputs.new_file(target, replaced) as file:
            file.write(script)
    except OSError as error:
        raise ImrecError(
            f"{outputs.shown(target)} could not be written: {error.strerror or error}"
        ) from error


def _tell(plan: "RemovalPlan", target: Path | None) -> None:
    number = sum(len(group.remove) for group in plan.groups)
    say(f"{number:,} files of {len(plan.groups):,} groups could go: {size(plan.savings)}")
    if plan.distant:
        say(
            f"{plan.distant:,} stay, since they are not near to the one that stays, or are a camera raw or its picture"
        )
    if plan.absent:
        say(f"{plan.absent:,} are not here, or have changed: imrec-pg ingest looks at them again")
    if target is not None:
        say(f"nothing has happened yet: read {outputs.shown(target)}, then run it by sh")


def _is_plan(path: Path) -> bool:
    from imrec_pg.analysis.removal_script import HEAD, MARK

    return outputs.is_marked(path, (HEAD,), MARK)
