"""pg_dump and pg_restore of the whole database, with what a library needs around them."""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from psycopg import errors as pg
from psycopg.sql import SQL, Identifier

from imrec_pg import outputs
from imrec_pg.backup.emptying import empty
from imrec_pg.catalogue import stored_files
from imrec_pg.catalogue.roots import roots_here
from imrec_pg.db import migrate
from imrec_pg.db.apply_sql import renew_access
from imrec_pg.db.connection import (
    Connection,
    connect,
    psql_call,
    refuse_development_schema,
    refuse_foreign_schema,
    schema_version,
    translated,
)
from imrec_pg.db.locks import bounded
from imrec_pg.db.pooler import execute_alone
from imrec_pg.db.rows import value, values
from imrec_pg.embedded import client_path
from imrec_pg.errors import ImrecError, SchemaError, UsageError
from imrec_pg.paths import display_path
from imrec_pg.settings import Settings, this_host

OnBytes = Callable[[int], object]
"""Called with how many bytes are done; how many there will be is not known."""

_CHUNK = 1 << 20
_TABLES = "SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = 'imrec' ORDER BY 1"
_LOAD_PGVECTOR = """
SELECT format('SELECT ''[1]''::%I.vector', n.nspname) FROM pg_catalog.pg_extension AS e
INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'vector'
"""
# The extension must be there before; only its owner may comment on it, on most servers an administrator. All
# privileges are granted anew: the roles they name may not be here, or be somebody else.
_NOT_RESTORED = (
    *(" EXTENSION - vector", " COMMENT - EXTENSION vector"),
    *(f" TABLE DATA imrec_internal {table} " for table in ("access", "access_root")),
)


def dump(
    settings: Settings,
    file: Path,
    *,
    overwrite: bool = False,
    force: bool = False,
    on_bytes: OnBytes | None = None,
) -> None:
    """Write the whole database, as pg_dump's custom format, into a file that appears at the end.

    Raises:
        OutputExistsError: the file is a dump of a library, and overwrite and force are False.
        FileInTheWayError: it is another file, and force is False.
        KeptFileError: it is a stored photo.
        UsageError: its folder does not exist.
        SchemaError: there is no library in the database.
        ImrecError: there is no pg_dump for this server, or it failed.
    """
    file = outputs.place(file)

    def kept(path: Path) -> str | None:
        return "a stored photo" if stored_files.holds(conn, roots_here(conn, this_host()), path) else None

    with connect(settings) as conn, translated(conn):
        if schema_version(conn) is None:
            raise SchemaError("this database holds no library: there is nothing to dump")
        replaced = outputs.check(file, "a dump", _is_dump, overwrite=overwrite, force=force, kept=kept)
        program = _program("pg_dump", conn)
    where, environment = psql_call(settings)
    # gzip's usual level takes 5 times as long, for a tenth less; the bundled pg_dump knows no other.
    command: list[str | Path] = [program, *where, "--format=custom", "--compress=gzip:1", "--no-password"]
    try:
        # pg_dump gets the open file: by its name it would follow whatever has taken it.
        with (
            outputs.new_file(file, replaced) as target,
            _running(command, environment, stdout=target.fileno()) as (process, said),
        ):
            while process.poll() is None:
                if on_bytes is not None:
                    on_bytes(os.fstat(target.fileno()).st_size)
                time.sleep(0.1)
            _check(process, said, "pg_dump failed, and left no file")
    except OSError as error:
        raise ImrecError(f"{_shown(file)} could not be written: {error.strerror or error}") from error


def _is_dump(file: Path) -> bool:
    """Return whether a file is a dump of a library; its table of contents is not compressed."""
    return outputs.is_marked(file, (b"PGDMP",), b"CREATE SCHEMA imrec;")


def restore(settings: Settings, file: Path, *, on_bytes: OnBytes | None = None) -> None:
    """Fill a database without photos from what dump() has written, all or nothing.

    Owners and privileges are not restored: all belongs to the role that connects, and
    readers are granted anew. The empty schema that may be there goes in the same transaction in which the
    dump's comes.

    Raises:
        UsageError: the database holds photos, or something of others in our schemas or built on them.
        SchemaError: pgvector is missing, and the role may not create it; or a development version made the
            dump; or one of our schemas belongs to another role.
        BlockedError: others hold locks on the empty tables.
        ImrecError: the file is no dump of a library, there is no pg_restore for this server, or it failed.
    """
    file = file.expanduser().absolute()
    with connect(settings) as conn, translated(conn):
        programs = [_program("pg_restore", conn), _program("psql", conn)]
        entries = _entries(programs[0], file)
        refuse_foreign_schema(conn)
        refuse_development_schema(conn)
        _check_empty(conn)
    migrate.ensure_pgvector(settings)
    with connect(settings) as conn, translated(conn):
        before = [empty().as_string(conn), value(conn, str, _LOAD_PGVECTOR)]
    _pour(settings, programs, file, entries, before, on_bytes)
    with connect(settings) as conn, translated(conn):
        with conn.transaction():
            renew_access(conn)
        for table in values(conn, str, _TABLES):
            # Also sets the visibility map, which the first searches would else have to.
            execute_alone(conn, SQL("VACUUM (ANALYZE) {}").format(Identifier("imrec", table)))


