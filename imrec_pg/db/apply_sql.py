"""Where the SQL objects and migrations lie, and how a file of SQL is run."""

import re
from pathlib import Path

from sqlalchemy import Connection

_PACKAGE = Path(__file__).resolve().parent.parent


def folder(name: str) -> Path:
    """Return the folder "sql" or "migrations": inside the package when installed, beside it in a checkout."""
    packed = _PACKAGE / f"_{name}"
    return packed if packed.is_dir() else _PACKAGE.parent / name


def run_sql_file(connection: Connection, file: str) -> None:
    """Create the database object of one file below sql/, and its comment."""
    text = (folder("sql") / file).read_text(encoding="utf-8")
    # One statement at a time: a distributed database takes one DDL command a round trip.
    for statement in re.split(r"(?m)^(?=COMMENT ON )", text):
        connection.exec_driver_sql(statement.replace("%", "%%"))
