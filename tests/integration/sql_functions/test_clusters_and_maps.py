"""Filters by cluster and by a box on a map, and the functions and the view on them, against plain SQL."""

from typing import Any

import psycopg
import pytest
from integration.sql_functions.answers import NUMBER, cosine, ids, ranked, rows
from numpy.typing import NDArray
from psycopg.types.json import Jsonb
from support import add_analysis

from imrec_pg.db.connection import Connection

# By n = image - 1, which lies at (n / 10, n % 10): see add_analysis().
FILTERS: list[tuple[dict[str, object], str]] = [
    ({"cluster": 1}, "n < 10"),
    ({"cluster": 2}, "n >= 10"),
    ({"cluster": 1, "by_feature": "embedding"}, "n < 10"),
    ({"cluster": 1, "on_map": 2}, "n % 2 = 0"),
    ({"in_box": [1, 2, 3, 5]}, "n // 10 in (1, 2, 3) and n % 10 in (2, 3, 4, 5)"),
    ({"in_box": [1, 2, 3, 5], "by_feature": "embedding"}, "n // 10 in (1, 2, 3) and n % 10 in (2, 3, 4, 5)"),
    ({"in_box": [5, 5, 1, 1]}, "False"),
    ({"in_box": [0, 0, 0, 9], "cluster": 1, "on_map": 2}, "n < 10 and n % 2 == 0"),
    ({"in_box": [0, 0, 4, 9], "cluster": 2, "under": "/photos/a"}, "10 <= n < 50 and n % 2"),
]


uses_analysed = pytest.mark.usefixtures("analysed")


@pytest.fixture
def analysed(conn: Connection, photos: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    add_analysis(conn)
    return photos


@pytest.mark.usefixtures("indexed")
@pytest.mark.parametrize("how", ["exact", "few", "walk"])
@pytest.mark.parametrize("feature", ["embedding", "average_hash"])
def test_a_cluster_or_a_box_filters_whichever_way_is_searched(
    conn: Connection, analysed: dict[str, NDArray[Any]], how: str, feature: str
) -> None:
    if how == "walk":
        conn.execute("SET imrec.few_images = 0")
    x = analysed[feature].astype(float)
    for conditions, condition in FILTERS:
        found = rows(
            conn,
            f"SELECT image_id FROM imrec.similar_to(%s::uuid, {NUMBER}, '{feature}', filter => %s, method => %s)",
            "00000000-0000-0000-0000-000000000007",
            Jsonb(conditions),
            "exact" if how == "exact" else "auto",
        )
        wanted = {n + 1 for n in range(NUMBER) if eval(condition.replace(" = ", " == "), {"n": n})}  # noqa: S307
        assert {*ids(found)} == wanted - {7}, conditions
        if feature == "embedding":
            order = [i for i in ranked(cosine(x, x[6])) if i in wanted - {7}]
            assert ids(found) == order, conditions


def test_the_function_makes_the_filter(conn: Connection) -> None:
    ((made,),) = conn.execute(
        "SELECT imrec.filter(cluster => 3, in_box => '{1,2,3,4.5}', by_feature => 'histogram', on_map => 2)"
    ).fetchall()
    assert made == {"cluster": 3, "in_box": [1, 2, 3, 4.5], "by_feature": "histogram", "on_map": 2}


@uses_analysed
@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        ({"cluster": 3}, "there is no cluster 3 by embedding"),
        ({"cluster": 1, "by_feature": "histogram"}, "there are no clusters by histogram"),
        ({"cluster": 1, "on_map": 3}, "there is no map of 3 dimensions by embedding"),
        ({"in_box": [0, 0, 0, 1, 1, 1]}, "there is no map of 3 dimensions by embedding"),
        ({"in_box": [0, 0, 1, 1], "by_feature": "nonsense"}, "there is no map of 2 dimensions by nonsense"),
        ({"in_box": [0, 0, 1]}, "a box on a map is 4 or 6 numbers, not 3"),
        ({"in_box": [0, 0, 1, 1], "on_map": 3}, "a box on a map"),
        ({"on_map": 2}, "without cluster and in_box"),
        ({"by_feature": "embedding"}, "without cluster and in_box"),
        ({"cluster": "first"}, "invalid input syntax"),
    ],
)
def test_what_is_not_there_is_an_error(conn: Connection, conditions: dict[str, object], said: str) -> None:
    with pytest.raises(psycopg.Error, match=said):
        conn.execute(
            "SELECT FROM imrec.similar_to('00000000-0000-0000-0000-000000000007', filter => %s)",
            (Jsonb(conditions),),
        )


