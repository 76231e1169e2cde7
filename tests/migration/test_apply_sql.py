"""The functions and views are applied again as a whole: always the present ones, and what users made of them stays."""

import re
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import TupleRow
from support import AddImage, settings_for

from imrec_pg.db import apply_sql, migrate
from imrec_pg.db.apply_sql import folder
from imrec_pg.db.connection import Connection
from imrec_pg.db.session import open_session
from imrec_pg.errors import SchemaError
from imrec_pg.settings import Settings

NOTHING = "RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid'"
ALIKE = "BEGIN ATOMIC SELECT s.path FROM imrec.similar_to(alike_to.photo) AS s; END"
FIRST = "ARRAY(SELECT image_id FROM imrec.image LIMIT 1)"
SCHEMAS = "('imrec'::regnamespace, 'imrec_internal'::regnamespace)"
DEFINED = re.compile(r"(?m)^CREATE OR REPLACE (?:FUNCTION|VIEW) (imrec(?:_internal)?)\.(\w+)")


def definitions(conn: psycopg.Connection[TupleRow]) -> set[tuple[object, ...]]:
    """Return all that the files of sql/ define: bodies, settings, comments, columns."""
    rows = conn.execute(
        "SELECT oid::regprocedure::text, pg_get_functiondef(oid), obj_description(oid, 'pg_proc') "
        f"FROM pg_proc WHERE pronamespace IN {SCHEMAS} "
        "UNION ALL SELECT oid::regclass::text, pg_get_viewdef(oid) || reloptions::text, "
        f"obj_description(oid, 'pg_class') FROM pg_class WHERE relnamespace IN {SCHEMAS} AND relkind = 'v'"
    ).fetchall()
    return set(rows)


def spoil(conn: psycopg.Connection[TupleRow]) -> None:
    """Leave the database as an earlier version, or somebody's experiment, might have."""
    for statement in (
        f"CREATE OR REPLACE FUNCTION imrec_internal.image_at(photo text) {NOTHING}",
        "CREATE FUNCTION imrec_internal.left_over(x integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        f"CREATE FUNCTION imrec_internal.image_at(photo text, host text) {NOTHING}",
        "CREATE VIEW imrec_internal.left_behind AS SELECT 1 AS x",
        "COMMENT ON VIEW imrec.photo IS 'another'",
        "ALTER VIEW imrec.photo RESET (security_invoker)",
        "ALTER FUNCTION imrec_internal.image_at(text) RESET ALL",
        "UPDATE imrec_internal.applied_sql SET digest = 'another'",
    ):
        conn.execute(statement)


def test_an_upgrade_gives_the_same_as_a_new_schema(dsn: str, empty_dsn: str) -> None:
    migrate.upgrade(settings_for(empty_dsn))
    with psycopg.connect(empty_dsn) as conn:
        fresh = definitions(conn)
    with psycopg.connect(dsn) as conn:
        assert definitions(conn) == fresh
        spoil(conn)
        assert definitions(conn) != fresh
    migrate.upgrade(settings_for(dsn))
    with psycopg.connect(dsn) as conn:
        assert definitions(conn) == fresh


def test_functions_of_another_version_are_refused_until_they_are_upgraded(settings: Settings) -> None:
    with open_session(settings) as conn:
        conn.execute("UPDATE imrec_internal.applied_sql SET digest = 'another'")
    with pytest.raises(SchemaError, match="its functions are older than this imrec-pg"):
        open_session(settings)
    with psycopg.connect(settings.dsn or "") as conn:
        conn.execute("UPDATE imrec_internal.applied_sql SET imrec_version = '99.0'")
    with pytest.raises(SchemaError, match=r"imrec-pg 99\.0 has been here"):
        open_session(settings)
    migrate.upgrade(settings)
    open_session(settings).close()


def test_what_users_made_of_our_views_and_functions_survives_an_upgrade(
    conn: Connection, add_image: AddImage, settings: Settings
) -> None:
    add_image.many({"name": f"{i}.jpg"} for i in range(5))
    for statement in (
        "CREATE VIEW wide AS SELECT path FROM imrec.photo WHERE width > 1",
        "CREATE VIEW alike AS SELECT path, distance FROM imrec.similar_to('/photos/1.jpg')",
        f"CREATE MATERIALIZED VIEW album AS SELECT path FROM imrec.recommend({FIRST})",
        f"CREATE FUNCTION alike_to(photo text) RETURNS SETOF text LANGUAGE sql STABLE {ALIKE}",
        "CREATE VIEW near AS SELECT * FROM imrec.hamming_within(repeat('0', 64)::bit(64), 64)",
    ):
        conn.execute(statement.encode())
    before = conn.execute("SELECT * FROM alike ORDER BY path").fetchall()
    spoil(conn)
    migrate.upgrade(settings)
    assert conn.execute("SELECT * FROM alike ORDER BY path").fetchall() == before
    assert len(before) == 4
    assert len(conn.execute("SELECT alike_to('/photos/2.jpg')").fetchall()) == 4
    assert len(conn.execute("SELECT FROM wide").fetchall()) == 5
    assert len(conn.execute("SELECT FROM near").fetchall()) == 5
    conn.execute("REFRESH MATERIALIZED VIEW album")
    assert len(conn.execute("SELECT FROM album").fetchall()) == 4


