"""Revocation takes effect at once, whoever holds what; what has to wait says for whom."""

from collections.abc import Callable

import psycopg
import pytest
from psycopg import IsolationLevel
from psycopg import errors as pg
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier
from restricted_readers import Restricted, count
from support import AddImage, settings_for

from imrec_pg.access import grants
from imrec_pg.catalogue import index
from imrec_pg.db import locks, migrate
from imrec_pg.db.connection import Connection
from imrec_pg.errors import BlockedError
from imrec_pg.records import Feature, GrantedRole, Metric

QUERY = "/* what only the text of the query says */"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_TRY_FOR_S", 0)


def as_role(
    dsn: str, role: str, application: str = "its own program"
) -> "psycopg.Connection[tuple[object, ...]]":
    return psycopg.connect(make_conninfo(dsn, user=role, application_name=application))


def may_read(conn: Connection, role: str) -> bool:
    (row,) = conn.execute(
        "SELECT has_schema_privilege(%(r)s, 'imrec', 'USAGE') AND has_table_privilege(%(r)s, 'imrec.image', 'SELECT')",
        {"r": role},
    ).fetchall()
    return bool(row[0])


@pytest.mark.parametrize("isolation", [IsolationLevel.READ_COMMITTED, IsolationLevel.REPEATABLE_READ])
def test_a_restricted_reader_with_an_open_transaction_sees_nothing_from_the_revocation_on(
    conn: Connection, dsn: str, restricted: Restricted, isolation: IsolationLevel
) -> None:
    restricted.conn.close()
    with as_role(dsn, restricted.name) as own:
        own.isolation_level = isolation
        assert len(own.execute(f"SELECT FROM imrec.visible_photo {QUERY}".encode()).fetchall()) == 41
        own.execute("PREPARE mine AS SELECT FROM imrec.visible_photo")
        own.execute("PREPARE near AS SELECT FROM imrec.similar_to('/mine/001.jpg')")
        assert own.execute("EXECUTE near").rowcount == 5
        grants.revoke(conn, restricted.name)
        for statement in ("SELECT FROM imrec.visible_photo", "EXECUTE mine", "EXECUTE near"):
            with pytest.raises(pg.InsufficientPrivilege), own.transaction():
                own.execute(statement.encode())
    assert conn.execute("SELECT FROM imrec_internal.access").fetchall() == []


@pytest.mark.parametrize("kind", [GrantedRole.READER, GrantedRole.INGESTER])
def test_a_reader_of_all_with_an_open_transaction_loses_its_access(
    conn: Connection, dsn: str, restricted: Restricted, new_role: Callable[[], str], kind: GrantedRole
) -> None:
    role = new_role()
    grants.grant(conn, kind, role, create=True)
    with as_role(dsn, role) as own:
        own.execute("SELECT FROM imrec.image")
        grants.revoke(conn, role)
        with pytest.raises(pg.InsufficientPrivilege):
            own.execute("SELECT FROM imrec.image")
    assert restricted.images() == 41


def test_less_than_before_waits_for_nobody(
    conn: Connection, dsn: str, restricted: Restricted, new_role: Callable[[], str]
) -> None:
    role = new_role()
    grants.grant(conn, GrantedRole.READER, role, create=True)
    with as_role(dsn, role) as own:
        own.execute("SELECT FROM imrec.image")
        grants.grant(conn, GrantedRole.READER, role, roots=["/mine"])
        assert not may_read(conn, role)
        with pytest.raises(pg.InsufficientPrivilege):
            own.execute("SELECT FROM imrec.image")
    assert (count(dsn, role), restricted.images()) == (41, 41)


def test_less_than_before_is_taken_first_where_the_grant_has_to_wait(
    conn: Connection, dsn: str, new_role: Callable[[], str]
) -> None:
    """The role's own GRANT, left open, holds the table's row in pg_class: see the next test."""
    role = new_role()
    grants.grant(conn, GrantedRole.INGESTER, role, create=True)
    with as_role(dsn, role) as own:
        own.execute("GRANT SELECT ON imrec.model TO PUBLIC")
        with pytest.raises(BlockedError, match="keeps some privileges"):
            grants.grant(conn, GrantedRole.READER, role)
        assert not may_read(conn, role)
    grants.grant(conn, GrantedRole.READER, role)
    assert count(dsn, role) == 0


def test_more_than_before_leaves_what_there_was_where_the_grant_has_to_wait(
    conn: Connection, dsn: str, restricted: Restricted, new_role: Callable[[], str]
) -> None:
    ingester = new_role()
    grants.grant(conn, GrantedRole.INGESTER, ingester, create=True)
    with as_role(dsn, ingester) as busy:
        busy.execute("GRANT SELECT ON imrec.model TO PUBLIC")
        with pytest.raises(BlockedError, match="nothing has changed"):
            grants.grant(conn, GrantedRole.READER, restricted.name)
    assert restricted.images() == 41
    grants.grant(conn, GrantedRole.READER, restricted.name)
    assert restricted.images() == 101


