"""The client side: the DSN, and whether the server answers."""

import logging
import os
from pathlib import Path
from urllib.parse import quote

from imrec_pg.embedded.folders import PORT
from imrec_pg.errors import EmbeddedServerError

ROLE = "imrec"
DATABASE = "imrec"
MAINTENANCE_DATABASE = "postgres"
logger = logging.getLogger(__name__)
# An overloaded machine may need that long; a dead server refuses at once.
_CONNECT_SECONDS = 10


def dsn(socket_dir: Path, database: str = DATABASE) -> str:
    """Return the libpq URL of a database, which PG* variables in the environment cannot change."""
    host = quote(os.fsencode(socket_dir))
    # hostaddr is empty, not absent: else PGHOSTADDR or a service file sends the client to another server.
    return f"postgresql://{ROLE}@/{database}?host={host}&port={PORT}&hostaddr="


def server_version(url: str) -> str | None:
    """Return the version, such as "18.4", of a server that answered SELECT 1, or None if none did."""
    import psycopg

    try:
        with psycopg.connect(url, connect_timeout=_CONNECT_SECONDS, autocommit=True) as conn:
            conn.execute("SELECT 1")
            number = conn.info.server_version
    except psycopg.OperationalError as error:
        logger.debug("no answer: %s", error)
        return None
    return f"{number // 10000}.{number % 10000}"


def create_database(socket_dir: Path) -> None:
    """Create the database imrec if the cluster is new or somebody dropped it.

    Raises:
        EmbeddedServerError: the server refused.
    """
    import psycopg

    url = dsn(socket_dir, MAINTENANCE_DATABASE)
    try:
        with psycopg.connect(url, connect_timeout=_CONNECT_SECONDS, autocommit=True) as conn:
            if conn.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone() is None:
                conn.execute(f"CREATE DATABASE {DATABASE}")
    except psycopg.Error as error:
        reason = " ".join(str(error).split())
        raise EmbeddedServerError(
            f"cannot create the database {DATABASE} ({reason}): fix that, then try again"
        ) from error
