"""imrec-pg root."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from imrec_pg.cli.common import PATH, ask, database_options, invocation, json_option, print_json, say
from imrec_pg.cli.progress import counted
from imrec_pg.paths import display_path
from imrec_pg.settings import this_host

if TYPE_CHECKING:
    from imrec_pg.catalogue.roots import RootState
    from imrec_pg.ingest.roots import RootPlacement

_name = click.argument("name", metavar="NAME")


@click.group(
    "root",
    epilog="""\b
Examples:
  imrec-pg root add photos /mnt/nas/photos     here
  imrec-pg root add photos /Volumes/photos     there, on the Mac
  imrec-pg root list
  imrec-pg ingest photos""",
)
def command() -> None:
    """Name folders of photos, and say where they are on this host.

    The library knows a file by its root and its path below the root, so a folder stays the same when it
    moves, or has another path on another host. Ingesting a folder makes it a root too; its name is then
    its path.
    """


@command.command(
    epilog="""\b
Examples:
  imrec-pg root add photos ~/Pictures
  imrec-pg root add photos /mnt/new-disk/Pictures     it has moved
  IMREC_HOST=nas imrec-pg root add photos /photos     in a container, whose host name is random""",
)
@_name
@click.argument("path", type=PATH, metavar="FOLDER")
@database_options
def add(*, name: str, path: Path) -> None:
    """Say where a root is on this host; an unknown name makes a new root.

    If no other host has the root, it has moved: its files get their new paths. Otherwise its files keep
    their paths, and only this host looks for them in the new folder.
    """
    with invocation().library() as library, _resumable(), counted("paths") as show:
        placed = library.roots.add(name, path, on_progress=show)
    for line in _outcome(placed):
        say(line)


@command.command(
    "list",
    epilog="""\b
Examples:
  imrec-pg root list
  imrec-pg root list --json | jq -r .[].path""",
)
@json_option
@database_options
def list_(*, as_json: bool) -> None:
    """List the roots: name, folder on this host, number of files."""
    with invocation().library() as library:
        roots = library.roots.states()
    if as_json:
        print_json([dataclasses.asdict(root) for root in roots])
        return
    width = max((len(root.name) for root in roots), default=0)
    for root in roots:
        print(f"{root.name:<{width}}  {described(root)}")
    if not roots:
        say("no root yet: imrec-pg ingest FOLDER, or imrec-pg root add NAME FOLDER")


@command.command(
    epilog="""\b
Examples:
  imrec-pg root rename /home/me/Pictures photos""",
)
@click.argument("old", metavar="NAME")
@click.argument("new", metavar="NEW")
@database_options
def rename(*, old: str, new: str) -> None:
    """Give a root another name; nothing else changes."""
    with invocation().library() as library:
        library.roots.rename(old, new)
    say(f"{old} is now called {new}")


@command.command(
    epilog="""\b
Examples:
  imrec-pg root remove photos --dry-run
  imrec-pg root remove photos
  imrec-pg root remove photos --host old-laptop    it is no longer there; no file is forgotten""",
)
@_name
@click.option("--dry-run", is_flag=True, help="Only show what would be forgotten.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option("--host", metavar="HOST", help="Only forget where it is on that host.")
@json_option
@database_options
def remove(*, name: str, dry_run: bool, yes: bool, host: str | None, as_json: bool) -> None:
    """Forget a root, its files, and the features of photos that no other file holds.

    The photos themselves are never touched.
    """
    if host is not None:
        if dry_run or as_json:
            raise click.UsageError("--host forgets no files: leave out --dry-run and --json")
        _forget_host(name, host)
        return
    with invocation().library() as library:
        found = library.roots.contents(name)
        if not dry_run:
            if found.files and not yes:
                _ask(name, found.files, found.images)
            with _resumable(), counted("files", found.files, quiet=as_json) as show:
                found = library.roots.remove(name, on_progress=show)
    if as_json:
        print_json({"files": found.files, "images": found.images, "dry_run": dry_run})
        return
    what = f"{found.files:,} files, and {found.images:,} photos that no other file holds"
    say(f"{'would forget' if dry_run else 'forgot'} {name}: {what}")


def _forget_host(name: str, host: str) -> None:
    with invocation().library() as library:
        known = library.roots.forget_host(name, host)
    say(f"forgot where {name} is on {host}" if known else f"nothing was known of {name} on {host}")


def described(root: "RootState") -> str:
    """Return where a root is, how many files it has, and what else is known about it."""
    notes = [f"{root.files:,} files"]
    if root.canonical != root.path:
        notes.append(f"known as {root.canonical}")
    if root.elsewhere:
        notes.append(f"{'also ' if root.mounted else ''}on {', '.join(root.elsewhere)}")
    if root.gone:
        notes.append("its folder is not there: see imrec-pg doctor")
    return f"{root.path} ({'; '.join(notes)})"


def _outcome(placed: "RootPlacement") -> Iterator[str]:
    root, folder = placed.root, display_path(placed.folder)
    match placed.outcome:
        case "new":
            yield f"{root.name} is {folder}: imrec-pg ingest {folder} stores its photos"
        case "moved":
            old = display_path(root.raw_path)
            yield f"{root.name} has moved from {old} to {folder}: its files have their new paths"
            if root.mounted is None:
                yield f"if another host still has it at {old}, run there: imrec-pg root add NAME FOLDER"
        case "mounted":
            yield f"{root.name} is {folder} on this host, {this_host()}"
            if root.raw_path != placed.folder:
                known, others = display_path(root.raw_path), ", ".join(root.elsewhere)
                yield f"SQL still shows its files by their paths in {known}, because {others} has it too"
        case _:
            yield f"{root.name} is {folder} already"
    if placed.rewritten:
        yield f"{placed.rewritten:,} files have a new path"


def _ask(name: str, files: int, images: int) -> None:
    what = f"{files:,} files, and {images:,} photos that no other file holds"
    ask(
        f"Forget {name}: {what}?",
        unasked=f"{name} has {what}: pass --yes to forget them, or --dry-run to look",
    )


@contextmanager
def _resumable() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        say("\nwhat is done so far stays: run the same command again to continue")
        raise
