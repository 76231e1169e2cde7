"""Which answers come from an index, and what they say of it."""

from uuid import UUID

import numpy as np
from integration.sql_functions.answers import NUMBER, rows
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from support import AddImage

from imrec_pg.catalogue.index import build_index
from imrec_pg.db.connection import Connection
from imrec_pg.records import Feature, Metric

CHUNK_SCANS = (
    "SELECT sum(pg_stat_get_xact_numscans(indexrelid))::int AS n FROM pg_index "
    "WHERE indrelid IN ('imrec.average_hash'::regclass, 'imrec.difference_hash'::regclass) AND NOT indisprimary"
)


def test_the_index_answers_and_says_so(conn: Connection, indexed: None) -> None:
    del indexed
    with conn.transaction():
        scans = "SELECT pg_stat_get_xact_numscans('imrec.embedding_cosine_hnsw'::regclass)::int AS n"
        calls = [
            "imrec.similar_to('/photos/b/01.jpg')",
            "imrec.search((SELECT embedding FROM imrec.embedding LIMIT 1))",
            "imrec.recommend(ARRAY[%(a)s::uuid, %(b)s::uuid], ARRAY[%(c)s::uuid])",
            "imrec.recommend(ARRAY[%(a)s::uuid, %(b)s::uuid], ARRAY[%(c)s::uuid], combine => 'min')",
            "imrec.fuse('/photos/b/01.jpg', weights => '{\"embedding\": 1}')",
        ]
        for call in calls:
            before = rows(conn, scans)[0]["n"]
            with conn.cursor(row_factory=dict_row) as cur:
                keys = {"a": UUID(int=1), "b": UUID(int=2), "c": UUID(int=3)}
                found = cur.execute(f"SELECT * FROM {call}".encode(), keys).fetchall()
            assert rows(conn, scans)[0]["n"] > before, call
            # All are ranked to be fused, and then nothing can be missing.
            assert {row["certainty"] for row in found} == {"exact" if "fuse" in call else "approximate"}
            assert len(found) == 5


def test_hashes_are_found_by_the_indexes_on_their_chunks(conn: Connection, add_image: AddImage) -> None:
    # So many that a scan costs more than the indexes: 120 rows a page, 20,000 rows at least.
    rng = np.random.default_rng(2)
    add_image("query.jpg", average_hash=bytes(8), difference_hash=bytes(8), image_id=UUID(int=1))
    conn.execute(
        "INSERT INTO imrec.image (image_id, size, width, height, format) "
        "SELECT md5(n::text)::uuid, 1, 1, 1, 'JPEG' "
        "FROM generate_series(1, 40000) AS n"
    )
    codes = rng.integers(0, 2**63, 40_000, dtype=np.int64).tolist()
    for table in ("average_hash", "difference_hash"):
        conn.execute(
            f"INSERT INTO imrec.{table} SELECT md5(n::text)::uuid, c::bit(64) "
            "FROM unnest(%s::bigint[]) WITH ORDINALITY AS t (c, n)",
            (codes,),
        )
        conn.execute(f"VACUUM ANALYZE imrec.{table}")
    near = "B'" + 62 * "0" + "11'"
    with conn.transaction():
        for call in (
            f"imrec.search({near}, 1)",
            f"imrec.search({near}, 1, 'difference_hash')",
            f"imrec.hamming_search({near}, 1)",
            f"imrec.hamming_within({near}, 5)",
        ):
            before = rows(conn, CHUNK_SCANS)[0]["n"]
            (found,) = rows(conn, f"SELECT image_id, distance FROM {call}")
            assert (found["image_id"].int, found["distance"]) == (1, 2)
            assert rows(conn, CHUNK_SCANS)[0]["n"] > before, call


def test_explain_shows_the_index(conn: Connection, indexed: None) -> None:
    del indexed
    query = "[" + ",".join(["1"] * 512) + "]"
    call = (
        "SELECT imrec_internal.explain(ARRAY[ROW(%s::vector, NULL, NULL, NULL, NULL)::imrec.features], '{}', "
        "'embedding', 'cosine', 5, 'mean', '{}', %s, NULL, %s) AS line"
    )
    for condition in ({}, {"format": "JPEG", "under": "/photos"}):
        conn.execute("SET imrec.few_images = 0")
        plan = "\n".join(row["line"] for row in rows(conn, call, query, Jsonb(condition), "auto"))
        assert "Index Scan using embedding_cosine_hnsw" in plan
    plan = "\n".join(row["line"] for row in rows(conn, call, query, Jsonb({}), "exact"))
    assert "hnsw" not in plan


def test_an_index_alone_says_that_it_was_truncated(conn: Connection, add_image: AddImage) -> None:
    rng = np.random.default_rng(1)
    add_image.many({"name": f"{i}.jpg", "embedding": rng.normal(size=512)} for i in range(600))
    build_index(conn, Feature.EMBEDDING, Metric.COSINE)
    for setting in ("imrec.min_index_rows = 0", "hnsw.max_scan_tuples = 1", "imrec.ef_search = 1"):
        conn.execute(f"SET {setting}".encode())
    call = "SELECT * FROM imrec.similar_to('/photos/0.jpg', k => 400, method => %s)"
    truncated = rows(conn, call, "approximate")
    assert 0 < len(truncated) < 400
    assert {row["certainty"] for row in truncated} == {"truncated"}
    full = rows(conn, call, "auto")
    assert len(full) == 400
    assert {row["certainty"] for row in full} == {"exact"}


def test_an_index_that_finds_all_there_are_is_exact(conn: Connection, indexed: None) -> None:
    del indexed
    found = rows(
        conn, "SELECT * FROM imrec.similar_to('/photos/b/01.jpg', k => 200, method => 'approximate')"
    )
    assert len(found) == NUMBER - 1
    assert {row["certainty"] for row in found} == {"exact"}


def test_what_does_not_find_itself_is_compared_with_all(conn: Connection, add_image: AddImage) -> None:
    rng = np.random.default_rng(8)
    stored = add_image.many({"name": f"{n}.jpg", "embedding": rng.random(512)} for n in range(400))
    build_index(conn, Feature.EMBEDDING, Metric.COSINE)
    conn.execute(
        "SELECT set_config('imrec.min_index_rows', '0', false), set_config('imrec.ef_search', '1', false)"
    )
    by_walk = "imrec.recommend(imrec_internal.stored_features(ARRAY[%(i)s::uuid]), '{}', 1, method => 'approximate')"
    lost = 0
    for image in stored:
        asked = {"i": image.image_id}
        walk = conn.execute(f"SELECT image_id FROM {by_walk}".encode(), asked).fetchall()
        answers = conn.execute(
            b"SELECT certainty, image_id FROM imrec.similar_to(%(i)s::uuid, 2)", asked
        ).fetchall()
        assert image.image_id not in [found for _, found in answers]
        assert len(answers) == 2
        found_itself = walk == [(image.image_id,)]
        lost += not found_itself
        assert {certainty for certainty, _ in answers} == {"approximate" if found_itself else "exact"}
    assert 0 < lost < len(stored)
