"""Wrong questions are refused with a reason."""

from typing import Any
from uuid import UUID

import psycopg
import pytest
from numpy.typing import NDArray

from imrec_pg.db.connection import Connection


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
        ("imrec.fuse('/photos/b/01.jpg', fusion => 'votes')", "no fusion 'votes'"),
        ("imrec.fuse('/photos/b/01.jpg', fusion => NULL)", "no fusion"),
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
