"""Granting and revoking: who is restricted, who is not, and who may not be."""

import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from pgvector.psycopg import register_vector
from psycopg import errors as pg
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier
from restricted_readers import Restricted, count, make_roots
from support import settings_for

from imrec_pg import doctor
from imrec_pg.access import grants
from imrec_pg.db import apply_sql, locks, migrate
from imrec_pg.db.connection import Connection
from imrec_pg.errors import (
    PermissionDeniedError,
    UnknownRoleError,
    UnknownRootError,
    UsageError,
)
from imrec_pg.records import GrantedRole

BY_HAND = SQL("GRANT USAGE ON SCHEMA imrec TO {0}; GRANT SELECT ON ALL TABLES IN SCHEMA imrec TO {0}")


def doctor_of(dsn: str, role: str) -> str:
    """What doctor says of photos that the role does not see."""
    found = doctor.examine(settings_for(make_conninfo(dsn, user=role)))
    assert not [finding for finding in found if finding.what.startswith("could not be checked")]
    return "".join(f.what for f in found if f.check == "privileges" and "photos" in f.what)


def test_all_others_see_all_as_before(conn: Connection, dsn: str, new_role: Callable[[], str]) -> None:
    make_roots(conn)
    reader, ingester, owner, by_hand, mine, both, later = (new_role() for _ in range(7))
    for kind, role in ((GrantedRole.READER, reader), (GrantedRole.INGESTER, ingester)):
        grants.grant(conn, kind, role, create=True)
    grants.grant(conn, GrantedRole.OWNER, owner, create=True)
    conn.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(by_hand)))
    conn.execute(BY_HAND.format(Identifier(by_hand)))
    grants.grant(conn, GrantedRole.READER, mine, create=True, roots=["/mine"])
    grants.grant(conn, GrantedRole.READER, both, create=True, roots=["/mine", "/theirs", "/mine"])
    for role, images in (
        (reader, 101),
        (ingester, 101),
        (owner, 101),
        (by_hand, 101),
        (mine, 41),
        (both, 101),
    ):
        assert count(dsn, role) == images
    with psycopg.connect(make_conninfo(dsn, user=ingester)) as writing:
        assert writing.execute("UPDATE imrec.file SET mtime_ns = 2").rowcount == 102
    conn.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(later)))
    conn.execute(BY_HAND.format(Identifier(later)))
    assert count(dsn, later) == 101
    assert doctor_of(dsn, later) == ""
    assert "sees only the photos of some roots" in doctor_of(dsn, mine)
    # Another grant replaces the one before.
    grants.grant(conn, GrantedRole.READER, mine, roots=["/theirs"])
    assert (count(dsn, mine), count(dsn, mine, "*")) == (61, 61)
    grants.grant(conn, GrantedRole.READER, mine, roots=["/theirs"])
    assert count(dsn, mine) == 61
    grants.grant(conn, GrantedRole.READER, mine)
    assert count(dsn, mine) == 101
    grants.revoke(conn, both)
    conn.execute(SQL("DROP ROLE {}").format(Identifier(both)))
    for role in (reader, ingester, owner, by_hand, mine, later):
        assert count(dsn, role) == 101


def test_who_would_still_see_all_is_refused(conn: Connection, new_role: Callable[[], str]) -> None:
    make_roots(conn)
    reader, member, almighty, curious = (new_role() for _ in range(4))
    names = {"r": reader, "m": member, "a": almighty, "c": curious}
    parts = {key: Identifier(name) for key, name in names.items()}
    grants.grant(conn, GrantedRole.READER, reader, create=True)
    for statement in (
        "CREATE ROLE {m} LOGIN IN ROLE {r}",
        "CREATE ROLE {a} LOGIN SUPERUSER",
        "CREATE ROLE {c} LOGIN",
        "CREATE TABLE imrec.diary (path text)",
        "GRANT SELECT ON imrec.diary TO PUBLIC",
    ):
        conn.execute(SQL(statement).format(**parts))
    for role, message in (
        (member, "is a member of .*which sees all photos: REVOKE"),
        (almighty, "a superuser, nothing: take another role"),
        (curious, "could read all of imrec.diary"),
    ):
        with pytest.raises(UsageError, match=message):
            grants.grant(conn, GrantedRole.READER, role, roots=["/mine"])
    for kind in (GrantedRole.INGESTER, GrantedRole.OWNER):
        with pytest.raises(UsageError, match="only readers can be restricted"):
            grants.grant(conn, kind, curious, roots=["/mine"])
    # What was refused has left nothing.
    assert conn.execute("SELECT FROM imrec_internal.access").fetchall() == []


