"""What functions tell a restricted reader, as the role, on a real server."""

from collections.abc import Callable
from uuid import UUID

import psycopg
import pytest
from psycopg import errors as pg
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier
from restricted_readers import BITS, SHARED, Restricted, assert_own, count, make_roots, name_of, photo
from support import AddImage

from imrec_pg.access import grants
from imrec_pg.catalogue.index import build_index
from imrec_pg.db.connection import Connection
from imrec_pg.ingest.find import root_of
from imrec_pg.paths import file_id
from imrec_pg.records import Feature, GrantedRole, Metric

Q = "array_cat(ARRAY[1, 0], array_fill(0, ARRAY[510]))::vector"
"""Where image 101 nearly is."""
F = f"ARRAY[ROW({Q}, {Q}, B'{BITS}', B'{BITS}', B'{BITS}')::imrec.features]"
OTHER_FILE = f"ARRAY['{file_id(root_of(b'/theirs').root_id, name_of(102))}'::uuid]"
OTHER, OTHER_PATH = f"'{UUID(int=101)}'", "'/theirs/101.jpg'"
MY, MY_PATH = f"'{UUID(int=1)}'", "'/mine/001.jpg'"
SEEN = "l ~ '^Limit.*rows=41'"
ALL_OF = "100, 'mean', '{}', '{}', NULL, 'auto'"
# What each function that reads tables gives: its call, and how many rows, or what it is refused with. All is
# asked for and the nearest are of the other root, so that one too many would be one of those.
CALLS: dict[str, list[tuple[str, int | str]]] = {
    **{
        f"visible_{name}(name)": [(f"imrec_internal.visible_{name}(current_user{more})", rows)]
        for name, more, rows in (
            ("photos", "", 41),
            ("failures", "", 1),
            ("roots", "", 1),
            ("counts", ", '{embedding}', '{1}'", 1),
            ("details", f", ARRAY[{OTHER}, {MY}]::uuid[]", 1),
            ("features", f", ARRAY[{OTHER}, {MY}]::uuid[]", 1),
            ("hashes", f", B'{BITS}', 'average_hash', 64", 41),
            ("image_at", f", {MY_PATH}", 1),
            ("pairs", "", 2),
            ("duplicates", ", NULL", 2),
            ("recommend", f", {F}, '{{}}', 100, 'embedding', NULL, 'mean', '{{}}', '{{}}', NULL, 'auto'", 41),
            ("fuse", f", {F}, '{{}}', 100, NULL, 'mean', '{{}}', '{{}}', NULL, 'auto', 'evidence'", 41),
        )
    },
    "features_of(uuid[])": [(f"imrec_internal.features_of(ARRAY[{OTHER}, {MY}]::uuid[])", 1)],
    "image_at(text)": [
        (f"imrec_internal.image_at({OTHER})", "no photo is stored"),
        (f"imrec_internal.image_at({MY})", 1),
        (f"imrec_internal.image_at({OTHER_PATH})", "no photo is stored"),
        ("imrec_internal.image_at('/theirs/500.jpg')", "no photo is stored"),
        (f"imrec_internal.image_at({MY_PATH})", 1),
    ],
    "stored_features(uuid[])": [
        (f"imrec_internal.stored_features(ARRAY[{OTHER}::uuid])", "no image is stored"),
        (f"imrec_internal.stored_features(ARRAY[{MY}::uuid])", 1),
    ],
    "similar_to(text)": [
        (f"imrec.similar_to({OTHER_PATH})", "no photo is stored"),
        (f"imrec.similar_to({MY_PATH}, 100)", 40),
        (f"imrec.similar_to({MY_PATH}, 100, 'difference_hash')", 40),
        (f'imrec.similar_to({MY_PATH}, 100, filter => \'{{"root": "/theirs"}}\')', "there is no root"),
        (f'imrec.similar_to({MY_PATH}, 100, filter => \'{{"under": "/theirs"}}\')', 0),
        (f"imrec.similar_to({MY_PATH}, 100, filter => '{{\"cluster\": 1}}')", "no clusters and no maps"),
        (
            f"imrec.similar_to({MY_PATH}, 100, filter => '{{\"in_box\": [0, 0, 1, 1]}}')",
            "no clusters and no maps",
        ),
        (f"imrec.similar_to({MY_PATH}, 100, filter => '{{\"min_width\": 1}}')", 40),
    ],
    "similar_to(uuid)": [
        (f"imrec.similar_to({OTHER}::uuid)", "no photo is stored"),
        (f"imrec.similar_to({MY}::uuid, 100, among => ARRAY[{OTHER}, '{UUID(int=2)}']::uuid[])", 1),
    ],
    "search(vector)": [
        (f"imrec.search({Q}, 100)", 41),
        (f"imrec.search({Q}, 100, 'histogram', 'manhattan')", 41),
        (f"imrec.search({Q}, 100, method => 'exact')", 41),
        (f"imrec.search({Q}, 100, method => 'approximate') WHERE certainty = 'exact'", 41),
        (f"imrec.search({Q}, 100, among => ARRAY[{OTHER}]::uuid[])", 0),
    ],
    "search(bit)": [
        (f"imrec.search(B'{BITS}', 100)", 41),
        (f"imrec.search(B'{BITS}', 100, filter => '{{\"min_width\": 1}}')", 41),
    ],
    "search(text)": [(f"imrec.search('{BITS}', 100, 'difference_hash')", 41)],
    "recommend(uuid[])": [
        (f"imrec.recommend(ARRAY[{OTHER}::uuid])", "no image is stored"),
        (f"imrec.recommend(ARRAY[{MY}::uuid], ARRAY[{OTHER}::uuid])", "no image is stored"),
        (f"imrec.recommend(ARRAY[{MY}::uuid], ARRAY['{UUID(int=2)}'::uuid], 100)", 39),
        (f"imrec.recommend(ARRAY[{MY}::uuid], '{{}}', 100, combine => 'min')", 40),
    ],
    "recommend(imrec.features[])": [(f"imrec.recommend({F}, '{{}}', 100)", 41)],
    "fuse(text)": [
        (f"imrec.fuse({OTHER_PATH})", "no photo is stored"),
        (f"imrec.fuse({MY_PATH}, 100)", 40),
    ],
    "fuse(uuid[])": [
        (f"imrec.fuse(ARRAY[{OTHER}::uuid])", "no image is stored"),
        (f"imrec.fuse(ARRAY[{MY}::uuid], ARRAY[{OTHER}::uuid])", "no image is stored"),
    ],
    "fuse(imrec.features[])": [(f"imrec.fuse({F}, '{{}}', 100)", 41)],
    "hamming_search(bit)": [(f"imrec.hamming_search(B'{BITS}', 100)", 41)],
    "hamming_within(bit)": [
        (f"imrec.hamming_within(B'{BITS}', 64)", 41),
        (f"imrec.hamming_within(B'{BITS}', 2)", 1),  # the shared one
    ],
    "duplicates(text)": [("imrec.duplicates()", 2), ("imrec.duplicates('exact')", 0)],
    "duplicates_of(text)": [
        (f"imrec.duplicates_of({MY_PATH})", 1),
        (f"imrec.duplicates_of({OTHER_PATH})", "no photo is stored"),
    ],
    "merge_stage()": [("imrec_internal.merge_stage()", "stage_claim")],  # which it may not make
}
# What reads tables with the rights of the caller; it has none.
CLOSED = {
    "reader_roots(name)": "(current_user)",
    "visible_files(uuid[])": f"(ARRAY['{root_of(b'/theirs').root_id}'::uuid], ARRAY[{OTHER}::uuid])",
    "file_state(uuid[])": f"({OTHER_FILE}, '{{9}}', '{{2}}', '{{}}', '{{}}', false, false)",
    "lacking_features(uuid[])": f"(ARRAY[{OTHER}::uuid], '{{average_hash}}', '{{1}}', false)",
    "nearest(imrec.features[])": f"({F}, '{{}}', 'embedding', NULL, {ALL_OF})",
    "fused(imrec.features[])": f"({F}, '{{}}', 9, NULL, 'mean', '{{}}', '{{}}', NULL, 'auto', NULL, 'evidence')",
    "fused_weight(jsonb)": "(NULL, 'evidence', false)",
    "explain(imrec.features[])": f"({F}, '{{}}', 'embedding', NULL, {ALL_OF})",
    "search_plan(imrec.features[])": (
        f"({F}, '{{}}', 'embedding', NULL, 9, 'mean', '{{}}', ARRAY[{OTHER}::uuid], 'auto', ARRAY[{OTHER}::uuid])"
    ),
    "reduce(text)": "('embedding', array_fill(1, ARRAY[512])::real[]::vector)",
    "known_reduction(text)": "('embedding', 'cosine', 10)",
    "reduce_images(uuid[])": f"(ARRAY[{OTHER}::uuid])",
    "refined(text)": (
        "('embedding', 'cosine', 1, ARRAY[array_fill(1, ARRAY[512])::real[]::vector], "
        "'{}', '{}', '{}', NULL, '', '', 1)"
    ),
    "hamming_scan(bit)": f"(B'{BITS}', 'average_hash', 100)",
    "hamming_probe(bit)": f"(B'{BITS}', 'average_hash', 64, 1, 3, 1000)",
    "live_workers()": "()",
    "claimed_by_others(uuid)": f"({MY}, ARRAY[{MY}::uuid], NULL)",
    "renew(uuid)": f"({MY}, 'host', 1, '1 min', false)",
    "claim(uuid)": f"({MY}, ARRAY[{MY}::uuid], ARRAY[{MY}::uuid])",
    "forget(uuid[])": f"({OTHER_FILE}, ARRAY[{OTHER}::uuid])",
    "forget_files(uuid)": f"('{root_of(b'/mine').root_id}', {MY}, 10)",
    "create_stage()": "()",
    "prune(interval)": "(dry_run => true)",
    "clusters(text)": "('embedding')",
    "cluster_of(text)": f"({MY_PATH})",
    "set_verdict(text)": f"({OTHER}::text, {MY}::text, 'same')",
    "add_duplicates(uuid[])": f"(ARRAY[{MY}::uuid])",
    "duplicate_edges(text)": f"('copy', ARRAY[{MY}::uuid])",
    "group_duplicates(uuid[])": f"(ARRAY[{MY}::uuid])",
    "stage_duplicates()": "()",
    "regroup_duplicates()": "()",
    "keeper_order(uuid[])": f"(ARRAY[{OTHER}::uuid])",
    "mapped_filter(jsonb)": "('{\"cluster\": 1}', 'embedding')",
}
# hamming_near reads nothing of so small a table: a scan, by others, is cheaper.
DEFINERS_CALLS = [
    calls[0][0].removeprefix("imrec_internal.")
    for name, calls in CALLS.items()
    if name.startswith("visible_")
]
READ_NOTHING = {
    "hamming_near(bit)",
    "filter(text)",
    "evidence_at(double precision)",
    "hash_chunk(bit)",
    "hash_distance(bit)",
    "detailed(bit)",
    "is_raw(text)",
    # They read what others of these functions have put into temporary tables first.
    *("embedding_candidates(uuid[])", "judge_duplicates(text)", "store_duplicate_groups(text)"),
    *("near_candidates(text)", "near_codes(text)", "place_keepers()", "replace_duplicates(text)"),
    "store_duplicates()",
    *("hash_masks(integer)", "hashes_agree(bigint)", "keeper_key(boolean)", "keepers_of(integer[])"),
    "limit_of(text)",
    *("lower_bound(text)", "reduction_bound(text)", "block_bounds(text)"),
    "worker_lock(uuid)",
}


