"""Frozen settings from flags, environment and libpq's variables."""

import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from imrec_pg.errors import UsageError
from imrec_pg.paths import display_path

# libpq reads many PG* variables; only these say *which* server, so only they turn the embedded one off.
_LIBPQ_SERVER_VARIABLES = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGSERVICE", "PGDATABASE")
SERVER_HOME_AS_ROOT = Path("/var/lib/imrec-pg")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the database and the weights are.

    Attributes:
        dsn: a libpq connection string or URL; "" leaves all to libpq's variables; None means the embedded
            server under data_dir.
        data_dir: folder of the embedded server, absolute.
        weights: a file of weights named by the user, or None for the usual search.
        dsn_source: where the dsn came from, for messages.
    """

    dsn: str | None
    data_dir: Path
    weights: Path | None
    dsn_source: str

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
    """Return the settings; flags come before imrec-pg's own variables, those before the general ones.

    Raises:
        UsageError: both a DSN and a data folder were given.
    """
    if dsn is not None and data is not None:
        raise UsageError("--dsn names a server and --data the embedded one's folder: give only one of them")
    chosen, source = _choose_dsn(dsn, data, environ)
    data_dir = data or (Path(environ["IMREC_DATA"]) if environ.get("IMREC_DATA") else default_data_dir())
    if weights is None and environ.get("IMREC_WEIGHTS"):
        weights = Path(environ["IMREC_WEIGHTS"])
    return Settings(
        dsn=None if chosen is None else _strip_driver(chosen),
        data_dir=data_dir.expanduser().absolute(),
        weights=None if weights is None else weights.expanduser().absolute(),
        dsn_source=source,
    )


def default_data_dir() -> Path:
    """Return the embedded server's usual folder.

    As root that is a folder of the server's own user: PostgreSQL refuses to run as root, and another user's
    server could not reach a folder inside root's home.
    """
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return SERVER_HOME_AS_ROOT / "db"
    return platformdirs.user_data_path("imrec-pg", appauthor=False) / "db"


def this_host(environ: Mapping[str, str] = os.environ) -> str:
    """Return the name under which the database knows where folders lie on this computer.

    A container has another name each time it is made: there IMREC_HOST says it.
    """
    # The network's name may be anything too: PostgreSQL takes neither NUL nor what is no UTF-8.
    return display_path(os.fsencode(environ.get("IMREC_HOST") or platform.node() or "localhost"))


def cache_dir() -> Path:
    """Return the folder of what can be fetched again: the weights."""
    return platformdirs.user_cache_path("imrec-pg", appauthor=False)


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