def test_unknown_names_are_told(conn: Connection, new_role: Callable[[], str]) -> None:
    make_roots(conn)
    role = new_role()
    with pytest.raises(UnknownRoleError, match="there is no role") as unknown_role:
        grants.grant(conn, GrantedRole.READER, role)
    assert unknown_role.value.name == role
    with pytest.raises(UnknownRootError, match="there is no root /none") as unknown_root:
        grants.grant(conn, GrantedRole.READER, role, create=True, roots=["/mine", "/none"])
    assert unknown_root.value.name == "/none"
    assert conn.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,)).rowcount == 0


def test_a_table_of_a_later_version_is_closed_until_it_is_opened(
    conn: Connection, dsn: str, restricted: Restricted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conn.execute("CREATE TABLE imrec.later AS SELECT 1 AS n")
    migrate.upgrade(settings_for(dsn))
    with pytest.raises(pg.InsufficientPrivilege):
        restricted.rows("SELECT * FROM imrec.later")
    # As a later version would: its files are applied again at each upgrade.
    rules = (apply_sql.folder("sql") / "internal" / "open_relation.sql").read_text()
    later = rules.replace("('imrec.feature'),", "('imrec.feature'), ('imrec.later'),")
    assert later != rules
    shutil.copytree(apply_sql.folder("sql"), tmp_path / "sql")
    (tmp_path / "sql" / "internal" / "open_relation.sql").write_text(later)
    real = apply_sql.folder
    monkeypatch.setattr(apply_sql, "folder", lambda name: tmp_path / "sql" if name == "sql" else real(name))
    migrate.upgrade(settings_for(dsn))
    assert restricted.rows("SELECT n FROM imrec.later") == [(1,)]


def test_a_grant_waits_for_nobody_who_reads(
    conn: Connection,
    dsn: str,
    restricted: Restricted,
    new_role: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(locks, "_TRY_FOR_S", 0)
    reader, some = new_role(), new_role()
    with psycopg.connect(dsn) as busy:
        busy.execute("SELECT FROM imrec.average_hash, imrec.file LIMIT 1")
        grants.grant(conn, GrantedRole.READER, reader, create=True)
        grants.grant(conn, GrantedRole.READER, some, create=True, roots=["/theirs"])
    assert (count(dsn, reader), count(dsn, some), restricted.images()) == (101, 61, 41)


def test_an_owner_who_is_no_superuser_may_grant(empty_dsn: str) -> None:
    """As with a managed server: an administrator made the extension and the roles."""
    suffix = uuid4().hex
    owner, reader = (Identifier(f"{name}_{suffix}") for name in ("owner", "reader"))
    with psycopg.connect(empty_dsn, autocommit=True) as admin:
        admin.execute("CREATE EXTENSION vector")
        admin.execute(SQL("CREATE ROLE {} LOGIN; CREATE ROLE {} LOGIN").format(owner, reader))
        database = Identifier(admin.info.dbname)
        admin.execute(SQL("GRANT CREATE ON DATABASE {} TO {}").format(database, owner))
    dsn = make_conninfo(empty_dsn, user=f"owner_{suffix}")
    migrate.upgrade(settings_for(dsn))
    try:
        with psycopg.connect(dsn, autocommit=True) as conn:
            register_vector(conn)
            make_roots(conn)
            with pytest.raises(PermissionDeniedError):
                grants.grant(conn, GrantedRole.READER, f"new_{suffix}", create=True, roots=["/mine"])
            grants.grant(conn, GrantedRole.READER, f"reader_{suffix}", roots=["/mine"])
            assert count(empty_dsn, f"reader_{suffix}") == 41
            assert count(empty_dsn, f"owner_{suffix}") == 101
            grants.revoke(conn, f"reader_{suffix}")
    finally:
        with psycopg.connect(empty_dsn, autocommit=True) as admin:
            for role in (reader, owner):
                admin.execute(SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(role))
