"""The benchmark's own folder and databases, removed afterwards however the run ends."""

import secrets
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from imrec_pg.db import migrate
from imrec_pg.db.connection import Connection, translated
from imrec_pg.embedded import EmbeddedServer
from imrec_pg.errors import DatabaseUnreachableError
from imrec_pg.settings import Settings

_REPORTED_SETTINGS = (
    "shared_buffers",
    "maintenance_work_mem",
    "work_mem",
    "max_parallel_workers_per_gather",
    "max_parallel_maintenance_workers",
    "io_method",
)


class Scratch:
    """Databases and files of one run.

    Attributes:
        folder: for files; other users may pass through it.
    """

    def __init__(self, folder: Path, server: EmbeddedServer | None, dsn: str) -> None:
        self.folder = folder
        self._server = server
        self._dsn = dsn
        self._prefix = f"imrec_bench_{secrets.token_hex(4)}"
        self._created: list[str] = []

    def database(self, purpose: str) -> str:
        """Return the DSN of a new database that has pgvector and nothing else."""
        name = f"{self._prefix}_{purpose}"
        with translated(), psycopg.connect(self._dsn, autocommit=True) as admin:
            admin.execute(SQL("CREATE DATABASE {} TEMPLATE template0").format(Identifier(name)))
        self._created.append(name)
        dsn = make_conninfo(self._dsn, dbname=name)
        with translated(), psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute("CREATE EXTENSION vector")
        return dsn

    def library(self, purpose: str) -> Settings:
        """Return the settings of a new, empty photo library."""
        settings = Settings(
            dsn=self.database(purpose), data_dir=self.folder, weights=None, dsn_source="the benchmark"
        )
        migrate.upgrade(settings)
        return settings

    def users_library(self) -> tuple[Settings, list[str]]:
        """Return the settings of a library such as a user has, and the command-line options that select it."""
        if self._server is None:
            settings = self.library("photos")
            return settings, ["--dsn", settings.dsn or ""]
        folder = self._server.data_dir
        made = Settings(dsn=None, data_dir=folder, weights=None, dsn_source="the benchmark")
        return made, ["--data", str(folder)]

    def server_processes(self) -> list[psutil.Process]:
        """Return the embedded server's processes; none when another server is used."""
        status = None if self._server is None else self._server.status()
        if status is None or status.pid is None:
            return []
        try:
            first = psutil.Process(status.pid)
            return [first, *first.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def server_description(self) -> dict[str, str]:
        """Return the versions of PostgreSQL and pgvector, and the settings that matter for speed."""
        with open_plain(self.database("versions")) as conn:
            row = conn.execute(
                "SELECT current_setting('server_version'), extversion FROM pg_catalog.pg_extension "
                "WHERE extname = 'vector'"
            ).fetchone()
            reported = conn.execute(
                "SELECT name, current_setting(name) FROM pg_catalog.pg_settings WHERE name = ANY(%s)",
                (list(_REPORTED_SETTINGS),),
            ).fetchall()
        assert row is not None
        versions = {"PostgreSQL": str(row[0]), "pgvector": str(row[1])}
        return versions | {str(name): str(value) for name, value in reported}

    def drop_databases(self) -> None:
        """Drop all databases of this run."""
        with psycopg.connect(self._dsn, autocommit=True) as admin:
            for name in self._created:
                admin.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))
        self._created.clear()


@contextmanager
def open_scratch(dsn: str | None, parent: Path | None = None) -> Iterator[Scratch]:
    """Yield a folder and databases, on a new embedded server or on that of a DSN, whose database is left alone.

    Args:
        dsn: of a role that may create databases; None for the embedded server.
        parent: where the folder is made; None for the system's temporary folder.

    Raises:
        DatabaseUnreachableError: the server cannot be reached.
        EmbeddedServerError: the embedded server did not start.
    """
    folder = Path(tempfile.mkdtemp(prefix="imrec-bench-", dir=parent))
    # If the caller is root, the server runs as another user and needs to pass through.
    folder.chmod(0o711)
    server = None if dsn else EmbeddedServer(folder / "db")
    scratch: Scratch | None = None
    try:
        scratch = Scratch(folder, server, server.start() if server else _reachable(dsn or ""))
        yield scratch
    finally:
        with _uninterrupted():
            if server is not None:
                server.stop()
            elif scratch is not None:
                scratch.drop_databases()
            shutil.rmtree(folder, ignore_errors=True)


def open_plain(dsn: str) -> Connection:
    """Return a plain psycopg connection in autocommit mode."""
    with translated():
        return psycopg.connect(dsn, autocommit=True)


def _reachable(dsn: str) -> str:
    try:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as conn:
            conn.execute("SELECT 1")
    except psycopg.Error as error:
        raise DatabaseUnreachableError(
            f"no connection to the database named by --dsn: {' '.join(str(error).split())}"
        ) from error
    return dsn


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ignore Ctrl-C during clean-up: a second one would leave a server running."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGINT, signal.SIGTERM) if in_main_thread else ()
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
