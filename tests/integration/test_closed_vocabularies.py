"""A name that nothing has, and a value that no column holds, is an error, never an empty answer."""

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import numpy as np
import pytest
from support import AddImage, settings_for

from imrec_pg.db.connection import Connection
from imrec_pg.db.rows import value
from imrec_pg.errors import InvalidQueryError, UsageError
from imrec_pg.library import Library
from imrec_pg.settings import Settings

PIXELS = np.zeros((30, 40, 3), dtype=np.uint8)


@pytest.fixture
def library(settings: Settings, add_image: AddImage) -> Iterator[Library]:
    add_image("a.jpg")
    with Library(settings) as opened:
        yield opened


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"colour": "red"}, "a filter has no colour"),
        ({"root": "nowhere"}, "there is no root 'nowhere'. SELECT name FROM imrec.root lists them"),
        ({"format": "docx"}, "there is no format 'docx'. The formats are JPEG"),
        ({"format": ""}, "there is no format ''"),
        ({"format": ["JPEG"]}, "format of a filter cannot be a list"),
        ({"format": b"JPEG"}, "format of a filter cannot be a bytes"),
        ({"root": ["/photos"]}, "root of a filter cannot be a list"),
        ({"camera": ["Canon"]}, "camera of a filter cannot be a list"),
        ({"under": ["/photos"]}, "under of a filter cannot be a list"),
        ({"min_width": "wide"}, "a value of the filter makes no sense: invalid input syntax"),
        ({"min_width": 2**40}, "a value of the filter makes no sense: .* out of range"),
        ({"min_size": 2**70}, "a value of the filter makes no sense: .* out of range"),
        ({"after": "yesteryear"}, "a value of the filter makes no sense: invalid input syntax"),
        ({"camera": "Ca\0non"}, "a value of the filter makes no sense"),
        ({"root": "pho\0tos"}, "a value of the filter makes no sense"),
    ],
)
@pytest.mark.parametrize("how", ["search", "fuse"])
def test_a_filter_of_unknown_names_or_values_is_refused(
    library: Library, how: str, condition: dict[str, Any], message: str
) -> None:
    ask: dict[str, Any] = {"feature": "average_hash"} if how == "search" else {"weights": {"average_hash": 1}}
    with pytest.raises(InvalidQueryError, match=message):
        getattr(library, how)(PIXELS, **ask, **condition)


def test_a_date_will_do_where_a_time_is_asked_for(library: Library, conn: Connection) -> None:
    conn.execute("UPDATE imrec.image SET taken_at = '2024-05-01 10:00'")
    found = [
        len(library.search(PIXELS, feature="average_hash", after=day).neighbours)  # type: ignore[arg-type]
        for day in (date(2024, 5, 1), date(2024, 5, 2), datetime(2024, 5, 1, 10))  # noqa: DTZ001 - as in EXIF
    ]
    assert found == [1, 0, 1]


def test_the_kind_of_a_granted_role_may_be_a_word(library: Library, conn: Connection) -> None:
    conn.execute("DROP ROLE IF EXISTS imrec_test_word")
    conn.execute("CREATE ROLE imrec_test_word")
    try:
        with pytest.raises(InvalidQueryError, match="there is no granted role 'looker': choose from reader"):
            library.grant("looker", "imrec_test_word")
        library.grant("reader", "imrec_test_word")
        rights = "SELECT has_table_privilege('imrec_test_word', 'imrec.image', %s)"
        assert value(conn, bool, rights, ("SELECT",))
        assert not value(conn, bool, rights, ("INSERT",))
        library.revoke("imrec_test_word")
    finally:
        conn.execute("DROP OWNED BY imrec_test_word")
        conn.execute("DROP ROLE imrec_test_word")


def test_a_device_is_checked_before_the_model_is_needed() -> None:
    with pytest.raises(UsageError, match="no device 'abacus': choose from auto, cpu"):
        Library(settings_for("host=/nonexistent"), device="abacus")
