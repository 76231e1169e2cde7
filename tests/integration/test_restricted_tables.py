"""What a restricted reader sees of tables and views, as the role, on a real server."""

from uuid import UUID

import pytest
from psycopg import errors as pg
from row_security import SHARED, Restricted, assert_own

from imrec_pg.catalogue.index import build_index
from imrec_pg.db.connection import Connection
from imrec_pg.records import Feature, Metric

# By hand: 40 images of its own and the shared one, each in one file in /mine; one failure, one missing file.
ROWS = {
    "imrec.root": 1,
    "imrec.mount": 1,
    "imrec.claim": 1,
    "imrec.worker": 0,
    "imrec.image": 41,
    "imrec.file": 41,
    "imrec.missing": 1,
    "imrec.failure": 1,
    "imrec.tuning": 0,
    **{
        f"imrec.{table}": 0
        for table in (
            *("clustering", "cluster", "cluster_member"),
            *("map", "map_point", "map_projection", "map_cell", "mapped"),
        )
    },
    "imrec_internal.unplaced": 0,
    **{f"imrec.{feature}": 41 for feature in Feature},
    "imrec.photo": 41,
    "imrec_internal.access": 1,
    "imrec_internal.access_root": 1,
    "imrec_internal.image_features": 41,
    "imrec_internal.image_file": 41,
    "imrec_internal.stored_feature": 246,  # with the metadata of each image
    "imrec_internal.stored_hash": 123,
}
VIEWS = {
    "imrec.photo",
    "imrec.mapped",
    "imrec_internal.unplaced",
    *(f"imrec_internal.{view}" for view in ("image_features", "image_file", "stored_feature", "stored_hash")),
}
TELL_OF_NO_PHOTO = {
    *(f"imrec.{name}" for name in ("model", "hamming_flip", "schema_version", "feature")),
    *(f"imrec_internal.{name}" for name in ("access_rule", "applied_sql", "caller", "hnsw_index", "lock")),
}
EMPTY = {"imrec_internal.access_change"}


def test_each_table_and_view_shows_own_rows_alone(conn: Connection, restricted: Restricted) -> None:
    relations = conn.execute(
        "SELECT concat_ws('.', nspname, relname) FROM pg_class AS c "
        "JOIN pg_namespace AS n ON n.oid = relnamespace "
        "WHERE nspname IN ('imrec', 'imrec_internal') AND relkind IN ('r', 'p', 'v', 'm', 'f')"
    ).fetchall()
    assert {str(row[0]) for row in relations} == ROWS.keys() | TELL_OF_NO_PHOTO | EMPTY
    for relation, number in ROWS.items():
        rows = restricted.rows(f"SELECT t::text FROM {relation} AS t")
        assert len(rows) == number, relation
        assert_own(rows)
    for relation in TELL_OF_NO_PHOTO:
        assert restricted.rows(f"SELECT count(*) FROM {relation}")[0][0] > 0
    for relation in EMPTY:
        assert restricted.rows(f"SELECT * FROM {relation}") == []
    assert restricted.rows("SELECT path FROM imrec.photo WHERE image_id = %s", UUID(int=SHARED)) == [
        ("/mine/500.jpg",)
    ]


def test_plain_sql_of_a_restricted_role_still_takes_the_index(
    conn: Connection, restricted: Restricted
) -> None:
    build_index(conn, Feature.EMBEDDING, Metric.COSINE)
    restricted.conn.execute("SET enable_seqscan = off")
    restricted.conn.execute("SET hnsw.iterative_scan = strict_order")
    near_theirs = "array_cat(ARRAY[1, 0], array_fill(0, ARRAY[510]))::vector"
    statement = f"SELECT image_id FROM imrec.embedding ORDER BY embedding <=> {near_theirs} LIMIT 10"
    plan = "\n".join(row[0] for row in restricted.rows(f"EXPLAIN {statement}"))
    assert "Index Scan using embedding_cosine_hnsw" in plan
    assert [row[0].int for row in restricted.rows(statement)] == [SHARED, *range(1, 10)]


def test_a_function_that_tells_what_it_sees_is_shown_own_rows_alone(restricted: Restricted) -> None:
    """One so cheap that the planner would call it before the policy, if PostgreSQL let it."""
    told: list[str] = []
    restricted.conn.add_notice_handler(lambda diagnostic: told.append(str(diagnostic.message_primary)))
    restricted.conn.execute(
        "CREATE FUNCTION pg_temp.leak(anyelement) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS "
        "$$BEGIN RAISE NOTICE '%', $1; RETURN true; END$$"
    )
    for relation, column in (
        *(("file", "path"), ("image", "image_id"), ("embedding", "image_id"), ("average_hash", "image_id")),
        *(("photo", "path"), ("failure", "path"), ("root", "name")),
    ):
        told.clear()
        restricted.rows(f"SELECT FROM imrec.{relation} WHERE pg_temp.leak({column})")
        assert len(told) == ROWS[f"imrec.{relation}"]
        assert_own([tuple(told)])


def test_row_security_cannot_be_got_round(conn: Connection, restricted: Restricted) -> None:
    owner = str(conn.info.user)
    for statement in (
        "ALTER TABLE imrec.file DISABLE ROW LEVEL SECURITY",
        "CREATE POLICY mine ON imrec.file USING (true)",
        "ALTER VIEW imrec.photo RESET (security_invoker)",
        "DELETE FROM imrec.file",
        "UPDATE imrec.image SET size = 1",
        "INSERT INTO imrec.missing VALUES (gen_random_uuid())",
        "UPDATE imrec_internal.access SET sees_all = true",
        "INSERT INTO imrec_internal.access_root SELECT role, gen_random_uuid() FROM imrec_internal.access",
        "CREATE VIEW imrec.all_of_it AS SELECT * FROM imrec.file",
        f"SET ROLE {owner}",
        f"SET SESSION AUTHORIZATION {owner}",
    ):
        with pytest.raises(pg.InsufficientPrivilege):
            restricted.conn.execute(statement.encode())
    restricted.conn.execute("SET row_security = off")
    for relation in ROWS.keys() - VIEWS:
        with pytest.raises(pg.InsufficientPrivilege, match="would be affected by row-level security"):
            restricted.conn.execute(f"SELECT FROM {relation}".encode())


def test_statistics_of_the_tables_are_hidden(conn: Connection, restricted: Restricted) -> None:
    conn.execute("ANALYZE")
    statement = "SELECT DISTINCT schemaname || '.' || tablename FROM pg_stats WHERE schemaname ~ '^imrec'"
    assert {"imrec.file", "imrec.image", "imrec.average_hash", "imrec_internal.access_root"} < {
        str(row[0]) for row in conn.execute(statement)
    }
    assert {row[0] for row in restricted.rows(statement)} <= TELL_OF_NO_PHOTO


def test_everything_runs_with_the_callers_rights(conn: Connection) -> None:
    definers = conn.execute(
        "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace::regnamespace::text ~ '^imrec' "
        "AND prosecdef"
    ).fetchall()
    views = conn.execute(
        "SELECT relname FROM pg_class WHERE relnamespace::regnamespace::text ~ '^imrec' "
        "AND relkind IN ('v', 'm') AND NOT 'security_invoker=true' = ANY (coalesce(reloptions, '{}'))"
    ).fetchall()
    assert (definers, views) == ([], [])
