"""JPEGs whose end is missing: failures, unless the user accepts them."""

from pathlib import Path

import numpy as np
import pytest
from support_images import noise, saved

from imrec_pg.backup.parquet import export_library, import_library
from imrec_pg.db.connection import Connection
from imrec_pg.library import Library
from imrec_pg.settings import Settings

NAMES = ["average_hash", "difference_hash"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    data = saved(noise(200, 100), "JPEG")
    (folder / "whole.jpg").write_bytes(data)
    (folder / "half.jpg").write_bytes(data[: len(data) // 2])
    (folder / "head.jpg").write_bytes(data[:30])
    (folder / "half.png").write_bytes(saved(noise(200, 100), "PNG")[:9000])
    return folder


def marks(conn: Connection) -> list[tuple[object, ...]]:
    return conn.execute(
        "SELECT convert_from(f.relative_path, 'UTF8'), i.truncated, i.width, i.height "
        "FROM imrec.file AS f INNER JOIN imrec.image AS i USING (image_id) ORDER BY 1"
    ).fetchall()


WHOLE = ("whole.jpg", False, 200, 100)
HALF = ("half.jpg", True, 200, 100)


def test_a_truncated_jpeg_is_a_failure_until_it_is_accepted(
    photos: Path, settings: Settings, conn: Connection
) -> None:
    with Library(settings) as library:
        assert library.ingest(photos, features=NAMES).tally.failed == 3
        assert marks(conn) == [WHOLE]
        # What failed is not tried again unless one says so.
        assert library.ingest(photos, features=NAMES, accept_truncated=True).tally.new == 0
        assert library.ingest(photos, features=NAMES, accept_truncated=True, retry=True).tally.new == 1
        assert marks(conn) == [HALF, WHOLE]
        assert {failure.path.rpartition("/")[2] for failure in library.failures()} == {"half.png", "head.jpg"}


def test_what_was_accepted_gets_further_features_without_being_accepted_again(
    photos: Path, settings: Settings, conn: Connection
) -> None:
    with Library(settings) as library:
        library.ingest(photos, features=NAMES, accept_truncated=True)
        assert library.ingest(photos, features=["histogram"]).tally.completed == 2
    assert marks(conn) == [HALF, WHOLE]
    assert conn.execute("SELECT count(*) FROM imrec.histogram").fetchone() == (2,)


def test_what_is_there_of_a_truncated_jpeg_counts(photos: Path, settings: Settings, conn: Connection) -> None:
    """The upper rows are those of the whole picture, so that its histogram is partly the same."""
    with Library(settings) as library:
        library.ingest(photos, features=["histogram"], accept_truncated=True)
    rows = conn.execute("SELECT histogram::real[] FROM imrec.histogram").fetchall()
    first, second = (np.asarray(row[0]) for row in rows)
    assert 0.2 < np.minimum(first, second).sum() < 0.95


def test_the_mark_travels_with_an_export(
    photos: Path, settings: Settings, conn: Connection, tmp_path: Path
) -> None:
    with Library(settings) as library:
        library.ingest(photos, features=NAMES, accept_truncated=True)
    export_library(conn, tmp_path / "export")
    conn.execute("TRUNCATE imrec.image, imrec.root, imrec.failure CASCADE")
    import_library(conn, tmp_path / "export")
    assert marks(conn) == [HALF, WHOLE]
