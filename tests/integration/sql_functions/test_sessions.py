"""The functions in a user's own session: settings, joins, privileges, descriptions."""

from typing import Any

import psycopg
from integration.sql_functions.answers import rows
from numpy.typing import NDArray
from psycopg.conninfo import make_conninfo

from imrec_pg.db.connection import Connection


def test_every_function_tells_what_it_does(conn: Connection) -> None:
    undescribed = rows(
        conn,
        "SELECT oid::regprocedure::text AS name FROM pg_proc "
        "WHERE pronamespace IN ('imrec'::regnamespace, 'imrec_internal'::regnamespace) "
        "AND obj_description(oid, 'pg_proc') IS NULL",
    )
    assert undescribed == []


def test_settings_of_the_session_are_left_alone(conn: Connection, indexed: None) -> None:
    del indexed
    names = [
        "hnsw.ef_search",
        "hnsw.iterative_scan",
        "enable_seqscan",
        "enable_sort",
        "enable_bitmapscan",
        "jit",
    ]
    conn.execute("SET hnsw.ef_search = 77")
    conn.execute("SET enable_sort = off")
    before = [rows(conn, "SELECT current_setting(%s) AS v", name) for name in names]
    with conn.transaction():
        rows(conn, "SELECT * FROM imrec.similar_to('/photos/b/01.jpg')")
        assert [rows(conn, "SELECT current_setting(%s) AS v", name) for name in names] == before


def test_joins_with_the_users_own_tables(conn: Connection, photos: dict[str, NDArray[Any]]) -> None:
    del photos
    conn.execute("CREATE TABLE album (image_id uuid PRIMARY KEY, title text)")
    conn.execute("INSERT INTO album SELECT image_id, 'holiday' FROM imrec.image")
    found = rows(
        conn,
        "SELECT a.title, s.distance FROM imrec.similar_to('/photos/b/01.jpg', 5) AS s "
        "JOIN album AS a USING (image_id) ORDER BY s.rank",
    )
    assert [row["title"] for row in found] == ["holiday"] * 5


def test_a_role_with_select_alone_may_call_them_in_a_new_session(
    conn: Connection, dsn: str, indexed: None
) -> None:
    """The first statement of a session, before pgvector is loaded there, and as nobody's superuser."""
    del indexed
    conn.execute("DROP ROLE IF EXISTS only_reads")
    conn.execute("CREATE ROLE only_reads LOGIN")
    try:
        conn.execute("GRANT USAGE ON SCHEMA imrec, imrec_internal TO only_reads")
        conn.execute("GRANT SELECT ON ALL TABLES IN SCHEMA imrec, imrec_internal TO only_reads")
        calls = [
            "imrec.similar_to('/photos/b/01.jpg', k => 60)",
            "imrec.similar_to('/photos/b/01.jpg', k => 60, feature => 'average_hash')",
            "imrec.fuse('/photos/b/01.jpg', k => 60)",
            "imrec.recommend(ARRAY(SELECT image_id FROM imrec.image ORDER BY 1 LIMIT 2), k => 60)",
        ]
        for call in calls:
            with psycopg.connect(make_conninfo(dsn, user="only_reads")) as reader:
                reader.execute("SET imrec.min_index_rows = 0")
                assert len(reader.execute(f"SELECT * FROM {call}".encode()).fetchall()) == 60
    finally:
        conn.execute("DROP OWNED BY only_reads")
        conn.execute("DROP ROLE only_reads")
