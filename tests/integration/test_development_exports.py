"""Exports of development versions (schema 0008): other names, both hashes in one file, an extraction version."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import at_angle

from imrec_pg.backup.parquet import export_library, import_library
from imrec_pg.db.connection import Connection
from imrec_pg.errors import ExportFileError
from imrec_pg.ingest.find import root_of

ROOT = root_of(b"/photos").root_id
FILES = "root,mount,image,location,embedding,histogram,hash,failure,missing,model"
NOW = datetime(2026, 11, 1, tzinfo=UTC)
UUIDS, WHEN = pa.uuid(), pa.timestamp("us", "UTC")
VECTORS = pa.list_(pa.float32(), 512)


def location_id(name: str) -> UUID:
    return UUID(bytes=hashlib.sha256(ROOT.bytes + name.encode()).digest()[:16])


def column(kind: pa.DataType, *values: Any) -> pa.Array:
    stored = [value.bytes if isinstance(value, UUID) else value for value in values]
    return (
        pa.ExtensionArray.from_storage(kind, pa.array(stored, pa.binary(16)))
        if kind == UUIDS
        else pa.array(stored, kind)
    )


def file_columns(*names: str) -> dict[str, pa.Array]:
    return {
        "location_id": column(UUIDS, *map(location_id, names)),
        "root_id": column(UUIDS, *[ROOT] * len(names)),
        "relative_path": column(pa.binary(), *(name.encode() for name in names)),
        "path": column(pa.string(), *(f"/photos/{name}" for name in names)),
        "bytes": column(pa.int64(), *[9] * len(names)),
        "mtime_ns": column(pa.int64(), *[7] * len(names)),
    }


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Return an export as a development version wrote it: photos a.jpg and b.jpg, which is gone, and a failure."""
    images = column(UUIDS, UUID(int=1), UUID(int=2))
    tables: dict[str, dict[str, pa.Array]] = {
        "root": {
            "root_id": column(UUIDS, ROOT),
            "name": column(pa.string(), "/photos"),
            "raw_path": column(pa.binary(), b"/photos"),
            "created_at": column(WHEN, NOW),
        },
        "mount": {
            "root_id": column(UUIDS, ROOT),
            "host": column(pa.string(), "a"),
            "raw_path": column(pa.binary(), b"/photos"),
            "created_at": column(WHEN, NOW),
        },
        "image": {
            "image_id": images,
            "bytes": column(pa.int64(), 11, 12),
            "width": column(pa.int32(), 4, 4),
            "height": column(pa.int32(), 3, 3),
            "format": column(pa.string(), "JPEG", "PNG"),
            "taken_at": column(pa.timestamp("us"), None, datetime(2020, 1, 2)),  # noqa: DTZ001 - as cameras do
            "camera_make": column(pa.string(), None, "X"),
            "camera_model": column(pa.string(), None, None),
            "created_at": column(WHEN, NOW, NOW),
        },
        "location": {
            "image_id": images,
            **file_columns("a.jpg", "b.jpg"),
            "created_at": column(WHEN, NOW, NOW),
        },
        "embedding": {
            "image_id": images,
            "embedding": column(VECTORS, *(at_angle(angle).astype(np.float32) for angle in (0, 60))),
        },
        "histogram": {
            "image_id": images,
            "histogram": column(VECTORS, *(at_angle(angle).astype(np.float32) for angle in (0, 30))),
        },
        "hash": {
            "image_id": images,
            "average_hash": column(pa.uint64(), 1, 3),
            "difference_hash": column(pa.uint64(), 1 << 63, 0),
        },
        "failure": {
            **file_columns("bad.jpg"),
            "error_class": column(pa.string(), "Empty"),
            "error": column(pa.string(), "no bytes"),
            "attempts": column(pa.int32(), 2),
            "created_at": column(WHEN, NOW),
            "last_attempt_at": column(WHEN, NOW),
        },
        "missing": {"location_id": column(UUIDS, location_id("b.jpg")), "since": column(WHEN, NOW)},
        "model": {
            "model_id": column(pa.int16(), 1),
            "name": column(pa.string(), "resnet18"),
            "weights_sha256": column(pa.string(), "ab" * 32),
            "extraction_version": column(pa.int32(), 1),
            "created_at": column(WHEN, NOW),
        },
    }
    assert ",".join(tables) == FILES
    for name, columns in tables.items():
        table = pa.table(columns)
        with pq.ParquetWriter(tmp_path / f"{name}.parquet", table.schema, store_schema=False) as writer:
            writer.write_table(table)
            writer.add_key_value_metadata(
                {
                    "imrec.schema": "0008",
                    "imrec.version": "0.1.0",
                    "imrec.exported_at": NOW.isoformat(),
                    "imrec.tables": FILES,
                    "imrec.table": name,
                }
            )
    return tmp_path


def test_an_export_of_a_development_version_is_taken(conn: Connection, export: Path, tmp_path: Path) -> None:
    imported = {table.table: (table.added, table.conflicts) for table in import_library(conn, export).tables}
    assert imported == {
        **dict.fromkeys(("root", "mount", "model", "failure", "missing"), (1, 0)),
        **dict.fromkeys(
            ("image", "file", "embedding", "histogram", "average_hash", "difference_hash"), (2, 0)
        ),
    }
    files = conn.execute(
        "SELECT f.path, f.file_id, f.size, i.size, i.camera_make, i.version, m.file_id IS NOT NULL "
        "FROM imrec.file AS f JOIN imrec.image AS i USING (image_id) LEFT JOIN imrec.missing AS m "
        "ON m.file_id = f.file_id ORDER BY path"
    ).fetchall()
    assert files == [
        ("/photos/a.jpg", location_id("a.jpg"), 9, 11, None, 1, False),
        ("/photos/b.jpg", location_id("b.jpg"), 9, 12, "X", 1, True),
    ]
    hashes = conn.execute(
        "SELECT a.average_hash::text, d.difference_hash::text, a.version FROM imrec.average_hash AS a "
        "JOIN imrec.difference_hash AS d USING (image_id) ORDER BY image_id"
    ).fetchall()
    assert hashes == [("0" * 63 + "1", "1" + "0" * 63, 1), ("0" * 62 + "11", "0" * 64, 1)]
    failure = conn.execute("SELECT path, size, attempts FROM imrec.failure").fetchall()
    assert failure == [("/photos/bad.jpg", 9, 2)]
    # Lacking, until the next ingest computes it.
    assert conn.execute("SELECT count(*) FROM imrec.perceptual_hash").fetchone() == (0,)
    ((path, distance),) = conn.execute(
        "SELECT path, distance FROM imrec.similar_to('/photos/a.jpg')"
    ).fetchall()
    assert (path, distance) == ("/photos/b.jpg", pytest.approx(0.5, abs=1e-6))
    again = import_library(conn, export)
    assert not any(table.added or table.replaced or table.conflicts for table in again.tables)
    assert "location.parquet" not in {
        path.name for path in export_library(conn, tmp_path / "new").folder.iterdir()
    }


def test_what_is_wrong_with_one_is_told_in_its_own_names(conn: Connection, export: Path) -> None:
    (export / "location.parquet").unlink()
    with pytest.raises(ExportFileError, match=r"location\.parquet: is not in"):
        import_library(conn, export)
