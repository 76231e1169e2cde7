"""The filter by format knows every format that imrec-pg reads."""

import pytest
from support import AddImage, at_angle

from imrec_pg.db.connection import Connection
from imrec_pg.images import formats

STORED = {*formats.PILLOW_FORMATS, *formats.SINGLE_FORMATS.values(), "AVIF", "HEIF", "MPO"}
NAMES = {name: name for name in sorted(STORED)} | {
    "jp2": "JPEG2000",
    "j2k": "JPEG2000",
    "pgm": "PPM",
    "pnm": "PPM",
    "tga": "TGA",
}


@pytest.mark.parametrize("name", NAMES)
def test_photos_of_a_format_are_found_by_its_name(name: str, conn: Connection, add_image: AddImage) -> None:
    query = add_image("query.jpg", embedding=at_angle(0))
    add_image("other.jpg", embedding=at_angle(5))
    wanted = add_image("wanted.jpg", embedding=at_angle(10))
    conn.execute("UPDATE imrec.image SET format = 'none'")
    conn.execute("UPDATE imrec.image SET format = %s WHERE image_id = %s", (NAMES[name], wanted.image_id))
    found = conn.execute(
        "SELECT s.image_id FROM imrec.similar_to(%s::uuid, filter => imrec.filter(format => %s)) AS s",
        (query.image_id, name),
    ).fetchall()
    assert found == [(wanted.image_id,)]
