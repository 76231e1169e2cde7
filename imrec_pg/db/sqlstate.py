"""Which of our errors a PostgreSQL error becomes, by its SQLSTATE.

The codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

import re
from collections.abc import Mapping

import psycopg

from imrec_pg.errors import (
    ConflictError,
    DatabaseUnreachableError,
    ImrecError,
    LoginRefusedError,
    PermissionDeniedError,
    StoreError,
)

# Of the server's answer to a connection attempt libpq keeps the text alone. From a server that speaks another
# language a refusal looks like any failure, and is waited for in vain.
_REFUSALS = re.compile(
    r"authentication failed|no password supplied|no pg_hba\.conf entry|pg_hba\.conf rejects"
    r'|(role|database|user) ".*" does not exist|no such (database|user)|is not permitted to log in'
    r"|not currently accepting connections|permission denied for database"
)
_CHECK = "check user, password and database name, and that the database still exists"
_REFUSED_CLASSES = ("28", "3D")  # invalid authorization, no such database

_PERMISSIONS = {
    "25006": (
        "this database is read-only",
        "connect to the primary, or turn default_transaction_read_only off",
    ),
    "42501": (
        "this database role may not do that",
        "connect as the owner of the schema imrec, or have it granted",
    ),
}
# The same statement may succeed when the other one is done.
_CONFLICTS = {
    "40001": "another transaction got in the way",
    "40P01": "another transaction got in the way",
    "55006": "another session is using it",
    "55P03": "another session holds a lock",
    # It may have waited for a lock.
    "57014": "the server cancelled the statement",
}
# The server can serve again later, by itself or after someone has helped.
_SHORTAGES = {
    "53000": ("the server lacks resources", "try again later"),
    "53100": ("the database's disk is full", "free some space there"),
    "53200": ("the server is out of memory", "free some there, or lower work_mem or max_connections"),
    "53300": ("the server has no connection left", "close other clients, or raise max_connections"),
}
_LOST_CLASSES = ("08", "57")
_LOST_STATES = ("25P03",)  # idle_in_transaction_session_timeout: the server closes the connection
_DROPPED = "57P04"
# These come again, however often the statement is sent.
_HOPELESS = {
    "53400": ("a limit in the server's configuration was reached", "raise it (temp_file_limit and the like)"),
    "54": ("a statement exceeds a limit of PostgreSQL", "do less at once"),
    "55": ("the database is not in a state for this", "read what the server says"),
    "58": ("the server cannot use its own files", "look into its log, and check its disk and installation"),
}


def error_of(error: psycopg.Error, *, connected: bool) -> ImrecError:
    """Return our error for one of psycopg's.

    Args:
        error: of a statement.
        connected: whether the connection survived it; decides where there is no SQLSTATE.
    """
    state, line = error.sqlstate or "", line_of(error)
    if state in _PERMISSIONS:
        problem, advice = _PERMISSIONS[state]
        return PermissionDeniedError(f"{problem} ({line}): {advice}")
    if state in _CONFLICTS:
        return ConflictError(f"{_CONFLICTS[state]} ({line}): try again")
    return _unreachable(error, line, connected=connected) or _refused(state, line)


def _unreachable(error: psycopg.Error, line: str, *, connected: bool) -> DatabaseUnreachableError | None:
    state = error.sqlstate or ""
    if state in _SHORTAGES:
        problem, advice = _SHORTAGES[state]
        return DatabaseUnreachableError(f"{problem} ({line})", f"{advice}; what was acknowledged is stored")
    if state == _DROPPED or state[:2] in _REFUSED_CLASSES:
        return LoginRefusedError(f"the server closed the connection ({line})", _CHECK)
    nameless = not state and not connected and isinstance(error, psycopg.OperationalError)
    if nameless or state in _LOST_STATES or state[:2] in _LOST_CLASSES:
        return DatabaseUnreachableError(
            f"lost the database ({line})", "what was acknowledged is stored; try again when it is back"
        )
    return None


def _refused(state: str, line: str) -> StoreError:
    known = _HOPELESS.get(state) or _HOPELESS.get(state[:2])
    if known is None:
        return StoreError(f"the database refused a statement: {line}")
    problem, advice = known
    return StoreError(f"{problem} ({line}): {advice}")


def connection_error(
    error: psycopg.OperationalError, source: str, parts: Mapping[str, object]
) -> DatabaseUnreachableError:
    """Return our error for a connection attempt that failed, without any part of its connection string.

    Args:
        error: of the attempt.
        source: says where the connection string is from.
        parts: its parameters.
    """
    problem = f"no connection to the database named by {source}: {_without(parts, str(error))}"
    # Where a password holds @ or / as they are, what follows them is taken for the host or the port.
    advice = ENCODE if _MISREAD.search(str(error)) else ""
    if (error.sqlstate or "")[:2] in _REFUSED_CLASSES or _REFUSALS.search(str(error)):
        return LoginRefusedError(problem, advice)
    return DatabaseUnreachableError(problem, advice)


ENCODE = "in a URL, characters such as % @ / : # of a name or a password are written %25 %40 %2F %3A %23"
"""A hint for whoever wrote a connection string."""


def lacks_password(error: LoginRefusedError) -> bool:
    """Return whether the server only wants a password, and none was given."""
    return "no password supplied" in error.problem


def _without(parts: Mapping[str, object], text: str) -> str:
    """Return what libpq says of the last attempt, without the values that it quotes."""
    # "connection to server at "HOST" (ADDRESS), port PORT failed: FATAL: role "USER" does not exist"
    lines = [line.strip() for line in text.splitlines() if not line.startswith("\t") and line.strip()] or [""]
    said = re.sub(r"^.* failed: (?=\S)|^connection is bad: ", "", lines[-1])
    said = re.sub(r"""(["']).*\1""", "…", said)
    given = {str(value) for name, value in parts.items() if name not in _DRY and value is not None}
    for value in sorted(given, key=len, reverse=True):
        said = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", "…", said) if value else said
    return " ".join(said.split()) or "it failed"


_MISREAD = re.compile(r"resolve host|translate host name|^.*invalid |password authentication failed")
# Numbers of ours, and words of a closed set.
_DRY = frozenset({"connect_timeout", "sslmode", "gssencmode", "client_encoding", "target_session_attrs"})


def line_of(error: psycopg.Error) -> str:
    """Return what the error says, as one line."""
    text = str(error.diag.message_primary or error).strip()
    return " ".join(text.split()) or type(error).__name__
