"""imrec.fuse by evidence, against sums by NumPy."""

from typing import Any
from uuid import UUID

import numpy as np
import pytest
from integration.sql_functions.answers import NUMBER, cosine, ids, ranked, rows
from numpy.typing import NDArray
from psycopg.types.json import Jsonb
from support import AddImage, at_angle

from imrec_pg.db.connection import Connection

# Curves that reach from the nearest to the farthest of random features.
CURVES = {
    "embedding": ("cosine", [0.0, 0.9, 1.1], [60.0, 20.0, -10.0]),
    "histogram": ("manhattan", [0.0, 165.0, 180.0], [50.0, 12.0, -4.0]),
    "average_hash": ("hamming", [0.0, 26.0, 40.0], [40.0, 10.0, -5.0]),
    "difference_hash": ("hamming", [1.0, 25.0, 41.0], [30.0, 9.0, 0.0]),
}
SLOPE = 130


@pytest.fixture
def fitted(conn: Connection) -> None:
    for feature, (metric, distances, evidence) in CURVES.items():
        conn.execute(
            "INSERT INTO imrec.evidence VALUES (%s, %s, %s, %s, 1, 1)", (feature, metric, distances, evidence)
        )


def distances_of(photos: dict[str, NDArray[Any]], number: int) -> dict[str, NDArray[Any]]:
    return {
        "embedding": cosine(photos["embedding"], photos["embedding"][number]),
        "histogram": np.abs(photos["histogram"] - photos["histogram"][number]).sum(axis=1),
        **{
            name: np.count_nonzero(photos[name] != photos[name][number], axis=1)
            for name in ("average_hash", "difference_hash")
        },
    }


@pytest.mark.usefixtures("fitted")
@pytest.mark.parametrize(
    "weights", [None, {"embedding": 2, "histogram": 0.5, "average_hash": 3, "difference_hash": 0}]
)
def test_fused_is_the_sum_of_evidence_less_the_distance_of_the_embedding(
    conn: Connection, photos: dict[str, NDArray[Any]], weights: dict[str, float] | None
) -> None:
    distances = distances_of(photos, 0)
    evidence = {name: np.interp(found, *CURVES[name][1:]) for name, found in distances.items()}
    used = {name: (weights or {}).get(name, 0) if weights else 1 for name in CURVES}
    fused = sum(used[name] * np.maximum(evidence[name] - 3, 0) for name in CURVES)
    fused = fused - used["embedding"] * SLOPE * distances["embedding"]
    found = rows(
        conn, "SELECT * FROM imrec.fuse('/photos/b/01.jpg', 10, weights => %s)", weights and Jsonb(weights)
    )
    assert ids(found) == ranked(-fused, without=[1])[:10]
    for row in found:
        place = row["image_id"].int - 1
        assert row["fused"] == pytest.approx(fused[place], abs=1e-2)
        assert set(row["features"]) == {name for name in CURVES if used[name]}
        for name, said in row["features"].items():
            assert said["distance"] == pytest.approx(distances[name][place], rel=1e-5)
            assert said["evidence"] == pytest.approx(evidence[name][place], abs=1e-2)
            assert said["rank"] == ranked(distances[name], without=[1]).index(place + 1) + 1


def test_where_no_evidence_speaks_the_embedding_decides(
    conn: Connection, photos: dict[str, NDArray[Any]]
) -> None:
    """By the curves shipped, random features speak for nothing."""
    found = rows(conn, "SELECT * FROM imrec.fuse('/photos/b/01.jpg', 10)")
    assert ids(found) == ranked(distances_of(photos, 0)["embedding"], without=[1])[:10]


def test_without_a_curve_a_feature_says_nothing(conn: Connection, photos: dict[str, NDArray[Any]]) -> None:
    conn.execute(
        "CREATE OR REPLACE VIEW imrec_internal.shipped_evidence AS SELECT * FROM ("
        "VALUES ('', '', NULL::double precision[], NULL::double precision[])"
        ") AS v (feature, metric, distances, evidence)"
    )
    found = rows(conn, "SELECT * FROM imrec.fuse('/photos/b/01.jpg', 10)")
    assert ids(found) == ranked(distances_of(photos, 0)["embedding"], without=[1])[:10]
    assert {said["evidence"] for row in found for said in row["features"].values()} == {None}


def test_a_copy_that_one_feature_recognises_comes_before_what_is_alike(
    conn: Connection, add_image: AddImage
) -> None:
    """Its embedding is the farthest of 300, so that the embedding did not rank it."""
    rng = np.random.default_rng(0)
    code = rng.bytes(8)
    add_image("query.jpg", embedding=at_angle(0), difference_hash=code, image_id=UUID(int=1000))
    add_image("copy.jpg", embedding=at_angle(40), difference_hash=code, image_id=UUID(int=1001))
    add_image.many(
        {"name": f"{i}.jpg", "embedding": at_angle(30 + i / 100), "difference_hash": rng.bytes(8)}
        for i in range(300)
    )
    (first,) = rows(conn, "SELECT * FROM imrec.fuse('/photos/query.jpg', 1)")
    assert first["image_id"] == UUID(int=1001)
    assert first["features"]["embedding"]["rank"] is None
    assert first["features"]["difference_hash"]["evidence"] > 50


