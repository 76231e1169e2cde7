"""The examination as a whole: what it says where all is well, and where it cannot go on."""

from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from integration.doctor.findings import fix, not_ok, one, set_database
from support import settings_for

from imrec_pg import doctor
from imrec_pg.db import migrate
from imrec_pg.doctor import CHECKS, Finding, Level, examine, examined
from imrec_pg.errors import DatabaseUnreachableError
from imrec_pg.library import Library
from imrec_pg.settings import Settings


def test_nothing_is_found_where_all_is_well(large: Settings) -> None:
    found = examine(large)
    assert [finding for finding in found if finding.level is not Level.OK] == []
    assert [*dict.fromkeys(finding.check for finding in found)] == list(CHECKS)
    assert not any(finding.serious or finding.fix for finding in found)


def test_nothing_is_wrong_with_a_new_empty_library(settings: Settings) -> None:
    assert not_ok(settings) == []


def test_the_python_api_finds_the_same(settings: Settings) -> None:
    with Library(settings) as library:
        found = library.doctor()
    assert {finding.check for finding in found} == {finding.check for finding in examine(settings)}


def test_nothing_is_changed(large: Settings, large_dsn: str) -> None:
    """A session that may change nothing makes the same checks."""
    set_database(large_dsn, "default_transaction_read_only", "on")
    finding = one(large, "read-only", Level.NOTICE, "default_transaction_read_only is on")
    assert not_ok(large) == [finding]
    fix_it = f"SET default_transaction_read_only = off; {finding.fix}"
    fix(large, replace(finding, fix=fix_it))


def test_an_empty_database(empty_dsn: str) -> None:
    settings = settings_for(empty_dsn)
    found = {finding.check: finding for finding in not_ok(settings)}
    assert found.keys() == {"pgvector", "schema"}
    assert found["pgvector"].level is found["schema"].level is Level.ERROR
    assert found["pgvector"].fix == "imrec-pg db upgrade, or as an administrator: CREATE EXTENSION vector;"
    assert found["schema"].fix == "imrec-pg db upgrade"
    migrate.upgrade(settings)
    assert not_ok(settings) == []


def test_what_is_locked_is_told_and_the_rest_is_checked(settings: Settings, dsn: str) -> None:
    set_database(dsn, "lock_timeout", "50ms")
    with psycopg.connect(dsn) as other:
        other.execute("LOCK TABLE imrec.failure IN ACCESS EXCLUSIVE MODE")
        (finding,) = not_ok(settings)
    assert (finding.check, finding.level) == ("failures", Level.NOTICE)
    assert finding.what == "could not be checked: canceling statement due to lock timeout"
    assert not_ok(settings) == []


def test_what_takes_too_long_is_told(settings: Settings, dsn: str) -> None:
    set_database(dsn, "statement_timeout", "500ms")
    with psycopg.connect(dsn) as other:
        other.execute("LOCK TABLE imrec.failure IN ACCESS EXCLUSIVE MODE")
        finding = one(settings, "failures", Level.NOTICE, "due to statement timeout")
    assert finding.fix == "imrec-pg doctor --full"


def test_a_lost_connection_ends_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def end(subject: examined.Examined) -> Iterator[Finding]:
        subject.conn.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        yield from ()

    monkeypatch.setitem(doctor.CHECKS, "encoding", end)
    with pytest.raises(DatabaseUnreachableError, match="lost the database"):
        examine(settings)
