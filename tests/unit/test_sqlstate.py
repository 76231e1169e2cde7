"""Which of our errors each kind of PostgreSQL error becomes, and what is retried."""

import psycopg
import pytest
from psycopg import errors as pg

from imrec_pg.db.retry import _may_pass
from imrec_pg.db.sqlstate import connection_error, error_of
from imrec_pg.errors import (
    ConflictError,
    DatabaseUnreachableError,
    ImrecError,
    LoginRefusedError,
    PermissionDeniedError,
    StoreError,
)


def of_state(sqlstate: str) -> ImrecError:
    return error_of(pg.lookup(sqlstate)("what the server said"), connected=True)


@pytest.mark.parametrize(
    ("sqlstate", "message"),
    [
        ("08006", "lost the database (what the server said): what was acknowledged is stored"),
        ("25P03", "lost the database"),
        ("57P01", "lost the database"),
        ("57P02", "lost the database"),
        ("57P03", "lost the database"),
        ("57P05", "lost the database"),
        ("53000", "lacks resources"),
        ("53100", "the database's disk is full (what the server said): free some space there"),
        ("53200", "out of memory (what the server said): free some there, or lower work_mem"),
        ("53300", "no connection left (what the server said): close other clients, or raise max_connections"),
    ],
)
def test_what_passes_by_itself_or_with_some_help_is_retried(sqlstate: str, message: str) -> None:
    error = of_state(sqlstate)
    assert type(error) is DatabaseUnreachableError
    assert message in str(error)
    assert _may_pass(error)


@pytest.mark.parametrize(
    ("sqlstate", "message"),
    [
        ("40001", "another transaction got in the way"),
        ("40P01", "another transaction got in the way"),
        ("55006", "another session is using it"),
        ("55P03", "another session holds a lock"),
        ("57014", "the server cancelled the statement"),
    ],
)
def test_what_another_session_caused_is_retried_as_a_conflict(sqlstate: str, message: str) -> None:
    error = of_state(sqlstate)
    assert type(error) is ConflictError
    assert str(error) == f"{message} (what the server said): try again"
    assert _may_pass(error)


@pytest.mark.parametrize(
    ("sqlstate", "message"),
    [
        ("22012", "the database refused a statement: what the server said"),
        ("53400", "temp_file_limit"),
        ("54000", "exceeds a limit of PostgreSQL (what the server said): do less at once"),
        ("54001", "exceeds a limit of PostgreSQL"),
        ("54023", "exceeds a limit of PostgreSQL"),
        ("55000", "not in a state for this"),
        ("55P02", "not in a state for this"),
        ("58030", "cannot use its own files (what the server said): look into its log"),
        ("58P01", "cannot use its own files"),
        ("XX001", "the database refused a statement"),
    ],
)
def test_what_comes_again_each_time_is_never_retried(sqlstate: str, message: str) -> None:
    error = of_state(sqlstate)
    assert type(error) is StoreError
    assert message in str(error)
    assert not _may_pass(error)


@pytest.mark.parametrize("sqlstate", ["28000", "28P01", "3D000", "57P04"])
def test_a_login_that_is_refused_is_never_retried(sqlstate: str) -> None:
    error = of_state(sqlstate)
    assert type(error) is LoginRefusedError
    assert "check user, password and database name" in str(error)
    assert not _may_pass(error)


@pytest.mark.parametrize("sqlstate", ["25006", "42501"])
def test_a_lacking_right_is_never_retried(sqlstate: str) -> None:
    error = of_state(sqlstate)
    assert type(error) is PermissionDeniedError
    assert not _may_pass(error)


def test_without_a_sqlstate_the_connection_tells_whether_it_was_lost() -> None:
    broken = psycopg.OperationalError("server closed the connection unexpectedly")
    assert type(error_of(broken, connected=False)) is DatabaseUnreachableError
    assert type(error_of(broken, connected=True)) is StoreError
    assert type(error_of(psycopg.InterfaceError("the cursor is closed"), connected=False)) is StoreError


@pytest.mark.parametrize(
    "text",
    [
        'FATAL:  password authentication failed for user "ann"',
        "fe_sendauth: no password supplied",
        'FATAL:  database "photos" does not exist',
        'FATAL:  role "ann" does not exist',
        'FATAL:  no pg_hba.conf entry for host "10.0.0.7", user "ann", database "photos", no encryption',
        'FATAL:  role "ann" is not permitted to log in',
        'FATAL:  permission denied for database "photos"',
        "FATAL:  no such database: photos",
    ],
)
def test_a_connection_that_the_server_refuses_is_never_waited_for(text: str) -> None:
    error = connection_error(psycopg.OperationalError(f"connection failed: {text}"), "--dsn", {})
    assert type(error) is LoginRefusedError
    assert text.replace("  ", " ").partition('"')[0] in str(error)
    assert "ann" not in str(error)
    assert not _may_pass(error)


@pytest.mark.parametrize(
    "text",
    [
        "connection to server at 10.0.0.1, port 5432 failed: Connection refused",
        "FATAL:  the database system is starting up",
        "FATAL:  sorry, too many clients already",
        "connection timeout expired",
        'could not translate host name "db" to address: Temporary failure in name resolution',
    ],
)
def test_a_server_that_cannot_be_reached_is_waited_for(text: str) -> None:
    error = connection_error(psycopg.OperationalError(text), "--dsn", {})
    assert type(error) is DatabaseUnreachableError
    assert _may_pass(error)