def test_a_photo_that_lacks_the_embedding_counts_as_the_farthest(
    conn: Connection, add_image: AddImage
) -> None:
    code = b"\x0f" * 8
    add_image("query.jpg", embedding=at_angle(0), average_hash=code)
    add_image("far.jpg", embedding=at_angle(60), average_hash=b"\xf0" * 8, image_id=UUID(int=1001))
    add_image("lacking.jpg", average_hash=b"\xf0" * 8, image_id=UUID(int=1002))
    add_image("copy.jpg", average_hash=code, image_id=UUID(int=1003))
    lacking = [UUID(int=1002), UUID(int=1003)]
    conn.execute("DELETE FROM imrec.embedding WHERE image_id = ANY (%s)", (lacking,))
    found = rows(
        conn, "SELECT * FROM imrec.fuse('/photos/query.jpg', 9, '{\"embedding\": 1, \"average_hash\": 1}')"
    )
    assert ids(found) == [1003, 1001, 1002]
    assert found[1]["fused"] == found[2]["fused"] == pytest.approx(-SLOPE * 0.5)


def test_of_hashes_alone_the_first_decides(conn: Connection, photos: dict[str, NDArray[Any]]) -> None:
    distances = distances_of(photos, 0)["average_hash"]
    found = rows(
        conn,
        "SELECT * FROM imrec.fuse('/photos/b/01.jpg', 5, weights => "
        '\'{"difference_hash": 1, "average_hash": 1}\')',
    )
    # No two random hashes are near enough for evidence.
    assert ids(found) == ranked(distances, without=[1])[:5]


def test_likes_and_dislikes_are_weighed_by_the_distances_of_a_search(
    conn: Connection, photos: dict[str, NDArray[Any]]
) -> None:
    del photos
    for combine in ("mean", "min"):
        question = "ARRAY[%s, %s]::uuid[], ARRAY[%s]::uuid[], 10, {}, combine => %s"
        parameters = (UUID(int=1), UUID(int=2), UUID(int=3), combine)
        found = rows(conn, f"SELECT * FROM imrec.fuse({question.format('NULL')})", *parameters)
        alone = rows(
            conn,
            "SELECT * FROM imrec.recommend(ARRAY[%s, %s]::uuid[], ARRAY[%s]::uuid[], 90, 'embedding', combine => %s)",
            *parameters,
        )
        distance = {row["image_id"]: row["distance"] for row in alone}
        assert len(found) == 10
        for row in found:
            assert row["features"]["embedding"]["distance"] == pytest.approx(distance[row["image_id"]])


def test_infinite_distances_come_last(conn: Connection, add_image: AddImage) -> None:
    """Of a histogram as large as float32 can be; no extraction makes one, but a table may hold it."""
    huge = np.r_[3.4e38, 3.4e38, np.zeros(510)].astype(np.float32)
    small = np.r_[np.ones(2), np.zeros(510)]
    add_image("query.jpg", embedding=at_angle(0), histogram=small)
    add_image("huge.jpg", embedding=at_angle(1), histogram=huge, image_id=UUID(int=1001))
    add_image("other.jpg", embedding=at_angle(2), histogram=small, image_id=UUID(int=1002))
    for fusion in ("evidence", "reciprocal_rank"):
        call = "SELECT * FROM imrec.fuse('/photos/query.jpg', 5, '{\"histogram\": 1}', fusion => %s)"
        other, infinite = rows(conn, call, fusion)
        assert (other["image_id"].int, infinite["image_id"].int) == (1002, 1001)
        assert float(infinite["features"]["histogram"]["distance"]) == np.inf
    first, second = rows(conn, "SELECT * FROM imrec.fuse('/photos/query.jpg')")
    assert (first["image_id"].int, second["image_id"].int) == (1002, 1001)
    assert second["features"]["histogram"]["evidence"] == pytest.approx(-11.1)


def test_any_k_that_a_search_takes(conn: Connection, photos: dict[str, NDArray[Any]]) -> None:
    del photos
    for k in (89, 100, 1_000_000):
        assert len(rows(conn, "SELECT * FROM imrec.fuse('/photos/b/01.jpg', %s)", k)) == NUMBER - 1


def test_weights_scale_and_do_not_change_the_order(conn: Connection, photos: dict[str, NDArray[Any]]) -> None:
    del photos
    orders = [
        ids(rows(conn, "SELECT * FROM imrec.fuse('/photos/b/01.jpg', 20, weights => %s)", Jsonb(weights)))
        for weights in ({"embedding": 1, "histogram": 2}, {"embedding": 10, "histogram": 20})
    ]
    assert orders[0] == orders[1]


def test_curves_shipped_never_rise_and_cover_every_feature(conn: Connection) -> None:
    shipped = rows(conn, "SELECT * FROM imrec_internal.shipped_evidence")
    fused = rows(conn, "SELECT feature, fused_metric FROM imrec.feature")
    assert {(s["feature"], s["metric"]) for s in shipped} == {
        (f["feature"], f["fused_metric"]) for f in fused
    }
    for curve in shipped:
        assert len(curve["distances"]) == len(curve["evidence"]) > 1
        assert np.all(np.diff(curve["distances"]) > 0)
        assert np.all(np.diff(curve["evidence"]) <= 0)