def test_every_function_is_tried_as_a_restricted_reader(conn: Connection) -> None:
    functions = conn.execute(
        "SELECT proname || '(' || coalesce(proargtypes[0]::regtype::text, '') || ')' FROM pg_proc "
        "WHERE pronamespace IN ('imrec'::regnamespace, 'imrec_internal'::regnamespace)"
    ).fetchall()
    assert {str(row[0]) for row in functions} == CALLS.keys() | CLOSED.keys() | READ_NOTHING


def test_each_function_answers_from_own_photos_alone(conn: Connection, restricted: Restricted) -> None:
    build_index(conn, Feature.EMBEDDING, Metric.COSINE)
    restricted.conn.execute("SET imrec.min_index_rows = 0")
    for calls in CALLS.values():
        for call, expected in calls:
            if isinstance(expected, str):
                with pytest.raises(psycopg.Error, match=expected):
                    restricted.rows(f"SELECT * FROM {call}")
                continue
            rows = restricted.rows(f"SELECT * FROM {call}")
            assert len(rows) == expected, call
            assert_own(rows)


@pytest.mark.parametrize("function", CLOSED)
def test_what_reads_tables_as_the_caller_is_refused(restricted: Restricted, function: str) -> None:
    name = function.partition("(")[0]
    public = ("prune", "clusters", "cluster_of", "set_verdict")
    schema = "imrec" if name in public else "imrec_internal"
    with pytest.raises(pg.InsufficientPrivilege):
        restricted.rows(f"SELECT * FROM {schema}.{name}{CLOSED[function]}")


