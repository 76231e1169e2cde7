"""No part of a connection string is in an error, however badly it is written."""

import traceback
from pathlib import Path

import psycopg
import pytest

from imrec_pg.db.connection import connect, psql_call
from imrec_pg.db.sqlstate import connection_error
from imrec_pg.errors import DatabaseUnreachableError, LoginRefusedError
from imrec_pg.settings import Settings


def settings_of(dsn: str) -> Settings:
    return Settings(dsn=dsn, data_dir=Path("/nonexistent"), weights=None, dsn_source="--dsn")


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://me:p%zzSECRET@localhost/db",
        "postgresql://me:SECRET%@localhost/db",
        "host=127.0.0.1 port=1 password='half'SECRET'",
        "host=127.0.0.1 port=1 password=half SECRET",
        "postgresql://me:x@[::1SECRET/db",
        "postgresql://me:x@127.0.0.1:1/db?SECRET",
        "postgresql://me:x@127.0.0.1:1/db?sslmode=SECRET",
        "postgresql://me:SECRET/x@127.0.0.1:1/db?host=127.0.0.1",
        "postgresql://me:SECRET@127.0.0.1:1/db",
        "postgresql://me:x@127.0.0.1:SECRET/db",
        "mysql://SECRET",
        "SECRET",
    ],
)
def test_an_error_holds_no_part_of_the_connection_string(dsn: str) -> None:
    with pytest.raises(DatabaseUnreachableError) as caught:
        connect(settings_of(dsn))
    text = "".join(traceback.format_exception(caught.value))
    assert "SECRET" not in text
    assert "--dsn" in str(caught.value)


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (
            {"user": "me", "password": "half", "host": "SECRET@localhost"},
            "failed to resolve host 'SECRET@localhost': [Errno -2] Name or service not known",
        ),
        (
            {"host": "SECRET@localhost"},
            'connection failed: could not translate host name "SECRET@localhost" to address: Name unknown',
        ),
        (
            {"host": "me", "port": "1", "dbname": "SECRET@localhost/db"},
            'connection to server at "me", port 1 failed: FATAL:  database "SECRET@localhost/db" does not exist',
        ),
        (
            {"password": 'SE"CRET', "host": "10.0.0.1"},
            'server at "SE"CRET@10.0.0.1", port 5432 failed: Connection refused\n\tIs the server running?',
        ),
        ({"port": "SECRET"}, "invalid port number: SECRET"),
    ],
)
def test_what_libpq_quotes_of_a_misread_password_is_left_out(parts: dict[str, str], text: str) -> None:
    error = connection_error(psycopg.OperationalError(text), "DATABASE_URL", parts)
    for piece in ("SECRET", "CRET", "SE", "@localhost", "10.0.0.1"):
        assert piece not in str(error).replace("DATABASE_URL", "")
    assert "DATABASE_URL: " in str(error)


def test_a_name_that_cannot_be_resolved_brings_the_hint_to_encode() -> None:
    text = "failed to resolve host 'SECRET@localhost': [Errno -2] Name or service not known"
    error = connection_error(psycopg.OperationalError(text), "--dsn", {"host": "SECRET@localhost"})
    assert "%40" in str(error)
    assert "Name or service not known" in str(error)


def test_the_reason_of_a_refusal_stays() -> None:
    text = 'connection to server at "db" failed: FATAL:  password authentication failed for user "ann"'
    error = connection_error(psycopg.OperationalError(text), "--dsn", {"host": "db", "user": "ann"})
    assert isinstance(error, LoginRefusedError)
    assert error.problem.endswith("FATAL: password authentication failed for user …")


def test_no_argument_of_psql_holds_a_part_that_a_variable_can_say() -> None:
    arguments, environment = psql_call(
        settings_of("postgresql://me:half@SECRET@localhost/SECRETdb?keepalives_idle=7&sslmode=require")
    )
    assert arguments == ["--dbname", "keepalives_idle=7"]
    assert (environment["PGPASSWORD"], environment["PGHOST"]) == ("half", "SECRET@localhost")
    assert (environment["PGUSER"], environment["PGDATABASE"]) == ("me", "SECRETdb")
    assert environment["PGSSLMODE"] == "require"


def test_a_wrong_connection_string_is_no_internal_error_for_psql() -> None:
    with pytest.raises(DatabaseUnreachableError, match="no connection string"):
        psql_call(settings_of("postgresql://me:p%zzSECRET@localhost/db"))


def test_settings_do_not_show_the_connection_string() -> None:
    assert "SECRET" not in repr(settings_of("postgresql://me:SECRET@localhost/db"))
