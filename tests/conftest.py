"""One embedded server for the whole run, one database cloned from a migrated template for each test."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Identifier
from support import AddImage, bare_session, new_database, settings_for

from imrec_pg.db import migrate
from imrec_pg.db.connection import Connection
from imrec_pg.embedded import EmbeddedServer
from imrec_pg.features import weights
from imrec_pg.settings import Settings
from imrec_pg.settings import load as load_settings

# Several tests run at once, and OpenMP's threads that wait for each other by spinning take the cores from them: k-means
# on 100 rows took 31 s for 2. Inherited by commands; libgomp reads it when sklearn or torch loads it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_TEMPLATE = "imrec_template"
_DATABASE_VARIABLES = ("IMREC_DATABASE_URL", "IMREC_DATA", "DATABASE_URL", "IMREC_WEIGHTS")


@pytest.fixture(autouse=True)
def _no_database_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*_DATABASE_VARIABLES, *(name for name in os.environ if name.startswith("PG"))]:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_is_not_ignored() -> None:
    """Shells start background jobs with SIGINT ignored, which the commands under test would inherit."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """Return a folder that the server's own user can reach, which pytest's tmp_path is not for root."""
    parent = "/tmp" if os.geteuid() == 0 else None  # noqa: S108 - mkdtemp makes a folder of its own there
    folder = Path(tempfile.mkdtemp(prefix="imrec-test-", dir=parent))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def server(server_folder: Path) -> Iterator[EmbeddedServer]:
    embedded = EmbeddedServer(server_folder / "db")
    embedded.start()
    with psycopg.connect(embedded.dsn, autocommit=True) as conn:
        # Only a power failure could lose anything by this; cloning databases takes a third of the time.
        conn.execute("ALTER SYSTEM SET fsync = off")
        conn.execute("SELECT pg_reload_conf()")
    yield embedded
    embedded.stop()


@pytest.fixture(scope="session")
def template(server: EmbeddedServer) -> str:
    """Create a database with the newest schema and return the server's dsn."""
    with psycopg.connect(server.dsn, autocommit=True) as conn:
        conn.execute(SQL("CREATE DATABASE {}").format(Identifier(_TEMPLATE)))
    migrate.upgrade(settings_for(make_conninfo(server.dsn, dbname=_TEMPLATE)))
    return server.dsn


@pytest.fixture
def empty_dsn(server: EmbeddedServer) -> Iterator[str]:
    """Yield the dsn of a database without anything in it."""
    with new_database(server.dsn, "template1") as made:
        yield made


@pytest.fixture
def dsn(template: str) -> Iterator[str]:
    """Yield the dsn of a database with the newest schema."""
    with new_database(template, _TEMPLATE) as made:
        yield made


@pytest.fixture
def settings(dsn: str) -> Settings:
    return settings_for(dsn)


@pytest.fixture
def conn(settings: Settings) -> Iterator[Connection]:
    with bare_session(settings) as opened:
        yield opened


@pytest.fixture
def url(dsn: str) -> str:
    """Return the dsn as users write it in a variable."""
    parts = conninfo_to_dict(dsn)
    return f"postgresql://{parts['user']}@/{parts['dbname']}?host={parts['host']}&port={parts['port']}"


@pytest.fixture(scope="session")
def real_weights() -> weights.Weights:
    """Return the real weights, which the set-up command fetched; without them these tests must fail."""
    return weights.resolve(load_settings(environ={}), fetch=False)


@pytest.fixture
def add_image(conn: Connection) -> AddImage:
    return AddImage(conn)