def test_to_ask_as_another_gives_nothing(
    conn: Connection, dsn: str, restricted: Restricted, new_role: Callable[[], str]
) -> None:
    """Nor does it where the other is a role that one is a member of, but may not become."""
    reader, both, member = new_role(), new_role(), new_role()
    grants.grant(conn, GrantedRole.READER, reader, create=True)
    grants.grant(conn, GrantedRole.READER, both, create=True, roots=["/mine", "/theirs"])
    conn.execute(
        SQL("CREATE ROLE {} LOGIN IN ROLE {}").format(Identifier(member), Identifier(restricted.name))
    )
    for other in (reader, both, member, str(conn.info.user), "pg_read_all_data"):
        with pytest.raises(pg.InsufficientPrivilege, match="may not ask as"):
            restricted.rows("SELECT FROM imrec_internal.visible_photos(%s)", other)
    # A role without any privilege; one that has them by membership; and one that acts as another.
    assert count(dsn, member) == 41
    conn.execute(SQL("GRANT {} TO {}").format(Identifier(both), Identifier(restricted.name)))
    assert restricted.images() == 101
    conn.execute(
        SQL("GRANT {} TO {} WITH INHERIT FALSE").format(Identifier(both), Identifier(restricted.name))
    )
    assert restricted.images() == 41
    restricted.conn.execute(SQL("SET ROLE {}").format(Identifier(both)))
    assert restricted.images() == 101
    restricted.conn.execute("RESET ROLE")
    stranger = new_role()
    conn.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(stranger)))
    with psycopg.connect(make_conninfo(dsn, user=stranger), autocommit=True) as own:
        for function in DEFINERS_CALLS:
            with pytest.raises(pg.InsufficientPrivilege):
                own.execute(f"SELECT * FROM imrec_internal.{function}".encode())


