"""imrec-pg db."""

import dataclasses

import click

from imrec_pg.cli.common import (
    EnumChoice,
    database_options,
    invocation,
    json_option,
    print_json,
    say,
    size,
)
from imrec_pg.cli.dump import dump, restore
from imrec_pg.embedded import EmbeddedServer
from imrec_pg.errors import UnknownRoleError, UsageError
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
    """Start, stop, upgrade, dump and restore the database, and say who may use it.

    Without a DSN imrec-pg runs an own PostgreSQL with pgvector: set up when first needed, reached by
    a local socket of this user alone, and left running so that the next command is fast.
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
    """Start the own PostgreSQL and print its connection string."""
    print(_server().start())


@command.command(
    epilog="""\b
Examples:
  imrec-pg db stop
  imrec-pg db stop --data /srv/photos-db""",
)
@database_options
def stop() -> None:
    """Stop the own PostgreSQL; the next command starts it again."""
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
    """Show whether the own PostgreSQL runs, and where."""
    found = _server().status()
    if as_json:
        print_json(dataclasses.asdict(found))
        return
    if found.running:
        print(f"running    PostgreSQL {found.version}, pid {found.pid}, socket in {found.socket_dir}")
    else:
        print("running    no: imrec-pg db start, or any other command")
    stored = "" if found.size_bytes is None else f" ({size(found.size_bytes)})"
    print(f"data       {found.data_dir}{stored}")
    print(f"log        {found.log}")


@command.command(
    epilog="""\b
Examples:
  imrec-pg db upgrade
  imrec-pg db upgrade --dsn postgresql://me@host/photos""",
)
@database_options
def upgrade() -> None:
    """Create or update the schema imrec in the database in use.

    The own PostgreSQL is upgraded by itself; another server only by this command. It needs a role
    that may create a schema, and pgvector: CREATE EXTENSION vector, by an administrator if need be.
    """
    from imrec_pg.db import (
        migrate,
        session,
    )

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
@click.option("--create", is_flag=True, help="Make the role when there is none; it has no password yet.")
@click.option(
    "--root",
    "roots",
    multiple=True,
    metavar="NAME",
    help="Let a reader see the photos of this root alone, as imrec-pg status names it; may be repeated.",
)
@database_options
def grant(*, kind: GrantedRole, role: str, create: bool, roots: tuple[str, ...]) -> None:
    """Let a PostgreSQL role use the library: as reader, ingester or owner.

    A reader may search, from psql or any program, and nothing else. An ingester may also store photos.
    An owner may also upgrade the schema and build indexes. What the role was granted before is replaced.
    Run it as the owner.

    With --root a reader sees, from any program, the photos of these roots and nothing of the others: no
    path, no feature, no neighbour. The first such grant turns PostgreSQL's row-level security on. Roles
    that may read by then see all as before; to others, a GRANT by hand alone shows no photo any more.
    """
    if roots and kind is not GrantedRole.READER:
        raise UsageError(f"--root is for readers: an {kind} has to see all that is stored")
    try:
        with invocation().library() as library:
            library.grant(kind, role, create=create, roots=roots)
    except UnknownRoleError as error:
        raise UsageError(f"{error}: --create makes one") from error
    say(f"{role} is {kind} now{' of ' + ', '.join(roots) if roots else ''}")


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
    say(f"{role} has no more business here")


command.add_command(dump)
command.add_command(restore)


def _server() -> EmbeddedServer:
    settings = invocation().settings()
    if not settings.embedded:
        raise UsageError(
            f"the database is named by {settings.dsn_source}, and imrec-pg does not run that server: "
            "unset it, or use --data"
        )
    return EmbeddedServer(settings.data_dir)
