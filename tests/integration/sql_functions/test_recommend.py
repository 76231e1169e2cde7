"""imrec.recommend: likes and dislikes against NumPy."""

from typing import Any
from uuid import UUID

import numpy as np
import pytest
from integration.sql_functions.answers import NUMBER, cosine, ids, ranked, rows
from numpy.typing import NDArray

from imrec_pg.db.connection import Connection
from imrec_pg.records import Feature


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
