"""imrec.fuse against rankings by NumPy."""

from typing import Any
from uuid import UUID

import numpy as np
import pytest
from integration.sql_functions.answers import NUMBER, cosine, ids, ranked, rows
from numpy.typing import NDArray
from psycopg.types.json import Jsonb
from support import AddImage, at_angle

from imrec_pg.db.connection import Connection


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
    found = rows(
        conn,
        "SELECT * FROM imrec.fuse('/photos/b/01.jpg', 10, weights => %s, fusion => 'reciprocal_rank')",
        Jsonb(weights),
    )
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
        "'{\"embedding\": 100, \"histogram\": 1}', fusion => 'reciprocal_rank')",
    )
    assert ids(found) == [1001]
    assert found[0]["features"]["embedding"]["rank"] == 1
    assert found[0]["features"]["histogram"]["rank"] is None
    assert found[0]["features"]["histogram"]["distance"] == pytest.approx(256)


def test_fuse_takes_any_k_that_a_search_takes(conn: Connection, photos: dict[str, NDArray[Any]]) -> None:
    del photos
    assert len(rows(conn, "SELECT * FROM imrec.fuse('/photos/b/01.jpg', 1000000)")) == NUMBER - 1