@uses_analysed
def test_a_search_by_histogram_does_not_take_the_clusters_of_embeddings(conn: Connection) -> None:
    question = (
        "SELECT FROM imrec.similar_to('00000000-0000-0000-0000-000000000007', 90, 'histogram', filter => %s)"
    )
    with pytest.raises(psycopg.Error, match="there are no clusters by histogram"):
        conn.execute(question, (Jsonb({"cluster": 1}),))
    found = conn.execute(question, (Jsonb({"cluster": 1, "by_feature": "embedding"}),))
    assert found.rowcount == 9


@uses_analysed
def test_a_fused_search_ranks_all_features_among_the_same_photos(conn: Connection) -> None:
    found = rows(
        conn,
        "SELECT image_id FROM imrec.fuse('00000000-0000-0000-0000-000000000007', 90, filter => %s)",
        Jsonb({"cluster": 1}),
    )
    assert {*ids(found)} == {*range(1, 11)} - {7}


@uses_analysed
def test_clusters_count_what_is_in_them_now(conn: Connection) -> None:
    assert [
        (row["cluster"], row["size"], row["medoid"].int, row["path"])
        for row in rows(conn, "SELECT * FROM imrec.clusters()")
    ] == [(1, 10, 1, "/photos/b/01.jpg"), (2, 80, 11, "/photos/b/11.jpg")]
    assert [row["size"] for row in rows(conn, "SELECT * FROM imrec.clusters(on_map => 2)")] == [45, 45]
    assert rows(conn, "SELECT * FROM imrec.clusters('histogram')") == []
    conn.execute("DELETE FROM imrec.file WHERE path = '/photos/b/01.jpg'")
    conn.execute("DELETE FROM imrec.image WHERE image_id = '00000000-0000-0000-0000-000000000001'")
    first = rows(conn, "SELECT * FROM imrec.clusters()")[0]
    assert (first["size"], first["path"]) == (9, None)


@uses_analysed
def test_the_cluster_of_a_photo(conn: Connection) -> None:
    (row,) = rows(
        conn,
        "SELECT imrec.cluster_of('/photos/b/11.jpg') AS a, imrec.cluster_of('/photos/b/11.jpg', on_map => 2) AS b, "
        "imrec.cluster_of('/photos/b/11.jpg', 'histogram') AS c, "
        "imrec.cluster_of('00000000-0000-0000-0000-000000000002') AS d",
    )
    assert (row["a"], row["b"], row["c"], row["d"]) == (2, 1, None, 1)
    with pytest.raises(psycopg.Error, match="no photo is stored"):
        conn.execute("SELECT imrec.cluster_of('/photos/none.jpg')")


@uses_analysed
def test_coordinates_join_with_photos(conn: Connection) -> None:
    found = rows(
        conn,
        "SELECT p.path, m.x, m.y, m.z, m.cluster, m.map_cluster FROM imrec.photo AS p "
        "JOIN imrec.mapped AS m USING (image_id) WHERE m.feature = 'embedding' AND m.dims = 2 ORDER BY p.image_id",
    )
    assert len(found) == NUMBER
    # n = 34 lies at (3, 4).
    assert tuple(found[34].values()) == ("/photos/b/35.jpg", 3, 4, None, 2, 1)
