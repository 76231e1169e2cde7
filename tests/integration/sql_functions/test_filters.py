"""Filters and among, against what plain SQL lets through."""

from typing import Any

import numpy as np
import pytest
from integration.sql_functions.answers import NUMBER, cosine, ids, ranked, rows
from numpy.typing import NDArray
from psycopg.types.json import Jsonb

from imrec_pg.db.connection import Connection

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