def _check_empty(conn: Connection) -> None:
    """Return when nothing is in the way of a dump.

    Raises:
        UsageError: something is.
    """
    try:
        with conn.transaction(force_rollback=True), bounded(conn, "5s"):
            conn.execute(empty())
    except pg.RaiseException as error:
        raise UsageError(str(error.diag.message_primary)) from error


def _pour(
    settings: Settings,
    programs: list[Path],
    file: Path,
    entries: str,
    before: list[str],
    on_bytes: OnBytes | None,
) -> None:
    """Hand statements, and then what pg_restore writes, to psql, in one transaction.

    pg_restore on its own cannot do this: a role that is no superuser may name pgvector's settings in a
    function only in a session that has loaded pgvector before.
    """
    pg_restore, psql = programs
    where, environment = psql_call(settings)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".list") as wanted:
        wanted.write(entries)
        wanted.flush()
        reading: list[str | Path] = [
            pg_restore,
            "--no-owner",
            "--no-privileges",
            "--use-list",
            wanted.name,
            "--file=-",
            file,
        ]
        writing: list[str | Path] = [psql, *where, "--no-psqlrc", "--no-password", "--quiet"]
        writing += ["--single-transaction", "--set=ON_ERROR_STOP=1", "--output", os.devnull]
        for statement in before:
            writing += ["--command", statement]
        writing += ["--file=-"]
        with (
            _running(reading, dict(os.environ), stdout=subprocess.PIPE) as (source, source_said),
            _running(writing, environment, stdin=subprocess.PIPE) as (target, target_said),
        ):
            assert source.stdout is not None
            assert target.stdin is not None
            done = 0
            try:
                while chunk := source.stdout.read(_CHUNK):
                    target.stdin.write(chunk)
                    done += len(chunk)
                    if on_bytes is not None:
                        on_bytes(done)
                # Before psql sees the end: it would commit what there is of a file that is cut short.
                _check(source, source_said, "pg_restore failed, and nothing was restored")
                target.stdin.close()
            except BrokenPipeError:  # psql says why
                pass
            _check(target, target_said, "psql failed, and nothing was restored")


def _entries(program: Path, file: Path) -> str:
    """Return the dump's table of contents, without what is not restored.

    Raises:
        ImrecError: it is no dump of a library.
        SchemaError: a development version made it.
    """
    if not file.is_file():
        raise UsageError(f"{_shown(file)} is no file: name one that imrec-pg db dump has written")
    listed = subprocess.run([program, "--list", file], capture_output=True, check=False)
    if listed.returncode != 0:
        raise ImrecError(f"{_shown(file)} is no dump that pg_restore can read: {_line(listed.stderr)}")
    lines = listed.stdout.decode(errors="surrogateescape").splitlines()
    if not any(" SCHEMA - imrec " in line for line in lines):
        raise ImrecError(f"{_shown(file)} holds no library: name a file that imrec-pg db dump has written")
    if any(" TABLE imrec alembic_version " in line for line in lines):
        raise SchemaError(
            f"a development version of imrec-pg made {_shown(file)}: restore it with that version, write an "
            "export (imrec-pg export DIR), and read that with this one (imrec-pg import DIR)"
        )
    return "\n".join(line for line in lines if not any(words in line for words in _NOT_RESTORED)) + "\n"


def _program(name: str, conn: Connection) -> Path:
    # Another major version's would dump too, but write settings that this server may not know.
    major = conn.info.server_version // 10_000
    found = client_path(name, major)
    if found is None:
        raise ImrecError(
            f"this server is PostgreSQL {major}, and there is no {name} {major}: install its client programs "
            f"(Debian: postgresql-client-{major}) and put them on PATH"
        )
    return found


@contextmanager
def _running(
    command: list[str | Path],
    environment: dict[str, str],
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
) -> Iterator[tuple["subprocess.Popen[bytes]", IO[bytes]]]:
    """Yield a started program and what it says on stderr; it does not outlive the block."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=said, env=environment)
        try:
            yield process, said
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()


def _check(process: "subprocess.Popen[bytes]", said: IO[bytes], failed: str) -> None:
    if process.wait() != 0:
        said.seek(0)
        raise ImrecError(f"{failed}: {_line(said.read(100_000))}")


def _line(said: bytes) -> str:
    """Return the first error among what a program said."""
    lines = [display_path(line) for line in said.splitlines() if line.strip()]
    return next(
        (line for line in lines if "rror:" in line or "FATAL" in line or "ERROR" in line), "".join(lines[:1])
    )


def _shown(path: Path) -> str:
    return display_path(os.fsencode(path))
