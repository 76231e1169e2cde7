"""Settings, from arguments, environment variables and libpq's variables."""

import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from imrec_pg.errors import UsageError
from imrec_pg.paths import absolute, display_path

# libpq reads many PG* variables; only these choose a server, so only these turn off the embedded one.
_LIBPQ_SERVER_VARIABLES = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGSERVICE", "PGDATABASE")
SERVER_HOME_AS_ROOT = Path("/var/lib/imrec-pg")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the database and the weights are.

    Attributes:
        dsn: a libpq connection string or URL; "" leaves everything to libpq's variables; None means the
            embedded server in data_dir.
        data_dir: folder of the embedded server, absolute.
        weights: a file of weights named by the user, or None to search for one.
        dsn_source: where the dsn came from, for messages.
        statement_timeout_s: after how many seconds the server gives up a statement; None for the server's own limit.
    """

    # Not in tracebacks and logs: it may hold a password.
    dsn: str | None = field(repr=False)
    data_dir: Path
    weights: Path | None
    dsn_source: str
    statement_timeout_s: float | None = None

    @property
    def embedded(self) -> bool:
        """Whether imrec-pg runs the server itself."""
        return self.dsn is None


def load(
    *,
    dsn: str | None = None,
    data: Path | None = None,
    weights: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """Return the settings: arguments override IMREC_* variables, and these override general ones.

    Raises:
        UsageError: both a DSN and a data folder were given, or an empty DSN.
    """
    if dsn == "":
        raise UsageError("the dsn is empty: name a server, or give none")
    if dsn is not None and data is not None:
        raise UsageError("dsn names a server, data the folder of the embedded server: give only one of them")
    chosen, source = _choose_dsn(dsn, data, environ)
    data_dir = data or (Path(environ["IMREC_DATA"]) if environ.get("IMREC_DATA") else default_data_dir())
    if weights is None and environ.get("IMREC_WEIGHTS"):
        weights = Path(environ["IMREC_WEIGHTS"])
    return Settings(
        dsn=None if chosen is None else _strip_driver(chosen),
        data_dir=_absolute(data_dir),
        weights=None if weights is None else _absolute(weights),
        dsn_source=source,
    )


def default_data_dir() -> Path:
    """Return the default folder of the embedded server.

    For root it is outside root's home: PostgreSQL refuses to run as root, and the server's own user could not
    enter that home.
    """
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return SERVER_HOME_AS_ROOT / "db"
    return platformdirs.user_data_path("imrec-pg", appauthor=False) / "db"


def this_host(environ: Mapping[str, str] = os.environ) -> str:
    """Return the name of this computer, under which the database records where folders are on it.

    A container gets a new name each time it is created; IMREC_HOST gives it a lasting one.
    """
    # The network name may be anything too, and PostgreSQL accepts neither NUL nor invalid UTF-8.
    return display_path(os.fsencode(environ.get("IMREC_HOST") or platform.node() or "localhost"))


def cache_dir() -> Path:
    """Return the folder for what can be fetched again: the weights."""
    return platformdirs.user_cache_path("imrec-pg", appauthor=False)


def _absolute(path: Path) -> Path:
    return Path(os.fsdecode(absolute(path)))


def _choose_dsn(dsn: str | None, data: Path | None, environ: Mapping[str, str]) -> tuple[str | None, str]:
    if dsn is not None:
        return dsn, "--dsn"
    if data is not None:
        return None, "--data"
    for name, names_server in (("IMREC_DATABASE_URL", True), ("IMREC_DATA", False), ("DATABASE_URL", True)):
        if environ.get(name):
            return (environ[name] if names_server else None), name
    named = [name for name in _LIBPQ_SERVER_VARIABLES if environ.get(name)]
    return ("", ", ".join(named)) if named else (None, "default")


def _strip_driver(dsn: str) -> str:
    # Web frameworks write postgresql+psycopg://…, which libpq does not know.
    return re.sub(r"^postgres(?:ql)?\+\w+://", "postgresql://", dsn)
