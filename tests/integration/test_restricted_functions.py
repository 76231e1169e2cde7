"""What functions tell a restricted reader, as the role, on a real server."""

from uuid import UUID

import psycopg
import pytest
from row_security import BITS, SHARED, Restricted, assert_own, name_of, photo
from support import AddImage

from imrec_pg.catalogue.index import build_index
from imrec_pg.db.connection import Connection
from imrec_pg.ingest.find import root_of
from imrec_pg.paths import file_id
from imrec_pg.records import Feature, Metric

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
    "file_state(uuid[])": [
        (
            (
                f"imrec_internal.file_state({OTHER_FILE}, '{{9}}', '{{2}}', '{{}}', '{{}}', false, false) "
                "WHERE state <> 'new'"
            ),
            0,
        ),
    ],
    "lacking_features(uuid[])": [
        (
            (
                f"imrec_internal.lacking_features(ARRAY[{image}::uuid], '{{average_hash}}', '{{1}}', false) "
                f"WHERE lacking {answer}"
            ),
            rows,
        )
        for image, answer, rows in ((OTHER, "IS NOT NULL", 0), (MY, "= '{}'", 1))
    ],
    "image_at(text)": [
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
        (f"imrec.search({Q}, 100, method => 'approximate') WHERE certainty <> 'truncated'", 41),
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
    "nearest(imrec.features[])": [
        (f"imrec_internal.nearest({F}, '{{}}', '{feature}', NULL, {ALL_OF})", 41) for feature in Feature
    ],
    "explain(imrec.features[])": [
        (f"imrec_internal.explain({F}, '{{}}', 'embedding', NULL, {ALL_OF}) AS l WHERE {SEEN}", 1),
    ],
    "search_plan(imrec.features[])": [
        (
            (
                f"imrec_internal.search_plan({F}, '{{}}', 'embedding', NULL, 100, 'mean', "
                f"'{{}}', {among}, 'auto') WHERE cardinality(images) = {rows}"
            ),
            1,
        )
        for among, rows in (("NULL", 41), (f"ARRAY[{OTHER}, {MY}]::uuid[]", 1))
    ],
    "hamming_search(bit)": [(f"imrec.hamming_search(B'{BITS}', 100)", 41)],
    "hamming_within(bit)": [
        (f"imrec.hamming_within(B'{BITS}', 64)", 41),
        (f"imrec.hamming_within(B'{BITS}', 2)", 1),  # the shared one
    ],
    "hamming_scan(bit)": [(f"imrec_internal.hamming_scan(B'{BITS}', 'average_hash', 100)", 41)],
    "hamming_near(bit)": [(f"imrec_internal.hamming_near(B'{BITS}', 'average_hash', '{{3,7,11}}', 100)", 1)],
    "hamming_probe(bit)": [
        (f"imrec_internal.hamming_probe(B'{BITS}', 'average_hash', 64, {chunk}, 3, 1000) WHERE hits <= 41", 1)
        for chunk in range(4)
    ],
    "create_stage()": [("imrec_internal.create_stage()", 1)],  # empty, and the session's own
    "live_workers()": [("imrec_internal.live_workers()", 0)],
    "claimed_by_others(uuid)": [
        (
            (
                f"imrec_internal.claimed_by_others({MY}, ARRAY(SELECT root_id FROM imrec.root), NULL) "
                "WHERE files = 0"
            ),
            1,
        )
    ],
    "renew(uuid)": [(f"imrec_internal.renew({MY}, 'host', 1, '1 min', false)", "permission denied")],
    "claim(uuid)": [
        (f"imrec_internal.claim({MY}, ARRAY[{MY}::uuid], ARRAY[{MY}::uuid])", "permission denied")
    ],
    "forget(uuid[])": [(f"imrec_internal.forget({OTHER_FILE}, ARRAY[{OTHER}::uuid])", "permission denied")],
    "forget_files(uuid)": [
        (f"imrec_internal.forget_files('{root_of(b'/mine').root_id}', {MY}, 10)", "permission denied")
    ],
    "merge_stage()": [("imrec_internal.merge_stage()", "permission denied")],
    "clusters(text)": [("imrec.clusters()", 0), ("imrec.clusters('embedding', 3)", 0)],
    "cluster_of(text)": [
        (f"imrec.cluster_of({OTHER_PATH})", "no photo is stored"),
        (f"imrec.cluster_of({MY_PATH}) AS c WHERE c IS NOT NULL", 0),
    ],
    "mapped_filter(jsonb)": [
        ("imrec_internal.mapped_filter('{\"cluster\": 1}', 'embedding')", "there are no clusters"),
        ("imrec_internal.mapped_filter('{\"in_box\": [0, 0, 9, 9]}', 'embedding')", "there is no map"),
    ],
    "prune(interval)": [
        # One of its own files is missing, and its image is nowhere else.
        ("imrec.prune(dry_run => true) WHERE files = 1 AND images = 1", 1),
        ("imrec.prune()", "permission denied"),
    ],
}
READ_NOTHING = {"filter(text)", "hash_chunk(bit)", "hash_distance(bit)", "worker_lock(uuid)"}


def test_every_function_is_held_against_row_security(conn: Connection) -> None:
    functions = conn.execute(
        "SELECT proname || '(' || coalesce(proargtypes[0]::regtype::text, '') || ')' FROM pg_proc "
        "WHERE pronamespace IN ('imrec'::regnamespace, 'imrec_internal'::regnamespace)"
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
    for function, calls in CALLS.items():
        if how == "walk" and function.startswith(("search_plan", "explain")):
            continue  # other plans, of other rows
        for call, expected in calls:
            if isinstance(expected, str):
                with pytest.raises(psycopg.Error, match=expected):
                    restricted.rows(f"SELECT * FROM {call}")
                continue
            rows = restricted.rows(f"SELECT * FROM {call}")
            assert len(rows) == expected, call
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
    rows = restricted.rows(f"SELECT image_id, certainty FROM imrec.search({Q}, 10)")
    # Mine lie at 60.5 degrees and on, the shared one at 45.
    assert rows == [(UUID(int=i), "exact") for i in (SHARED, *range(1, 10))]
    alone = restricted.rows(f"SELECT image_id, certainty FROM imrec.search({Q}, 10, method => 'approximate')")
    assert len(alone) < 10
    assert {certainty for _, certainty in alone} <= {"truncated"}
    restricted.conn.execute("SET hnsw.max_scan_tuples = 20000")
    # By how the graph came about, it may lead to them or not.
    rows = restricted.rows(f"SELECT image_id, certainty FROM imrec.search({Q}, 10)")
    assert len(rows) == 10
    assert_own(rows)
    assert {certainty for _, certainty in rows} <= {"approximate", "exact"}
