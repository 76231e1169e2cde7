"""The client side: the DSN, and whether the server answers."""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from imrec_pg.embedded.folders import PORT
from imrec_pg.errors import EmbeddedServerError

if TYPE_CHECKING:
    import psycopg

ROLE = "imrec"
DATABASE = "imrec"
MAINTENANCE_DATABASE = "postgres"
logger = logging.getLogger(__name__)
# An overloaded machine may need that long; a dead server refuses at once.
_CONNECT_SECONDS = 10


def dsn(socket_dir: Path, database: str = DATABASE) -> str:
    """Return the libpq URL of a database; connect with what parameters() makes of it."""
    host = quote(os.fsencode(socket_dir))
    # hostaddr is empty, not absent: else PGHOSTADDR or a service file sends the client to another server.
    return f"postgresql://{ROLE}@/{database}?host={host}&port={PORT}&hostaddr="


def parameters(url: str) -> dict[str, Any]:
    """Return the libpq parameters of a URL, and the default of each that the environment could set."""
    from psycopg.conninfo import conninfo_to_dict

    return _defaults() | conninfo_to_dict(url)


@contextmanager
def no_variables() -> Iterator[None]:
    """Take those variables out of the environment for which libpq has no parameter, or none with a default.

    Threads take turns. Hardly anybody sets these (PGSERVICE, PGTZ …), and only then does the environment
    change.
    """
    with _ENVIRONMENT:
        kept = {name: os.environ.pop(name) for name in _variables() - _overridden() if name in os.environ}
        try:
            yield
        finally:
            os.environ.update(kept)


def program_environment() -> dict[str, str]:
    """Return the environment without all that libpq reads, for PostgreSQL's programs."""
    ours = _variables()
    return {name: value for name, value in os.environ.items() if name not in ours}


_ENVIRONMENT = threading.Lock()
# libpq reads these itself; they are no parameters of a connection.
_NO_PARAMETERS = frozenset({"PGDATESTYLE", "PGTZ", "PGGEQO", "PGSERVICEFILE", "PGSYSCONFDIR", "PGREALM"})
# libpq has no default for these, and takes "" for none.
_EMPTY = (
    *(
        "hostaddr",
        "password",
        "passfile",
        "require_auth",
        "requirepeer",
        "gsslib",
        "ssl_max_protocol_version",
    ),
    *("sslcert", "sslkey", "sslrootcert", "sslcrl", "sslcrldir"),
)
# These dsn() and who connects give themselves; a name of the application does no harm.
_GIVEN = frozenset({"PGHOST", "PGUSER", "PGDATABASE", "PGCONNECT_TIMEOUT", "PGCLIENTENCODING", "PGAPPNAME"})


def _defaults() -> dict[str, str]:
    known = {option.keyword.decode(): option.compiled for option in _options()}
    found = {name: value.decode() for name, value in known.items() if value is not None}
    return found | {name: "" for name in _EMPTY if name in known} | {"client_encoding": "utf8"}


def _overridden() -> frozenset[str]:
    defaults = _defaults()
    return _GIVEN | {
        option.envvar.decode()
        for option in _options()
        if option.envvar and option.keyword.decode() in defaults
    }


def _variables() -> frozenset[str]:
    """Return the names of all variables that libpq reads."""
    return _NO_PARAMETERS | {option.envvar.decode() for option in _options() if option.envvar}


def _options() -> "list[psycopg.pq.ConninfoOption]":
    """Return libpq's parameters that a variable may set."""
    from psycopg import pq

    return [option for option in pq.Conninfo.get_defaults() if option.envvar]


def _connect(url: str) -> "psycopg.Connection[Any]":
    import psycopg

    with no_variables():
        return psycopg.connect(**parameters(url) | {"connect_timeout": _CONNECT_SECONDS}, autocommit=True)


def server_version(url: str) -> str | None:
    """Return the version, such as "18.4", of a server that answered SELECT 1, or None if none did."""
    import psycopg

    try:
        with _connect(url) as conn:
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
        with _connect(url) as conn:
            if conn.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone() is None:
                conn.execute(f"CREATE DATABASE {DATABASE}")
    except psycopg.Error as error:
        reason = " ".join(str(error).split())
        raise EmbeddedServerError(
            f"cannot create the database {DATABASE} ({reason}): fix that, then try again"
        ) from error
