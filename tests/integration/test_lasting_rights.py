"""What becomes of a restricted reader's rights when roots, roles or the schema change."""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from psycopg import errors as pg
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier
from restricted_readers import Restricted, count, make_roots, photo
from support import AddImage, settings_for

from imrec_pg.access import grants
from imrec_pg.backup.parquet import export_library, import_library
from imrec_pg.catalogue import root_files, roots
from imrec_pg.db import migrate
from imrec_pg.db.connection import Connection
from imrec_pg.ingest.find import root_of
from imrec_pg.records import GrantedRole


def remove(conn: Connection, folder: bytes) -> None:
    root_files.forget(conn, root_of(folder).root_id, lambda _files: None)


def remove_in_sql(conn: Connection, folder: bytes) -> None:
    for table in ("claim", "failure", "file", "root"):
        conn.execute(f"DELETE FROM imrec.{table} WHERE root_id = %s".encode(), (root_of(folder).root_id,))


@pytest.mark.parametrize("how", [remove, remove_in_sql])
def test_a_new_root_of_a_removed_ones_name_is_hidden_from_the_readers_of_that(
    conn: Connection, restricted: Restricted, how: Callable[[Connection, bytes], None]
) -> None:
    """It has the same id, which is made of the name."""
    how(conn, b"/mine")
    assert restricted.images() == 0
    AddImage(conn, b"/mine").many([photo(900, 1)])
    assert conn.execute("SELECT count(*) FROM imrec.photo WHERE path ~ '^/mine/'").fetchone() == (1,)
    for view in ("visible_photo", "visible_root", "visible_failure"):
        assert restricted.rows(f"SELECT FROM imrec.{view}") == [], view
    zeros = "'[1" + ",0" * 511 + "]'"
    assert restricted.rows(f"SELECT FROM imrec.search({zeros}::text)") == []
    # Still so after the next upgrade, and after another one's grant.
    migrate.upgrade(settings_for(conn.info.dsn))
    assert restricted.images() == 0
    grants.grant(conn, GrantedRole.READER, restricted.name, roots=["/mine"])
    assert restricted.images() == 1


def test_an_ingester_who_removes_a_root_ends_the_rights_to_it(
    conn: Connection, dsn: str, restricted: Restricted, new_role: Callable[[], str]
) -> None:
    """Only the owner may grant, but anybody who removes a root has it gone from all rights."""
    ingester = new_role()
    grants.grant(conn, GrantedRole.INGESTER, ingester, create=True)
    with psycopg.connect(make_conninfo(dsn, user=ingester), autocommit=True) as own:
        remove(own, b"/mine")
    AddImage(conn, b"/mine").many([photo(900, 1)])
    assert restricted.images() == 0


def test_a_reader_of_two_roots_keeps_the_other(
    conn: Connection, dsn: str, new_role: Callable[[], str]
) -> None:
    make_roots(conn)
    role = new_role()
    grants.grant(conn, GrantedRole.READER, role, create=True, roots=["/mine", "/theirs"])
    remove(conn, b"/mine")
    assert count(dsn, role) == 61


def test_a_removed_root_that_an_import_brings_back_is_hidden(
    conn: Connection, restricted: Restricted, tmp_path: Path
) -> None:
    export_library(conn, tmp_path / "export")
    remove(conn, b"/mine")
    import_library(conn, tmp_path / "export")
    assert conn.execute("SELECT count(*) FROM imrec.photo WHERE path ~ '^/mine/'").fetchone() == (41,)
    assert restricted.images() == 0


def test_rights_go_with_a_root_that_is_renamed(conn: Connection, restricted: Restricted) -> None:
    roots.rename(conn, root_of(b"/mine").root_id, "other")
    assert restricted.rows("SELECT name FROM imrec.visible_root") == [("other",)]
    assert restricted.images() == 41


def test_a_new_role_of_a_dropped_ones_name_has_no_rights(
    conn: Connection, dsn: str, restricted: Restricted, new_role: Callable[[], str]
) -> None:
    role = Identifier(restricted.name)
    restricted.conn.close()
    conn.execute(SQL("DROP OWNED BY {0}; DROP ROLE {0}; CREATE ROLE {0} LOGIN").format(role))
    other = new_role()
    grants.grant(conn, GrantedRole.READER, other, create=True, roots=["/theirs"])
    migrate.upgrade(settings_for(dsn))
    with pytest.raises(pg.InsufficientPrivilege):
        count(dsn, restricted.name)
    conn.execute(SQL("GRANT USAGE ON SCHEMA imrec TO {}").format(role))
    conn.execute(SQL("GRANT SELECT ON ALL TABLES IN SCHEMA imrec TO {}").format(role))
    # By hand, like anybody else.
    assert (count(dsn, restricted.name), count(dsn, other)) == (101, 61)


def test_rights_stay_with_a_role_that_is_renamed(
    conn: Connection, dsn: str, restricted: Restricted, new_role: Callable[[], str]
) -> None:
    renamed = new_role()
    restricted.conn.close()
    conn.execute(SQL("ALTER ROLE {} RENAME TO {}").format(Identifier(restricted.name), Identifier(renamed)))
    migrate.upgrade(settings_for(dsn))
    assert count(dsn, renamed) == 41


def test_nobody_is_restricted_in_a_schema_made_anew(dsn: str, restricted: Restricted) -> None:
    restricted.conn.close()

    migrate.downgrade(settings_for(dsn), "base")
    migrate.upgrade(settings_for(dsn))
    with psycopg.connect(dsn) as again:
        assert again.execute("SELECT FROM imrec_internal.access").fetchall() == []


def test_functions_stay_the_owners_when_a_member_of_its_role_upgrades(
    conn: Connection, dsn: str, restricted: Restricted, new_role: Callable[[], str]
) -> None:
    """They run with their owner's rights, and a member may lose its own."""
    member = new_role()
    grants.grant(conn, GrantedRole.OWNER, member, create=True)
    conn.execute("DROP VIEW imrec.visible_photo")
    conn.execute("DROP FUNCTION imrec_internal.visible_photos(name)")
    conn.execute("DELETE FROM imrec_internal.applied_sql")
    migrate.upgrade(settings_for(make_conninfo(dsn, user=member)))
    others = conn.execute(
        "SELECT proname FROM pg_proc JOIN pg_namespace AS n ON n.oid = pronamespace "
        "WHERE prosecdef AND nspname ~ '^imrec' AND proowner <> nspowner"
    ).fetchall()
    assert others == []
    grants.revoke(conn, member)
    assert restricted.images() == 41
