"""imrec.similar_to and imrec.search: answers against NumPy."""

from typing import Any
from uuid import UUID

import numpy as np
import pytest
from integration.sql_functions.answers import cosine, ids, ranked, rows
from numpy.typing import NDArray

from imrec_pg.db.connection import Connection


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


def test_a_photo_is_named_by_its_path_or_its_id(conn: Connection, photos: dict[str, NDArray[Any]]) -> None:
    del photos
    by_path = rows(conn, "SELECT * FROM imrec.similar_to('/photos/b/03.jpg')")
    assert by_path == rows(conn, "SELECT * FROM imrec.similar_to(%s::uuid)", UUID(int=3))
    assert by_path == rows(conn, "SELECT * FROM imrec.similar_to(%s)", str(UUID(int=3)))
    assert rows(conn, "SELECT * FROM imrec.fuse(%s)", str(UUID(int=3)))
