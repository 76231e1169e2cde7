"""The SQL functions, called as from psql: answers against NumPy, labels, filters, errors, privileges."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import numpy as np
import psycopg
import pytest
from numpy.typing import NDArray
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from support import AddImage, at_angle

from imrec_pg.catalogue.index import build_index
from imrec_pg.db.connection import Connection
from imrec_pg.records import Feature, Metric

NUMBER = 90
Row = Mapping[str, Any]


def rows(conn: Connection, statement: str, *parameters: object) -> Sequence[Row]:
    with conn.cursor(row_factory=dict_row) as cur:
        return cur.execute(statement.encode(), parameters).fetchall()


def ids(found: Sequence[Row]) -> list[int]:
    return [row["image_id"].int for row in found]


@pytest.fixture
def photos(add_image: AddImage) -> dict[str, NDArray[np.generic]]:
    """Store images 1 to 90 with random features; return those as float64 or bits (90, …)."""
    rng = np.random.default_rng(3)
    embedding = rng.normal(size=(NUMBER, 512)).astype(np.float32)
    histogram = rng.random((NUMBER, 512)).astype(np.float32)
    average, difference, perceptual = (rng.integers(0, 256, (NUMBER, 8), dtype=np.uint8) for _ in range(3))
    add_image.many(
        {
            "name": f"{'a' if i % 2 else 'b'}/{i + 1:02}.jpg",
            "embedding": embedding[i],
            "histogram": histogram[i],
            "average_hash": average[i].tobytes(),
            "difference_hash": difference[i].tobytes(),
            "perceptual_hash": perceptual[i].tobytes(),
        }
        for i in range(NUMBER)
    )
    return {
        "embedding": embedding.astype(np.float64),
        "histogram": histogram.astype(np.float64),
        "average_hash": np.unpackbits(average, axis=1),
        "difference_hash": np.unpackbits(difference, axis=1),
        "perceptual_hash": np.unpackbits(perceptual, axis=1),
    }


@pytest.fixture
def indexed(conn: Connection, photos: dict[str, NDArray[np.generic]]) -> None:
    del photos
    build_index(conn, Feature.EMBEDDING, Metric.COSINE)
    conn.execute("SET imrec.min_index_rows = 0")


def cosine(x: NDArray[Any], q: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(1 - (x @ q) / (np.linalg.norm(x, axis=1) * np.linalg.norm(q)))


def ranked(distances: NDArray[Any], without: Sequence[int] = ()) -> list[int]:
    """Image ids, nearest first, ties by id."""
    order = np.lexsort((np.arange(len(distances)), distances.round(9)))
    return [int(i) + 1 for i in order if int(i) + 1 not in without]


def test_similar_to_a_path(conn: Connection, photos: dict[str, NDArray[Any]]) -> None:
    found = rows(conn, "SELECT * FROM imrec.similar_to('/photos/b/01.jpg', k => 7)")
    distances = cosine(photos["embedding"], photos["embedding"][0])
    assert ids(found) == ranked(distances, without=[1])[:7]
    assert [row["rank"] for row in found] == list(range(1, 8))
    assert [row["distance"] for row in found] == pytest.approx(
        [distances[i - 1] for i in ids(found)], abs=1e-6
    )
    assert {row["certainty"] for row in found} == {"exact"}
    assert found[0]["path"].endswith(f"/{ids(found)[0]:02}.jpg")


def test_similar_to_an_image_by_another_feature(conn: Connection, photos: dict[str, NDArray[Any]]) -> None:
    found = rows(conn, "SELECT * FROM imrec.similar_to(%s::uuid, 5, 'difference_hash')", UUID(int=4))
    bits = np.count_nonzero(photos["difference_hash"] != photos["difference_hash"][3], axis=1)
    assert ids(found) == ranked(bits, without=[4])[:5]
    found = rows(conn, "SELECT * FROM imrec.similar_to(%s::uuid, 5, 'histogram', 'manhattan')", UUID(int=4))
    colours = np.abs(photos["histogram"] - photos["histogram"][3]).sum(axis=1)
    assert ids(found) == ranked(colours, without=[4])[:5]


def test_search_by_a_literal_by_a_vector_and_by_bits(
    conn: Connection, photos: dict[str, NDArray[Any]]
) -> None:
    query = photos["embedding"][10] + 0.1
    literal = "[" + ",".join(map(str, query)) + "]"
    expected = ranked(cosine(photos["embedding"], query))[:5]
    assert ids(rows(conn, f"SELECT * FROM imrec.search('{literal}')")) == expected
    assert ids(rows(conn, "SELECT * FROM imrec.search(%s::vector)", literal)) == expected
    digits = "".join(map(str, photos["average_hash"][5]))
    for call in (f"imrec.search('{digits}')", f"imrec.search(B'{digits}')"):
        found = rows(conn, f"SELECT * FROM {call}")
        assert (found[0]["image_id"].int, found[0]["distance"], found[0]["certainty"]) == (6, 0, "exact")
    digits = "".join(map(str, photos["difference_hash"][5]))
    assert ids(rows(conn, f"SELECT * FROM imrec.search('{digits}', feature => 'difference_hash')"))[0] == 6


@pytest.mark.parametrize("feature", [str(feature) for feature in Feature])
def test_recommend_by_the_mean_is_rocchios_formula(
    conn: Connection, photos: dict[str, NDArray[Any]], feature: str
) -> None:
    likes, dislikes = [1, 2, 3], [8, 9]
    x = photos[feature].astype(np.float64)
    liked, disliked = x[[i - 1 for i in likes]], x[[i - 1 for i in dislikes]]
    if feature.endswith("hash"):
        far = [np.abs(x[:, None] - group[None]).sum(axis=2).mean(axis=1) for group in (liked, disliked)]
        expected = far[0] + 0.25 * (far[0] - far[1])
    else:
        expected = cosine(x, liked.mean(0) + 0.25 * (liked.mean(0) - disliked.mean(0)))
    found = rows(
        conn,
        "SELECT * FROM imrec.recommend(%s::uuid[], %s::uuid[], 20, %s)",
        [UUID(int=i) for i in likes],
        [UUID(int=i) for i in dislikes],
        feature,
    )
    assert [row["distance"] for row in found] == pytest.approx(
        [expected[i - 1] for i in ranked(expected, without=likes + dislikes)[:20]], abs=1e-5
    )
    assert not set(ids(found)) & {*likes, *dislikes}


@pytest.mark.parametrize("feature", [str(feature) for feature in Feature])
def test_recommend_by_the_nearest_like_puts_what_is_nearer_to_a_dislike_last(
    conn: Connection, photos: dict[str, NDArray[Any]], feature: str
) -> None:
    likes, dislikes = [1, 2], [8, 9]
    x = photos[feature].astype(np.float64)

    def nearest(group: list[int]) -> NDArray[np.float64]:
        if feature.endswith("hash"):
            return np.asarray(np.min([np.abs(x - x[i - 1]).sum(axis=1) for i in group], axis=0))
        return np.asarray(np.min([cosine(x, x[i - 1]) for i in group], axis=0))

    near, far = nearest(likes), nearest(dislikes)
    order = np.lexsort((np.arange(NUMBER), near.round(9), far.round(9) < near.round(9)))
    expected = [int(i) + 1 for i in order if i + 1 not in likes + dislikes]
    found = rows(
        conn,
        "SELECT * FROM imrec.recommend(%s::uuid[], %s::uuid[], %s, %s, combine => 'min')",
        [UUID(int=i) for i in likes],
        [UUID(int=i) for i in dislikes],
        NUMBER,
        feature,
    )
    assert ids(found) == expected


def test_fuse_is_reciprocal_rank_fusion(conn: Connection, photos: dict[str, NDArray[Any]]) -> None:
    weights = {
        "embedding": 2,
        "histogram": 1,
        "average_hash": 0.5,
        "difference_hash": 0.5,
        "perceptual_hash": 0.25,
    }
    rankings = {
        "embedding": ranked(cosine(photos["embedding"], photos["embedding"][0]), without=[1]),
        "histogram": ranked(np.abs(photos["histogram"] - photos["histogram"][0]).sum(axis=1), without=[1]),
        **{
            name: ranked(np.count_nonzero(photos[name] != photos[name][0], axis=1), without=[1])
            for name in weights
            if name.endswith("hash")
        },
    }
    fused = {
        i: sum(weight / (5 + 1 + rankings[name].index(i)) for name, weight in weights.items())
        for i in range(2, NUMBER + 1)
    }
    expected = sorted(fused, key=lambda i: (-round(fused[i], 12), i))[:10]
    found = rows(conn, "SELECT * FROM imrec.fuse('/photos/b/01.jpg', 10, weights => %s)", Jsonb(weights))
    assert ids(found) == expected
    for row in found:
        assert row["fused"] == pytest.approx(fused[row["image_id"].int])
        said = row["features"]
        for name, ranking in rankings.items():
            assert said[name]["rank"] == ranking.index(row["image_id"].int) + 1
        assert said["difference_hash"]["distance"] == np.count_nonzero(
            photos["difference_hash"][row["image_id"].int - 1] != photos["difference_hash"][0]
        )
        assert row["certainty"] == "exact"


def test_fuse_of_one_feature_is_its_ranking_and_knows_nothing_of_the_others(
    conn: Connection, photos: dict[str, NDArray[Any]]
) -> None:
    found = rows(
        conn,
        'SELECT * FROM imrec.fuse(ARRAY[%s::uuid], weights => \'{"average_hash": 1, "embedding": 0}\')',
        UUID(int=1),
    )
    bits = np.count_nonzero(photos["average_hash"] != photos["average_hash"][0], axis=1)
    assert ids(found) == ranked(bits, without=[1])[:5]
    assert {tuple(row["features"]) for row in found} == {("average_hash",)}


def test_fuse_tells_the_distance_of_what_a_feature_did_not_rank(
    conn: Connection, add_image: AddImage
) -> None:
    """Image 1 is second by embedding, and beyond the first 200 by colours."""
    near = np.ones(512)
    add_image("query.jpg", embedding=at_angle(0), histogram=near, image_id=UUID(int=1000))
    far = np.r_[np.ones(256), np.zeros(256)]
    add_image("far.jpg", embedding=at_angle(1), histogram=far, image_id=UUID(int=1001))
    rng = np.random.default_rng(0)
    add_image.many(
        {"name": f"{i}.jpg", "embedding": at_angle(90), "histogram": near + rng.random(512) / 100}
        for i in range(220)
    )
    found = rows(
        conn,
        "SELECT * FROM imrec.fuse('/photos/query.jpg', 1, weights => "
        '\'{"embedding": 100, "histogram": 1}\')',
    )
    assert ids(found) == [1001]
    assert found[0]["features"]["embedding"]["rank"] == 1
    assert found[0]["features"]["histogram"]["rank"] is None
    assert found[0]["features"]["histogram"]["distance"] == pytest.approx(256)


def test_fuse_takes_any_k_that_a_search_takes(conn: Connection, photos: dict[str, NDArray[Any]]) -> None:
    del photos
    assert len(rows(conn, "SELECT * FROM imrec.fuse('/photos/b/01.jpg', 1000000)")) == NUMBER - 1


def test_a_photo_is_named_by_its_path_or_its_id(conn: Connection, photos: dict[str, NDArray[Any]]) -> None:
    del photos
    by_path = rows(conn, "SELECT * FROM imrec.similar_to('/photos/b/03.jpg')")
    assert by_path == rows(conn, "SELECT * FROM imrec.similar_to(%s::uuid)", UUID(int=3))
    assert by_path == rows(conn, "SELECT * FROM imrec.similar_to(%s)", str(UUID(int=3)))
    assert rows(conn, "SELECT * FROM imrec.fuse(%s)", str(UUID(int=3)))


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


CHUNK_SCANS = (
    "SELECT sum(pg_stat_get_xact_numscans(indexrelid))::int AS n FROM pg_index "
    "WHERE indrelid IN ('imrec.average_hash'::regclass, 'imrec.difference_hash'::regclass) AND NOT indisprimary"
)


def test_every_function_tells_what_it_does(conn: Connection) -> None:
    undescribed = rows(
        conn,
        "SELECT oid::regprocedure::text AS name FROM pg_proc "
        "WHERE pronamespace IN ('imrec'::regnamespace, 'imrec_internal'::regnamespace) "
        "AND obj_description(oid, 'pg_proc') IS NULL",
    )
    assert undescribed == []


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


FILTERS: list[tuple[dict[str, object], str]] = [
    ({"under": "/photos/a"}, "starts_with(path, '/photos/a/')"),
    ({"under": "/photos/a/"}, "starts_with(path, '/photos/a/')"),
    ({"under": "/photos/_"}, "false"),
    ({"under": "/photos/' OR true"}, "false"),
    ({"root": "/photos"}, "true"),
    ({"after": "2020-01-10", "before": "2020-02-01"}, "taken_at >= '2020-01-10' AND taken_at < '2020-02-01'"),
    ({"min_size": 1040}, "size >= 1040"),
    ({"max_size": 1040}, "size <= 1040"),
    ({"min_width": 50, "min_height": 20}, "width >= 50 AND height >= 20"),
    ({"camera": "canon"}, "camera_make = 'Canon'"),
    ({"camera": "N%"}, "false"),
    ({"format": "png"}, "format = 'PNG'"),
    ({"format": "jpg"}, "format IN ('JPEG', 'MPO')"),
    ({"format": "heic"}, "format = 'HEIF'"),
    ({"format": "dng"}, "format = 'DNG'"),
    (
        {"format": "PNG", "under": "/photos/a", "min_size": 1010},
        "format = 'PNG' AND size >= 1010 AND starts_with(path, '/photos/a/')",
    ),
]


@pytest.fixture
def varied(conn: Connection, photos: dict[str, NDArray[np.generic]]) -> None:
    del photos
    conn.execute(
        "UPDATE imrec.image SET size = 1000 + n, width = n, height = 100 - n, "
        "format = ('{PNG,JPEG,JPEG,MPO,PNG,HEIF,DNG}'::text[])[n % 7 + 1], "
        "camera_make = CASE WHEN n % 2 = 0 THEN 'Canon' END, "
        "camera_model = CASE WHEN n % 2 = 0 THEN 'EOS' END, "
        "taken_at = CASE WHEN n % 4 > 0 THEN timestamp '2020-01-01' + n * interval '1 day' END "
        "FROM (SELECT image_id, row_number() OVER (ORDER BY image_id) AS n FROM imrec.image) AS s "
        "WHERE s.image_id = image.image_id"
    )


@pytest.mark.parametrize("how", ["exact", "few", "walk"])
@pytest.mark.parametrize("feature", ["embedding", "average_hash"])
def test_filters(
    conn: Connection,
    varied: None,
    indexed: None,
    photos: dict[str, NDArray[Any]],
    how: str,
    feature: str,
) -> None:
    """Each filter, answered by all three ways, lets through what plain SQL says."""
    del varied, indexed
    if how == "walk":
        conn.execute("SET imrec.few_images = 0")
    x = photos[feature]
    distances = np.abs(x.astype(float) - x[0]).sum(axis=1) if feature == "average_hash" else cosine(x, x[0])
    for condition, truth in FILTERS:
        passing = rows(conn, f"SELECT image_id FROM imrec.photo WHERE {truth}")
        allowed = {row["image_id"].int for row in passing} - {1}
        found = rows(
            conn,
            "SELECT * FROM imrec.similar_to('/photos/b/01.jpg', 6, %s, filter => %s, method => %s)",
            feature,
            Jsonb(condition),
            "exact" if how == "exact" else "auto",
        )
        assert ids(found) == [i for i in ranked(distances) if i in allowed][:6], condition
        by_index = how == "walk" and feature == "embedding" and len(allowed) >= 6
        assert {row["certainty"] for row in found} <= {"approximate" if by_index else "exact"}, condition


def test_filter_makes_what_it_is_told(conn: Connection) -> None:
    made = rows(
        conn,
        "SELECT imrec.filter(under => '/a', after => '2024-01-01', min_size => 5, format => 'PNG') AS f",
    )[0]["f"]
    assert made == {"under": "/a", "after": "2024-01-01T00:00:00", "min_size": 5, "format": "PNG"}


def test_among_takes_any_condition(conn: Connection, indexed: None, photos: dict[str, NDArray[Any]]) -> None:
    del indexed
    call = (
        "SELECT * FROM imrec.similar_to('/photos/b/01.jpg', 4, "
        "among => ARRAY(SELECT image_id FROM imrec.photo WHERE path ~ '5'))"
    )
    allowed = [i for i in range(2, NUMBER + 1) if "5" in f"{i:02}"]
    expected = [i for i in ranked(cosine(photos["embedding"], photos["embedding"][0])) if i in allowed][:4]
    assert ids(rows(conn, call)) == expected
    conn.execute("SET imrec.few_images = 0")
    found = rows(conn, call)
    assert ids(found) == expected
    assert {row["certainty"] for row in found} == {"approximate"}
    assert rows(conn, "SELECT * FROM imrec.similar_to('/photos/b/01.jpg', among => '{}')") == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            "imrec.similar_to('/photos/none.jpg')",
            "no photo is stored under the path or id '/photos/none.jpg'",
        ),
        ("imrec.similar_to(NULL::text)", "the photo to compare with is NULL"),
        (
            "imrec.similar_to((SELECT image_id FROM imrec.file WHERE path = '/typo.jpg'))",
            "A sub-select that finds nothing gives NULL",
        ),
        (
            "imrec.similar_to('00000000-0000-0000-0000-00000000ffff'::uuid)",
            "no photo is stored under the path or id",
        ),
        ("imrec.similar_to('/photos/b/01.jpg', 5, 'smell')", "no feature 'smell'"),
        (
            "imrec.similar_to('/photos/b/01.jpg', 5, 'average_hash', 'cosine')",
            "average_hash has no cosine distance",
        ),
        ("imrec.similar_to('/photos/b/01.jpg', 0)", "from 1 to 1,000,000, not 0"),
        ("imrec.similar_to('/photos/b/01.jpg', NULL)", "from 1 to"),
        ("imrec.similar_to('/photos/b/01.jpg', method => 'fast')", "no method 'fast'"),
        ("imrec.similar_to('/photos/b/01.jpg', filter => '{\"size\": 5}')", "a filter has no size"),
        ("imrec.search('hello')", "'hello' is no feature"),
        ("imrec.search('[1,2,3]')", "different vector dimensions 512 and 3"),
        ("imrec.search(NULL::text)", "NULL is no feature"),
        ("imrec.search('[1]', 5, 'smell')", "no feature 'smell'"),
        (
            "imrec.similar_to('/photos/b/01.jpg', filter => '{\"root\": \"elsewhere\"}')",
            "no root 'elsewhere'",
        ),
        ("imrec.similar_to('/photos/b/01.jpg', filter => '{\"format\": \"docx\"}')", "no format 'docx'"),
        ("imrec.search(B'0101')", "a hash of 4 bits cannot be compared with average_hash"),
        ("imrec.search(B'0101', 5, 'embedding')", "a hash of 4 bits cannot be compared with embedding"),
        ("imrec.search('[1]'::vector, 5, 'average_hash')", "a vector cannot be compared with average_hash"),
        ("imrec.search(array_fill(0, ARRAY[512])::vector)", "zeros has no cosine distance"),
        ("imrec.recommend('{}')", "there is no image to search for"),
        ("imrec.recommend(ARRAY[NULL::uuid])", "no image is stored under the id NULL"),
        (
            "imrec.recommend(ARRAY(SELECT image_id FROM imrec.image), combine => 'luck')",
            "likes cannot be combined by 'luck'",
        ),
        ("imrec.fuse('/photos/b/01.jpg', weights => '{\"smell\": 1}')", "no feature 'smell'"),
        (
            "imrec.fuse('/photos/b/01.jpg', weights => '{\"average_hash\": -1}')",
            "the weight of average_hash is -1",
        ),
        ("imrec.fuse('/photos/b/01.jpg', weights => '{\"average_hash\": 0}')", "at least one feature"),
    ],
)
def test_nonsense_is_refused_with_a_reason(
    conn: Connection, photos: dict[str, NDArray[Any]], call: str, message: str
) -> None:
    del photos
    with pytest.raises(psycopg.Error) as caught:
        conn.execute(f"SELECT * FROM {call}".encode())
    assert message in str(caught.value)


def test_an_image_without_the_feature_is_an_error(conn: Connection, photos: dict[str, NDArray[Any]]) -> None:
    del photos
    conn.execute("DELETE FROM imrec.embedding WHERE image_id = %s", (UUID(int=1),))
    conn.execute("DELETE FROM imrec.average_hash WHERE image_id = %s", (UUID(int=1),))
    for feature in ("embedding", "average_hash"):
        with pytest.raises(psycopg.Error, match="one of the images has no"):
            conn.execute("SELECT * FROM imrec.similar_to(%s::uuid, 5, %s)", (UUID(int=1), feature))


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
