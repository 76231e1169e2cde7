"""Readers of some roots: what they see of tables, views and functions, as the role, on a real server.

There are two roots, /mine with images 1 to 40 and /theirs with 101 to 160, and image 500 lies in both.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import psycopg
import pytest
from pgvector.psycopg import register_vector
from psycopg import errors as pg
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier
from support import AddImage, at_angle, settings_for

from imrec_pg import doctor
from imrec_pg.access import grants, policies
from imrec_pg.catalogue import claims
from imrec_pg.catalogue.claims import Worker
from imrec_pg.catalogue.index import build_index
from imrec_pg.db import migrate
from imrec_pg.db.connection import Connection
from imrec_pg.errors import PermissionDeniedError, SchemaError, StoreError, UsageError
from imrec_pg.ingest.find import file_id, root_of
from imrec_pg.records import Feature, GrantedRole, Metric

MINE, THEIRS, SHARED = range(1, 41), range(101, 161), 500
OWN = {*MINE, SHARED}
# By hand: 40 images of its own and the shared one, each at one place in /mine; one failure, one missing file.
ROWS = {
    "root": 1,
    "mount": 1,
    "claim": 1,
    "worker": 0,
    "image": 41,
    "location": 41,
    "embedding": 41,
    "histogram": 41,
    "hash": 41,
    "missing": 1,
    "failure": 1,
    "tuning": 0,
    "photo": 41,
    "hash_feature": 82,
}
TELL_OF_NO_PHOTO = {"model", "hamming_flip", "schema_version"}
BITS = "1" * 64
Row = tuple[Any, ...]


@dataclass(frozen=True)
class Restricted:
    """A role that sees /mine alone.

    Attributes:
        conn: as that role.
        name: quotes and spaces in it, and 63 bytes, as long as PostgreSQL lets a name be.
    """

    conn: Connection
    name: str

    def rows(self, statement: str, *parameters: object) -> list[Row]:
        return self.conn.execute(statement.encode(), parameters or None).fetchall()


def make_roots(conn: Connection) -> None:
    """Theirs are nearest to a vector at angle 0 and to BITS, in order; mine at 60 degrees and more."""
    mine, theirs = AddImage(conn, b"/mine"), AddImage(conn, b"/theirs")
    mine.many(photo(i, 60 + i / 2) for i in MINE)
    theirs.many(photo(i, (i - 100) / 10) for i in THEIRS)
    for root in (mine, theirs):
        root.many([photo(SHARED, 45)])
    for name, number in ((b"/mine", 1), (b"/theirs", 101)):
        root_id = root_of(name).root_id
        conn.execute(
            "INSERT INTO imrec.failure (file_id, root_id, relative_path, path, bytes, mtime_ns, "
            "error_class, error) VALUES (gen_random_uuid(), %s, 'bad.jpg', %s, 1, 1, 'Empty', 'no bytes')",
            (root_id, name.decode() + "/bad.jpg"),
        )
        conn.execute("INSERT INTO imrec.missing (file_id) VALUES (%s)", (file_id(root_id, name_of(number)),))
        conn.execute(
            "INSERT INTO imrec.mount (root_id, host, raw_path) VALUES (%s, 'b', %s)", (root_id, name)
        )
        worker = Worker(uuid4(), "b" + name.decode(), 1, timedelta(hours=1))
        claims.renew(conn, worker, locked=False)
        conn.execute(
            "SELECT imrec_internal.claim(%s, %s, %s)",
            (worker.worker_id, [file_id(root_id, b"new")], [root_id]),
        )
    conn.execute("INSERT INTO imrec.model VALUES (1, 'resnet18', 'abc', 1)")
    conn.execute("INSERT INTO imrec.tuning VALUES ('embedding', 'cosine', 40, 10, 0.99, 0.99, 1, 50, 101)")


def name_of(number: int) -> bytes:
    return b"%03d.jpg" % number


def photo(number: int, degrees: float) -> dict[str, object]:
    rng = np.random.default_rng(number)
    code = (2**64 - 1 - 2 ** (number % 7)).to_bytes(8, "big") if number > 100 else rng.bytes(8)
    return {
        "name": name_of(number).decode(),
        "embedding": at_angle(degrees),
        "histogram": rng.random(512),
        "average_hash": code,
        "difference_hash": code,
        "image_id": UUID(int=number),
    }


@pytest.fixture
def new_role(conn: Connection) -> Iterator[Callable[[], str]]:
    """Return what makes names of roles that do not exist yet; the roles are dropped afterwards."""
    names: list[str] = []

    def make() -> str:
        names.append((f'a "role" %s {uuid4().hex[:8]} ' + "with a very long name" * 3)[:63])
        return names[-1]

    yield make
    for name in names:
        if conn.execute("SELECT FROM pg_roles WHERE rolname = %s", (name,)).rowcount:
            conn.execute(SQL("DROP OWNED BY {}").format(Identifier(name)))
            conn.execute(SQL("DROP ROLE {}").format(Identifier(name)))


@pytest.fixture
def restricted(conn: Connection, dsn: str, new_role: Callable[[], str]) -> Iterator[Restricted]:
    make_roots(conn)
    name = new_role()
    grants.grant(conn, GrantedRole.READER, name, create=True, roots=["/mine"])
    with psycopg.connect(make_conninfo(dsn, user=name), autocommit=True) as own:
        yield Restricted(own, name)


def assert_own(rows: list[Row]) -> None:
    """No image, path or root of /theirs is in the rows, however deep."""
    told = str(rows)
    assert "theirs" not in told
    assert str(root_of(b"/theirs").root_id) not in told
    ids = {int(found, 16) for found in re.findall(r"0{8}-0{4}-0{4}-0{4}-([0-9a-f]{12})", told)}
    assert ids <= OWN


def test_each_table_and_view_shows_own_rows_alone(conn: Connection, restricted: Restricted) -> None:
    relations = conn.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'imrec'::regnamespace "
        "AND relkind IN ('r', 'p', 'v', 'm', 'f')"
    ).fetchall()
    assert {str(row[0]) for row in relations} == ROWS.keys() | TELL_OF_NO_PHOTO
    for relation, number in ROWS.items():
        rows = restricted.rows(f"SELECT t::text FROM imrec.{relation} AS t")
        assert len(rows) == number, relation
        assert_own(rows)
    for relation in TELL_OF_NO_PHOTO:
        assert restricted.rows(f"SELECT count(*) FROM imrec.{relation}")[0][0] > 0
    assert restricted.rows("SELECT path FROM imrec.photo WHERE image_id = %s", UUID(int=SHARED)) == [
        ("/mine/500.jpg",)
    ]


Q = "array_cat(ARRAY[1, 0], array_fill(0, ARRAY[510]))::vector"
"""Where image 101 nearly is."""
F = f"ARRAY[ROW({Q}, {Q}, B'{BITS}', B'{BITS}')::imrec.features]"
OTHER_FILE = f"ARRAY['{file_id(root_of(b'/theirs').root_id, name_of(102))}'::uuid]"
OTHER, OTHER_PATH = f"'{UUID(int=101)}'", "'/theirs/101.jpg'"
MY, MY_PATH = f"'{UUID(int=1)}'", "'/mine/001.jpg'"
SEEN = "l ~ '^Limit.*rows=41'"
NEAREST = "100, 'mean', '{}', '{}', NULL, 'auto'"
# What each function that reads tables gives: its call, and how many rows, or what it is refused with. All is
# asked for and the nearest are of the other root, so that one too many would be one of those.
CALLS: dict[str, list[tuple[str, int | str]]] = {
    "file_state(uuid[])": [
        (f"imrec_internal.file_state({OTHER_FILE}, '{{9}}', '{{2}}', '{{}}', false) WHERE state <> 'new'", 0),
    ],
    "lacking_features(uuid[])": [
        (f"imrec_internal.lacking_features(ARRAY[{OTHER}::uuid], '{{hash}}') WHERE missing IS NOT NULL", 0),
        (f"imrec_internal.lacking_features(ARRAY[{MY}::uuid], '{{hash}}') WHERE missing = '{{}}'", 1),
    ],
    "image_at(text)": [
        (f"imrec.image_at({OTHER_PATH})", "no photo is stored"),
        ("imrec.image_at('/theirs/500.jpg')", "no photo is stored"),
        (f"imrec.image_at({MY_PATH})", 1),
    ],
    "places(uuid[])": [
        (f"imrec.places(ARRAY[{OTHER}::uuid])", 0),
        (f"imrec.places(ARRAY['{UUID(int=SHARED)}'::uuid]) WHERE copies = 1 AND path = '/mine/500.jpg'", 1),
        (f"imrec.places(ARRAY[{MY}::uuid]) WHERE missing", 1),
    ],
    "stored_features(uuid[])": [
        (f"imrec.stored_features(ARRAY[{OTHER}::uuid])", "have no features stored"),
        (f"imrec.stored_features(ARRAY[{MY}::uuid])", 1),
    ],
    "similar_to(text)": [
        (f"imrec.similar_to({OTHER_PATH})", "no photo is stored"),
        (f"imrec.similar_to({MY_PATH}, 100)", 40),
        (f"imrec.similar_to({MY_PATH}, 100, 'difference_hash')", 40),
        (f'imrec.similar_to({MY_PATH}, 100, filter => \'{{"root": "/theirs"}}\')', 0),
        (f'imrec.similar_to({MY_PATH}, 100, filter => \'{{"under": "/theirs"}}\')', 0),
        (f"imrec.similar_to({MY_PATH}, 100, filter => '{{\"min_width\": 1}}')", 40),
    ],
    "similar_to(uuid)": [
        (f"imrec.similar_to({OTHER}::uuid)", "have no features stored"),
        (f"imrec.similar_to({MY}::uuid, 100, among => ARRAY[{OTHER}, '{UUID(int=2)}']::uuid[])", 1),
    ],
    "search(vector)": [
        (f"imrec.search({Q}, 100)", 41),
        (f"imrec.search({Q}, 100, 'histogram', 'manhattan')", 41),
        (f"imrec.search({Q}, 100, method => 'exact')", 41),
        (f"imrec.search({Q}, 100, method => 'approximate') WHERE answer <> 'truncated'", 41),
        (f"imrec.search({Q}, 100, among => ARRAY[{OTHER}]::uuid[])", 0),
    ],
    "search(bit)": [
        (f"imrec.search(B'{BITS}', 100)", 41),
        (f"imrec.search(B'{BITS}', 100, filter => '{{\"min_width\": 1}}')", 41),
    ],
    "search(text)": [(f"imrec.search('{BITS}', 100, 'difference_hash')", 41)],
    "recommend(uuid[])": [
        (f"imrec.recommend(ARRAY[{OTHER}::uuid])", "have no features stored"),
        (f"imrec.recommend(ARRAY[{MY}::uuid], ARRAY[{OTHER}::uuid])", "have no features stored"),
        (f"imrec.recommend(ARRAY[{MY}::uuid], ARRAY['{UUID(int=2)}'::uuid], 100)", 39),
        (f"imrec.recommend(ARRAY[{MY}::uuid], '{{}}', 100, combine => 'min')", 40),
    ],
    "fuse(text)": [
        (f"imrec.fuse({OTHER_PATH})", "no photo is stored"),
        (f"imrec.fuse({MY_PATH}, 100)", 40),
    ],
    "fuse(uuid[])": [
        (f"imrec.fuse(ARRAY[{OTHER}::uuid])", "have no features stored"),
        (f"imrec.fuse(ARRAY[{MY}::uuid], ARRAY[{OTHER}::uuid])", "have no features stored"),
    ],
    "fuse_features(imrec.features[])": [
        (f"imrec.fuse_features({F}, '{{}}', NULL, 100, 'mean', '{{}}', '{{}}', NULL, 'auto')", 41)
    ],
    "nearest(imrec.features[])": [
        (f"imrec.nearest({F}, '{{}}', '{feature}', NULL, {NEAREST})", 41)
        for feature in ("embedding", "histogram", "average_hash", "difference_hash")
    ],
    "nearest_vectors(vector[])": [
        (f"imrec.nearest_vectors(ARRAY[{Q}], '{{}}', 'embedding', NULL, {NEAREST})", 41)
    ],
    "nearest_hashes(bit[])": [
        (
            f"imrec.nearest_hashes(ARRAY[B'{BITS}'], '{{}}', 'difference_hash', NULL, {NEAREST[:-8]})",
            41,
        )
    ],
    "explain_vectors(vector[])": [
        (f"imrec.explain_vectors(ARRAY[{Q}], '{{}}', 'embedding', NULL, {NEAREST}) AS l WHERE {SEEN}", 1),
    ],
    "hamming_search(bit)": [(f"imrec.hamming_search(B'{BITS}', 100)", 41)],
    "hamming_within(bit)": [
        (f"imrec.hamming_within(B'{BITS}', 64)", 41),
        (f"imrec.hamming_within(B'{BITS}', 2)", 1),  # the shared one
    ],
    "hamming_scan(bit)": [(f"imrec_internal.hamming_scan(B'{BITS}', 'average_hash', 100)", 41)],
    "hamming_equal(bit)": [
        ("unnest(imrec.hamming_equal(~(1::bit(64) << (500 % 7)), 'average_hash', 100))", 1)
    ],
    "hamming_near(bit)": [(f"imrec_internal.hamming_near(B'{BITS}', 'average_hash', '{{3,7,11}}', 100)", 1)],
    "hamming_probe(bit)": [
        (f"imrec_internal.hamming_probe(B'{BITS}', 'average_hash', 64, {chunk}, 3, 1000) WHERE hits <= 41", 1)
        for chunk in range(4)
    ],
    "filtered_images(jsonb)": [
        ("unnest(imrec.filtered_images('{}', NULL, 1000))", 41),
        ('unnest(imrec.filtered_images(\'{"root": "/theirs"}\', NULL, 1000))', 0),
        (f"unnest(imrec.filtered_images('{{}}', ARRAY[{OTHER}::uuid], 1000))", 0),
    ],
    "own_images(uuid[])": [(f"unnest(imrec.own_images(ARRAY[{OTHER}, {MY}]::uuid[]))", 1)],
    "vector_plan(text)": [
        ("imrec.vector_plan('embedding', 'cosine', 5, '{}', NULL, 'auto') WHERE ef_search = 100", 1)
    ],
    "create_stage()": [("imrec_internal.create_stage()", 1)],  # empty, and the session's own
    "fence_stage()": [("imrec.fence_stage()", "permission denied")],
    "live_workers()": [("imrec_internal.live_workers()", 0)],
    "claimed_by_others(uuid)": [
        (
            f"imrec_internal.claimed_by_others({MY}, ARRAY(SELECT root_id FROM imrec.root), NULL) WHERE files = 0",
            1,
        )
    ],
    "renew(uuid)": [(f"imrec_internal.renew({MY}, 'host', 1, '1 min', false)", "permission denied")],
    "claim(uuid)": [
        (f"imrec_internal.claim({MY}, ARRAY[{MY}::uuid], ARRAY[{MY}::uuid])", "permission denied")
    ],
    "forget_files(uuid)": [
        (f"imrec_internal.forget_files('{root_of(b'/mine').root_id}', {MY}, 10)", "permission denied")
    ],
    "merge_stage()": [("imrec_internal.merge_stage()", "permission denied")],
    "prune(interval)": [
        ("imrec.prune()", "permission denied"),
        ("imrec.prune(dry_run => false)", "permission denied"),
    ],
}
# They read no table with rows of photos.
READ_NOTHING = {
    *("check_question(text)", "check_stored(uuid[])", "check_vectors(vector[])", "check_weights(jsonb)"),
    *("combination(text)", "default_weights()", "filter(text)", "filter_condition(jsonb)"),
    *(
        "fused_metric(text)",
        "hamming_budget()",
        "hamming_check(bit)",
        "hash_chunk(bit)",
        "hash_distance(bit)",
    ),
    *(
        "worker_lock(uuid)",
        "index_for(text)",
        "mean_query(vector[])",
        "nearest_statement(text)",
        "restricted()",
    ),
}


def test_every_function_is_held_against_row_security(conn: Connection) -> None:
    functions = conn.execute(
        "SELECT proname || '(' || coalesce(proargtypes[0]::regtype::text, '') || ')' FROM pg_proc "
        "WHERE pronamespace = 'imrec'::regnamespace"
    ).fetchall()
    assert {str(row[0]) for row in functions} == CALLS.keys() | READ_NOTHING


@pytest.mark.parametrize("how", ["few", "walk"])
def test_each_function_answers_from_own_photos_alone(
    conn: Connection, restricted: Restricted, how: str
) -> None:
    build_index(conn, Feature.EMBEDDING, Metric.COSINE)
    if how == "walk":
        restricted.conn.execute("SET imrec.few_images = 0")
        restricted.conn.execute("SET imrec.min_index_rows = 0")
    for calls in CALLS.values():
        for call, expected in calls:
            if isinstance(expected, str):
                with pytest.raises(psycopg.Error, match=expected):
                    restricted.rows(f"SELECT * FROM {call}")
                continue
            rows = restricted.rows(f"SELECT * FROM {call}")
            assert len(rows) == (0 if how == "walk" and "own_images" in call else expected), call
            assert_own(rows)


def test_a_search_by_index_is_never_short_of_own_photos(conn: Connection, restricted: Restricted) -> None:
    """The 600 nearest are all of the other root, and the index alone would end among them."""
    AddImage(conn, b"/theirs").many(photo(i, (i - 1000) / 1000) for i in range(1000, 1600))
    build_index(conn, Feature.EMBEDDING, Metric.COSINE)
    for setting in (
        *("imrec.min_index_rows = 0", "imrec.few_images = 0", "imrec.ef_search = 10"),
        "hnsw.max_scan_tuples = 100",
    ):
        restricted.conn.execute(f"SET {setting}".encode())
    rows = restricted.rows(f"SELECT image_id, answer FROM imrec.search({Q}, 10)")
    # Mine lie at 60.5 degrees and on, the shared one at 45.
    assert rows == [(UUID(int=i), "exact") for i in (SHARED, *range(1, 10))]
    alone = restricted.rows(f"SELECT image_id, answer FROM imrec.search({Q}, 10, method => 'approximate')")
    assert len(alone) < 10
    assert {answer for _, answer in alone} <= {"truncated"}
    restricted.conn.execute("SET hnsw.max_scan_tuples = 20000")
    # By how the graph came about, it may lead to them or not.
    rows = restricted.rows(f"SELECT image_id, answer FROM imrec.search({Q}, 10)")
    assert len(rows) == 10
    assert_own(rows)
    assert {answer for _, answer in rows} <= {"approximate", "exact"}


def test_plain_sql_of_a_restricted_role_still_takes_the_index(
    conn: Connection, restricted: Restricted
) -> None:
    build_index(conn, Feature.EMBEDDING, Metric.COSINE)
    restricted.conn.execute("SET enable_seqscan = off")
    restricted.conn.execute("SET hnsw.iterative_scan = strict_order")
    statement = f"SELECT image_id FROM imrec.embedding ORDER BY embedding <=> {Q} LIMIT 10"
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
        *(("location", "path"), ("image", "image_id"), ("embedding", "image_id"), ("hash", "image_id")),
        *(("photo", "path"), ("hash_feature", "image_id"), ("failure", "path"), ("root", "name")),
    ):
        told.clear()
        restricted.rows(f"SELECT FROM imrec.{relation} WHERE pg_temp.leak({column})")
        assert len(told) == ROWS[relation]
        assert_own([tuple(told)])


def test_row_security_cannot_be_got_round(conn: Connection, restricted: Restricted) -> None:
    owner = str(conn.info.user)
    for statement in (
        "ALTER TABLE imrec.file DISABLE ROW LEVEL SECURITY",
        "CREATE POLICY mine ON imrec.file USING (true)",
        "ALTER VIEW imrec.photo RESET (security_invoker)",
        "DELETE FROM imrec.file",
        "UPDATE imrec.image SET bytes = 1",
        "INSERT INTO imrec.missing VALUES (gen_random_uuid())",
        "CREATE VIEW imrec.all_of_it AS SELECT * FROM imrec.file",
        f"SET ROLE {owner}",
        f"SET SESSION AUTHORIZATION {owner}",
    ):
        with pytest.raises(pg.InsufficientPrivilege):
            restricted.conn.execute(statement.encode())
    restricted.conn.execute("SET row_security = off")
    for relation in ROWS.keys() - {"photo", "hash_feature"}:
        with pytest.raises(pg.InsufficientPrivilege, match="would be affected by row-level security"):
            restricted.conn.execute(f"SELECT FROM imrec.{relation}".encode())


def test_statistics_of_the_tables_are_hidden(conn: Connection, restricted: Restricted) -> None:
    conn.execute("ANALYZE")
    statement = "SELECT DISTINCT tablename FROM pg_stats WHERE schemaname = 'imrec'"
    assert {"location", "image", "hash"} < {str(row[0]) for row in conn.execute(statement)}
    assert {row[0] for row in restricted.rows(statement)} <= TELL_OF_NO_PHOTO


def test_everything_runs_with_the_callers_rights(conn: Connection) -> None:
    definers = conn.execute(
        "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'imrec'::regnamespace AND prosecdef"
    ).fetchall()
    views = conn.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'imrec'::regnamespace AND relkind IN ('v', 'm') "
        "AND NOT 'security_invoker=true' = ANY (coalesce(reloptions, '{}'))"
    ).fetchall()
    assert (definers, views) == ([], [])


def count(dsn: str, role: str, table: str = "image") -> int:
    with psycopg.connect(make_conninfo(dsn, user=role)) as conn:
        ((number,),) = conn.execute(SQL("SELECT count(*) FROM {}").format(Identifier("imrec", table)))
    return int(str(number))


def doctor_of(dsn: str, role: str) -> str:
    """What doctor says of what row-level security hides from the role."""
    found = doctor.examine(settings_for(make_conninfo(dsn, user=role)))
    assert not [finding for finding in found if finding.what.startswith("could not be checked")]
    return "".join(f.what for f in found if f.check == "privileges" and "photos" in f.what)


def test_all_others_see_all_as_before_and_by_and_by_it_ends(
    conn: Connection, dsn: str, new_role: Callable[[], str]
) -> None:
    make_roots(conn)
    reader, ingester, owner, by_hand, mine, both, later = (new_role() for _ in range(7))
    for kind, role in ((GrantedRole.READER, reader), (GrantedRole.INGESTER, ingester)):
        grants.grant(conn, kind, role, create=True)
    grants.grant(conn, GrantedRole.OWNER, owner, create=True)
    conn.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(by_hand)))
    hand_made = SQL("GRANT USAGE ON SCHEMA imrec TO {0}; GRANT SELECT ON ALL TABLES IN SCHEMA imrec TO {0}")
    conn.execute(hand_made.format(Identifier(by_hand)))
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
    # Once it is on, a grant by hand shows nothing until it is made by us.
    conn.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(later)))
    conn.execute(hand_made.format(Identifier(later)))
    assert count(dsn, later) == 0
    assert "hides all photos" in doctor_of(dsn, later)
    grants.grant(conn, GrantedRole.READER, later)
    assert count(dsn, later) == 101
    assert doctor_of(dsn, later) == ""
    assert "sees only the photos of some roots" in doctor_of(dsn, mine)
    # Another grant replaces the one before; the last restricted one turns it off.
    grants.grant(conn, GrantedRole.READER, mine, roots=["/theirs"])
    assert (count(dsn, mine), count(dsn, mine, "location")) == (61, 61)
    grants.grant(conn, GrantedRole.READER, mine, roots=["/theirs"])
    assert count(dsn, mine) == 61
    grants.grant(conn, GrantedRole.READER, mine)
    assert count(dsn, mine) == 101
    grants.revoke(conn, both)
    left = "SELECT (SELECT count(*) FROM pg_policy) + (SELECT count(*) FROM pg_class WHERE relrowsecurity)"
    assert conn.execute(left).fetchone() == (0,)
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
        "CREATE ROLE {a} LOGIN BYPASSRLS",
        "CREATE ROLE {c} LOGIN",
        "CREATE TABLE imrec.diary (path text)",
        "GRANT SELECT ON imrec.diary TO PUBLIC",
    ):
        conn.execute(SQL(statement).format(**parts))
    for role, roots, message in (
        (member, ["/mine"], "is a member of .*which sees all photos: REVOKE"),
        (almighty, ["/mine"], "BYPASSRLS: take another role"),
        (curious, ["/mine"], "could read all of imrec.diary"),
        (curious, ["/mine", "/none"], "there is no root /none"),
    ):
        with pytest.raises(UsageError, match=message):
            grants.grant(conn, GrantedRole.READER, role, roots=roots)
    for kind in (GrantedRole.INGESTER, GrantedRole.OWNER):
        with pytest.raises(UsageError, match="--root is for readers"):
            grants.grant(conn, kind, curious, roots=["/mine"])
    # What was refused has left nothing.
    assert conn.execute("SELECT FROM pg_class WHERE relrowsecurity").fetchall() == []


def test_a_table_of_a_later_version_is_closed_until_it_has_a_rule(
    conn: Connection, restricted: Restricted, monkeypatch: pytest.MonkeyPatch
) -> None:
    conn.execute("CREATE TABLE imrec.later AS SELECT root_id, raw_path FROM imrec.root")
    with pytest.raises(pg.InsufficientPrivilege):
        restricted.rows("SELECT * FROM imrec.later")
    monkeypatch.setitem(policies.RULES, "later", policies.RULES["root"])
    grants.renew(conn)  # as each upgrade does
    grants.renew(conn)
    assert restricted.rows("SELECT raw_path FROM imrec.later") == [(b"/mine",)]
    assert_own(restricted.rows("SELECT * FROM imrec.photo"))


def test_a_grant_waits_for_others_but_not_for_long(
    conn: Connection, dsn: str, restricted: Restricted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "_LOCK_FOR_S", 0)
    with psycopg.connect(dsn) as busy:
        busy.execute("SELECT FROM imrec.hash LIMIT 1")
        with pytest.raises(StoreError, match="try again later"):
            grants.revoke(conn, restricted.name)
        assert len(restricted.rows("SELECT FROM imrec.image")) == 41
    grants.revoke(conn, restricted.name)
    with pytest.raises(pg.InsufficientPrivilege):
        restricted.rows("SELECT FROM imrec.image")


def test_the_schema_is_not_taken_back_while_somebody_is_restricted(
    conn: Connection, dsn: str, restricted: Restricted
) -> None:
    with pytest.raises(SchemaError, match="db revoke"):
        migrate.downgrade(settings_for(dsn), "0006")
    grants.revoke(conn, restricted.name)
    restricted.conn.close()
    migrate.downgrade(settings_for(dsn), "0006")


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