def test_indexes_outlive_the_functions_and_views(settings: Settings, conn: Connection) -> None:
    """A migration that is taken back drops these, and the next upgrade only makes these again."""
    chunks = r"SELECT FROM pg_indexes WHERE schemaname = 'imrec' AND indexname LIKE '%hash\_chunk\__\_idx'"
    assert conn.execute(chunks).rowcount == 12
    apply_sql.drop_all(conn)
    assert conn.execute("SELECT to_regclass('imrec.photo')").fetchone() == (None,)
    migrate.upgrade(settings)
    assert conn.execute(chunks).rowcount == 12


def test_each_file_is_named_after_what_it_defines_and_has_no_version() -> None:
    for path in folder("sql").rglob("*.sql"):
        schema = {"api": "imrec", "internal": "imrec_internal"}[path.parent.name]
        assert set(DEFINED.findall(path.read_text(encoding="utf-8"))) == {(schema, path.stem)}, path
        assert not re.search(r"_v?\d+$", path.stem)


def test_the_database_has_no_function_or_view_without_a_file(conn: Connection) -> None:
    rows = conn.execute(
        "SELECT n.nspname::text, p.proname::text FROM pg_proc AS p "
        f"INNER JOIN pg_namespace AS n ON n.oid = p.pronamespace WHERE n.oid IN {SCHEMAS} "
        "UNION SELECT n.nspname, c.relname FROM pg_class AS c INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        f"WHERE n.oid IN {SCHEMAS} AND c.relkind = 'v'"
    ).fetchall()
    files = {
        ({"api": "imrec", "internal": "imrec_internal"}[path.parent.name], path.stem)
        for path in folder("sql").rglob("*.sql")
    }
    assert set(rows) == files


def test_what_users_call_fits_one_screen_and_says_what_it_does(conn: Connection) -> None:
    rows = conn.execute(
        "SELECT proname::text, obj_description(oid, 'pg_proc') FROM pg_proc WHERE pronamespace = 'imrec'::regnamespace"
    ).fetchall()
    assert len({name for name, _ in rows}) <= 15
    assert len(rows) <= 23
    assert all(comment and len(str(comment)) > 30 for _, comment in rows)


def test_a_schema_of_a_development_version_is_refused_with_the_way_out(empty_dsn: str) -> None:
    with psycopg.connect(empty_dsn) as conn:
        conn.execute("CREATE EXTENSION vector")
        conn.execute("CREATE SCHEMA imrec")
        conn.execute("CREATE TABLE imrec.alembic_version (version_num text)")
        conn.execute("INSERT INTO imrec.alembic_version VALUES ('0008')")
    for attempt in (open_session, migrate.upgrade):
        with pytest.raises(SchemaError, match=r"imrec-pg export DIR.*imrec-pg import DIR"):
            attempt(settings_for(empty_dsn))
    with psycopg.connect(empty_dsn) as conn:
        assert conn.execute("SELECT version_num FROM imrec.alembic_version").fetchone() == ("0008",)


def test_functions_that_need_each_other_are_created_whatever_their_names(
    empty_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be created at all ends with its own error, not in a loop."""
    migrate.upgrade(settings_for(empty_dsn))
    files = [*apply_sql._files()]
    broken = tmp_path / "broken.sql"
    broken.write_text("CREATE OR REPLACE VIEW imrec_internal.broken AS SELECT * FROM imrec.nothing;\n")
    monkeypatch.setattr(apply_sql, "_files", lambda: [*files[::-1], broken])
    with (
        psycopg.connect(empty_dsn) as conn,
        pytest.raises(psycopg.errors.UndefinedTable, match=r"imrec\.nothing"),
    ):
        apply_sql.apply(conn)
    monkeypatch.setattr(apply_sql, "_files", lambda: files[::-1])
    with psycopg.connect(empty_dsn) as conn:
        apply_sql.drop_all(conn)
        apply_sql.apply(conn)