def test_functions_of_its_own_that_others_call_are_refused(
    conn: Connection, dsn: str, restricted: Restricted, new_role: Callable[[], str]
) -> None:
    """Who asks in there is the reader, but the session is another's, whose rights are not known to be less."""
    conn.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
    restricted.conn.execute(
        "CREATE FUNCTION public.lend() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS "
        "'SELECT count(*) FROM imrec.visible_photo'"
    )
    assert restricted.rows("SELECT public.lend()") == [(41,)]
    stranger = new_role()
    conn.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(stranger)))
    with (
        psycopg.connect(make_conninfo(dsn, user=stranger), autocommit=True) as own,
        pytest.raises(pg.InsufficientPrivilege, match="may not ask as"),
    ):
        own.execute("SELECT public.lend()")


def test_a_search_is_never_short_of_own_photos(conn: Connection, restricted: Restricted) -> None:
    """The 600 nearest are all of the other root, and an index alone would end among them."""
    AddImage(conn, b"/theirs").many(photo(i, (i - 1000) / 1000) for i in range(1000, 1600))
    build_index(conn, Feature.EMBEDDING, Metric.COSINE)
    for setting in ("imrec.min_index_rows = 0", "imrec.few_images = 0", "hnsw.max_scan_tuples = 100"):
        restricted.conn.execute(f"SET {setting}".encode())
    for method in ("auto", "exact", "approximate"):
        rows = restricted.rows(f"SELECT image_id, certainty FROM imrec.search({Q}, 10, method => %s)", method)
        # Mine lie at 60.5 degrees and on, the shared one at 45.
        assert rows == [(UUID(int=i), "exact") for i in (SHARED, *range(1, 10))]


def test_a_file_is_shown_as_to_others(conn: Connection) -> None:
    """By which file an image is shown stands in two places: with a limit to some roots, and without."""
    make_roots(conn)
    root = root_of(b"/mine").root_id
    for number, image in ((1, 1), (2, 1), (3, 2), (4, 2)):
        conn.execute(
            "INSERT INTO imrec.file (image_id, file_id, root_id, relative_path, path, size, mtime_ns) "
            "VALUES (%s, %s, %s, %s, %s, 1, 1)",
            (
                UUID(int=image),
                file_id(root, b"x%d" % number),
                root,
                b"x%d" % number,
                f"/mine/{'ab'[number % 2]}{number}",
            ),
        )
    conn.execute("INSERT INTO imrec.missing (file_id) VALUES (%s)", (file_id(root, b"x1"),))
    ids = [UUID(int=number) for number in range(1, 6)]
    statement = "SELECT image_id, copies, file_id, path FROM {} WHERE image_id = ANY (%s) ORDER BY 1"
    shown = conn.execute(SQL(statement).format(SQL("imrec_internal.image_file")), (ids,)).fetchall()
    assert [row[1] for row in shown] == [3, 3, 1, 1, 1]
    visible = "SELECT * FROM imrec_internal.visible_files(ARRAY[%s], %s) ORDER BY 1"
    assert conn.execute(visible, (root, ids)).fetchall() == shown
