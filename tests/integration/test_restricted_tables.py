"""What a restricted reader sees of tables and views, as the role, on a real server."""

from uuid import UUID

import pytest
from psycopg import errors as pg
from restricted_readers import SHARED, Restricted, assert_own

from imrec_pg.db.connection import Connection

# By hand: 40 images of its own and the shared one, each in one file in /mine; one failure.
ROWS = {"imrec.visible_photo": 41, "imrec.visible_failure": 1, "imrec.visible_root": 1}
TELL_OF_NO_PHOTO = {
    "imrec_internal.shipped_evidence",
    *(f"imrec.{name}" for name in ("model", "schema_version", "feature")),
    *(
        f"imrec_internal.{name}"
        for name in ("applied_sql", "duplicate_limit", "hnsw_index", "lock", "open_relation")
    ),
}
DEFINERS = {
    *("visible_counts", "visible_details", "visible_duplicates", "visible_failures", "visible_features"),
    *("visible_fuse", "visible_hashes", "visible_image_at", "visible_pairs", "visible_photos"),
    *("visible_recommend", "visible_roots"),
}


def test_what_is_not_made_for_it_is_closed(conn: Connection, restricted: Restricted) -> None:
    relations = conn.execute(
        "SELECT concat_ws('.', nspname, relname) FROM pg_class AS c "
        "JOIN pg_namespace AS n ON n.oid = relnamespace "
        "WHERE nspname IN ('imrec', 'imrec_internal') AND relkind IN ('r', 'p', 'v', 'm', 'f')"
    ).fetchall()
    closed = {str(row[0]) for row in relations} - ROWS.keys() - TELL_OF_NO_PHOTO
    assert {
        "imrec.file",
        "imrec.embedding",
        "imrec.tuning",
        "imrec.evidence",
        "imrec_internal.access_root",
    } < closed
    for relation in closed:
        for statement in (f"SELECT FROM {relation}", f"EXPLAIN SELECT FROM {relation}"):
            with pytest.raises(pg.InsufficientPrivilege):
                restricted.rows(statement)
    for relation, number in ROWS.items():
        rows = restricted.rows(f"SELECT t::text FROM {relation} AS t")
        assert len(rows) == number, relation
        assert_own(rows)
    for relation in TELL_OF_NO_PHOTO:
        assert restricted.rows(f"SELECT count(*) FROM {relation}")[0][0] > 0
    assert restricted.rows("SELECT path FROM imrec.visible_photo WHERE image_id = %s", UUID(int=SHARED)) == [
        ("/mine/500.jpg",)
    ]


def test_a_function_that_tells_what_it_sees_is_shown_own_rows_alone(restricted: Restricted) -> None:
    """One so cheap that the planner would call it first, if it could."""
    told: list[str] = []
    restricted.conn.add_notice_handler(lambda diagnostic: told.append(str(diagnostic.message_primary)))
    restricted.conn.execute(
        "CREATE FUNCTION pg_temp.leak(anyelement) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS "
        "$$BEGIN RAISE NOTICE '%', $1; RETURN true; END$$"
    )
    for relation, column in (("photo", "path"), ("failure", "path"), ("root", "name")):
        told.clear()
        restricted.rows(f"SELECT FROM imrec.visible_{relation} WHERE pg_temp.leak({column})")
        assert len(told) == ROWS[f"imrec.visible_{relation}"]
        assert_own([tuple(told)])


def test_rights_cannot_be_taken(conn: Connection, restricted: Restricted) -> None:
    owner = str(conn.info.user)
    for statement in (
        "ALTER VIEW imrec.visible_photo SET (security_invoker = true)",
        "DELETE FROM imrec.file",
        "UPDATE imrec.image SET size = 1",
        "INSERT INTO imrec.missing VALUES (gen_random_uuid())",
        "INSERT INTO imrec_internal.access_root SELECT role, gen_random_uuid() FROM imrec_internal.access",
        "CREATE VIEW imrec.all_of_it AS SELECT * FROM imrec.file",
        f"SET ROLE {owner}",
        f"SET SESSION AUTHORIZATION {owner}",
    ):
        with pytest.raises(pg.InsufficientPrivilege):
            restricted.conn.execute(statement.encode())


def test_statistics_of_the_tables_are_hidden(conn: Connection, restricted: Restricted) -> None:
    conn.execute("ANALYZE")
    statement = "SELECT DISTINCT schemaname || '.' || tablename FROM pg_stats WHERE schemaname ~ '^imrec'"
    assert {"imrec.file", "imrec.image", "imrec.average_hash", "imrec_internal.access_root"} < {
        str(row[0]) for row in conn.execute(statement)
    }
    assert {row[0] for row in restricted.rows(statement)} <= TELL_OF_NO_PHOTO


def test_everything_else_runs_with_the_callers_rights(conn: Connection) -> None:
    definers = conn.execute(
        "SELECT proname FROM pg_proc WHERE pronamespace::regnamespace::text ~ '^imrec' AND prosecdef"
    ).fetchall()
    views = conn.execute(
        "SELECT relname FROM pg_class WHERE relnamespace::regnamespace::text ~ '^imrec' "
        "AND relkind IN ('v', 'm') AND NOT 'security_invoker=true' = ANY (coalesce(reloptions, '{}'))"
    ).fetchall()
    assert {row[0] for row in definers} == DEFINERS
    assert {f"imrec.{row[0]}" for row in views} == ROWS.keys()


def test_what_runs_with_the_owners_rights_pins_its_names_and_asks_for_rights_first(conn: Connection) -> None:
    for name, settings, source in conn.execute(
        "SELECT proname, proconfig::text, prosrc FROM pg_proc WHERE proname = ANY (%s)", (list(DEFINERS),)
    ):
        for setting in (
            *("search_path=pg_catalog, pg_temp", "enable_mergejoin=off"),
            "client_min_messages=warning",
        ):
            assert setting in str(settings), name
        declared = str(source).partition("BEGIN")[0]
        assert "imrec_internal.reader_roots(reader)" in declared, name