def test_a_grant_that_its_target_left_open_holds_up_no_other_privilege(
    conn: Connection, dsn: str, new_role: Callable[[], str]
) -> None:
    """GRANT without the right to grant only warns, but has written the table's row in pg_class, and holds it."""
    role = new_role()
    grants.grant(conn, GrantedRole.INGESTER, role, create=True)
    with as_role(dsn, role) as own:
        own.execute("GRANT SELECT ON imrec.image TO PUBLIC")
        with pytest.raises(BlockedError, match=r"keeps some privileges .*ON ALL TABLES") as blocked:
            grants.revoke(conn, role)
        assert [blocker.role for blocker in blocked.value.blockers] == [role]
        assert not may_read(conn, role)
        with pytest.raises(pg.InsufficientPrivilege):
            own.execute("SELECT FROM imrec.image")
    grants.revoke(conn, role)
    assert not conn.execute(
        "SELECT FROM pg_class WHERE relnamespace = 'imrec'::regnamespace "
        "AND has_table_privilege(%s, oid, 'SELECT, INSERT, UPDATE, DELETE')",
        (role,),
    ).fetchall()


def test_a_stranger_with_any_advisory_lock_holds_up_nothing(
    conn: Connection, dsn: str, add_image: AddImage, new_role: Callable[[], str]
) -> None:
    """These are the numbers that were waited for once, and are known to everybody."""
    add_image.many({"name": f"{i}.jpg"} for i in range(3))
    stranger, role = new_role(), new_role()
    conn.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(stranger)))
    with as_role(dsn, stranger) as theirs:
        theirs.execute("SELECT pg_advisory_lock(n) FROM unnest(ARRAY[31251708, 31251709]) AS n")
        theirs.execute("SELECT pg_advisory_lock(hashtextextended('imrec.embedding_cosine_hnsw', 0))")
        grants.grant(conn, GrantedRole.READER, role, create=True)
        grants.revoke(conn, role)
        migrate.upgrade(settings_for(dsn))
        theirs.commit()
        assert index.build_index(conn, Feature.EMBEDDING, Metric.COSINE)
        assert theirs.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() == (3,)


@pytest.mark.parametrize("kind", [None, GrantedRole.READER, GrantedRole.INGESTER])
def test_only_the_owner_may_lock_what_we_wait_for(
    conn: Connection, dsn: str, new_role: Callable[[], str], kind: GrantedRole | None
) -> None:
    role = new_role()
    if kind is None:
        conn.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(role)))
    else:
        grants.grant(conn, kind, role, create=True)
    with as_role(dsn, role) as own:
        for statement in (
            *(f"SELECT FROM imrec_internal.lock FOR {strength}" for strength in ("UPDATE", "KEY SHARE")),
            "SELECT FROM imrec_internal.access FOR SHARE",
            *(
                f"LOCK TABLE imrec_internal.{table} IN ROW SHARE MODE"
                for table in ("lock", "access", "access_root")
            ),
            "DELETE FROM imrec_internal.lock",
        ):
            with pytest.raises(pg.InsufficientPrivilege):
                own.execute(statement.encode())
            own.rollback()


def test_an_upgrade_says_for_whom_it_waits(
    conn: Connection, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "_WAIT_FOR_UPGRADE", "1s")
    monkeypatch.setattr(migrate, "_WAIT_FOR_TABLE", "1s")
    with psycopg.connect(make_conninfo(dsn, application_name="a long report")) as busy:
        for statement in ("SELECT FROM imrec_internal.lock FOR UPDATE", "SELECT FROM imrec.photo"):
            busy.execute(statement.encode())
            with pytest.raises(BlockedError, match="application 'a long report'") as blocked:
                migrate.upgrade(settings_for(dsn))
            assert [blocker.pid for blocker in blocked.value.blockers] == [busy.info.backend_pid]
            busy.rollback()
    migrate.upgrade(settings_for(dsn))
    assert conn.execute("SELECT count(*) FROM imrec_internal.applied_sql").fetchone() == (1,)


def test_an_index_that_is_in_use_is_not_dropped_and_the_user_is_named(
    conn: Connection, dsn: str, add_image: AddImage
) -> None:
    add_image.many({"name": f"{i}.jpg"} for i in range(3))
    index.build_index(conn, Feature.EMBEDDING, Metric.COSINE)
    with psycopg.connect(make_conninfo(dsn, application_name="a long report")) as busy:
        busy.execute("SELECT FROM imrec.embedding")
        with pytest.raises(BlockedError, match="a long report"):
            index.drop_index(conn, Feature.EMBEDDING, Metric.COSINE)
    assert index.drop_index(conn, Feature.EMBEDDING, Metric.COSINE)


def test_who_cannot_be_looked_up_is_not_named(
    conn: Connection, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as when the server has no connection left for a second one."""

    def refuse(_conn: object) -> None:
        raise psycopg.OperationalError("too many clients")

    monkeypatch.setattr(locks, "another", refuse)
    with psycopg.connect(dsn) as busy:
        busy.execute("LOCK TABLE imrec.model")
        with pytest.raises(BlockedError, match="unknown") as blocked:
            locks.in_tries(conn, lambda: conn.execute("LOCK TABLE imrec.model"))
    assert blocked.value.blockers == ()
    locks.in_tries(conn, lambda: conn.execute("LOCK TABLE imrec.model"))
