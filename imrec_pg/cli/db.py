"""imrec-pg db."""

import dataclasses
from pathlib import Path

import click

from imrec_pg.cli.common import (
    PATH,
    EnumChoice,
    database_options,
    invocation,
    json_option,
    print_json,
    print_line,
    say,
    size,
)
from imrec_pg.cli.progress import transferred
from imrec_pg.embedded import EmbeddedServer
from imrec_pg.errors import UsageError
from imrec_pg.records import GrantedRole


@click.group(
    "db",
    epilog="""\b
Examples:
  imrec-pg db status
  imrec-pg db upgrade --dsn postgresql://me@host/photos
  imrec-pg db dump ~/backup/photos.dump
  imrec-pg db stop""",
)
def command() -> None:
    """Start, stop, upgrade, dump and restore the database, and grant access to it.

    Without a DSN imrec-pg runs an embedded PostgreSQL with pgvector. It is set up when first needed,
    accepts only this user, through a local socket, and keeps running so that the next command is fast.
    """


@command.command(
    epilog="""\b
Examples:
  imrec-pg db start
  psql "$(imrec-pg db start)"
  imrec-pg db start --data /srv/photos-db""",
)
@database_options
def start() -> None:
    """Start the embedded PostgreSQL and print its connection string."""
    print_line(_server().start())


@command.command(
    epilog="""\b
Examples:
  imrec-pg db stop
  imrec-pg db stop --data /srv/photos-db""",
)
@database_options
def stop() -> None:
    """Stop the embedded PostgreSQL; the next command starts it again."""
    server = _server()
    say(f"stopped {server.data_dir}" if server.stop() else f"{server.data_dir} was not running")


@command.command(
    epilog="""\b
Examples:
  imrec-pg db status
  imrec-pg db status --json | jq .running""",
)
@json_option
@database_options
def status(*, as_json: bool) -> None:
    """Show whether the embedded PostgreSQL runs, and where."""
    found = _server().status()
    if as_json:
        print_json(dataclasses.asdict(found))
        return
    if found.running:
        print_line(f"running    PostgreSQL {found.version}, pid {found.pid}, socket in {found.socket_dir}")
    else:
        print_line("running    no (any command starts it)")
    stored = "" if found.size_bytes is None else f" ({size(found.size_bytes)})"
    print_line(f"data       {found.data_dir}{stored}")
    print_line(f"log        {found.log}")


@command.command(
    epilog="""\b
Examples:
  imrec-pg db upgrade
  imrec-pg db upgrade --dsn postgresql://me@host/photos""",
)
@database_options
def upgrade() -> None:
    """Create or update the schema imrec in the database in use.

    The embedded PostgreSQL is upgraded automatically, another server only by this command. The role must
    be allowed to create a schema, and the database needs pgvector: CREATE EXTENSION vector, by an
    administrator if necessary.
    """
    from imrec_pg.db import migrate, session

    migrate.upgrade(invocation().settings())
    say(f"the schema imrec is at {session.HEAD}")


@command.command(
    epilog="""\b
Examples:
  imrec-pg db grant reader webapp
  imrec-pg db grant ingester scanner --create
  imrec-pg db grant reader anna --root /photos/anna --root /photos/family
  imrec-pg db revoke webapp""",
)
@click.argument("kind", type=EnumChoice(GrantedRole))
@click.argument("role", metavar="ROLE")
@click.option("--create", is_flag=True, help="Create the role if it does not exist, without a password.")
@click.option(
    "--root",
    "roots",
    multiple=True,
    metavar="NAME",
    help="Let a reader see only the photos of this root (imrec-pg root list); may be repeated.",
)
@database_options
def grant(*, kind: GrantedRole, role: str, create: bool, roots: tuple[str, ...]) -> None:
    """Let a PostgreSQL role use the library: as reader, ingester or owner.

    A reader may only search, from psql or any program. An ingester may also store photos. An owner may
    also upgrade the schema and build indexes. The grant replaces earlier grants to the role. Run it as
    the owner.

    With --root a reader sees, from any program, the photos of these roots and nothing of the others: no
    path, no feature, no neighbour. It may read no table; functions such as imrec.similar_to answer it as if
    there were no other photos, and the views imrec.visible_photo, visible_root and visible_failure list its own.
    """
    if roots and kind is not GrantedRole.READER:
        raise UsageError(f"--root is for readers: an {kind} has to see everything that is stored")
    with invocation().library() as library:
        library.grant(kind, role, create=create, roots=roots)
    article = "a" if kind is GrantedRole.READER else "an"
    say(f"{role} is now {article} {kind}{' of ' + ', '.join(roots) if roots else ''}")


@command.command(
    epilog="""\b
Examples:
  imrec-pg db revoke webapp""",
)
@click.argument("role", metavar="ROLE")
@database_options
def revoke(*, role: str) -> None:
    """Take from a PostgreSQL role what db grant gave it; the role itself stays."""
    with invocation().library() as library:
        library.revoke(role)
    say(f"access revoked from {role}")


@command.command(
    epilog="""\b
Examples:
  imrec-pg db dump ~/backup/photos.dump
  imrec-pg db dump ~/backup/photos.dump --overwrite      in a nightly job""",
)
@click.argument("file", type=PATH)
@click.option("--overwrite", is_flag=True, help="Replace the dump that FILE holds.")
@click.option("--force", is_flag=True, help="Replace FILE whatever it holds, unless it is a stored photo.")
@database_options
def dump(*, file: Path, overwrite: bool, force: bool) -> None:
    """Write the whole database into FILE with pg_dump, your own tables included.

    Only PostgreSQL reads it; imrec-pg export writes files that other programs read too. FILE appears once
    everything is written; only you may read it.
    """
    from imrec_pg.backup import dump as backup

    with transferred("dump") as show:
        backup.dump(invocation().settings(), file, overwrite=overwrite, force=force, on_bytes=show)
    say(f"wrote {size(file.expanduser().stat().st_size)}")


@command.command(
    epilog="""\b
Examples:
  imrec-pg db restore ~/backup/photos.dump --data /srv/photos-db
  imrec-pg db restore ~/backup/photos.dump --dsn postgresql://me@host/photos""",
)
@click.argument("file", type=PATH)
@database_options
def restore(*, file: Path) -> None:
    """Fill a database without photos from a FILE that db dump wrote: everything or nothing.

    Restore only dumps that you trust: they contain SQL, which is executed. Indexes are rebuilt, which
    takes long. Roles need their grants again (imrec-pg db grant).
    """
    from imrec_pg.backup import dump as backup

    with transferred("restore") as show:
        backup.restore(invocation().settings(), file, on_bytes=show)
    say("restored")


def _server() -> EmbeddedServer:
    settings = invocation().settings()
    if not settings.embedded:
        raise UsageError(
            f"imrec-pg does not run the server that {settings.dsn_source} names: unset it, or use --data"
        )
    return EmbeddedServer(settings.data_dir)
