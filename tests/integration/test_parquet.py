"""Export and import: a round trip is exact, a second one changes nothing, and hostile files change nothing."""

import math
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from psycopg.conninfo import conninfo_to_dict
from support import AddImage, at_angle, new_database, settings_for

from imrec_pg.errors import ExportFileError, ImrecError, ModelMismatchError, SchemaError, UsageError
from imrec_pg.ingest.find import location_id, root_of
from imrec_pg.records import FailedFile, FoundFile, ModelIdentity
from imrec_pg.settings import Settings
from imrec_pg.store import catalogue, missing
from imrec_pg.store.connection import Connection
from imrec_pg.store.parquet import export_library, import_library
from imrec_pg.store.session import HEAD, open_session
from imrec_pg.store.write import claim_model, write_batch

MODEL = ModelIdentity("resnet18", "ab" * 32, 1)
TABLES = ("root", "image", "location", "embedding", "histogram", "hash", "failure", "missing", "model")
EXTREMES = np.zeros(512, dtype=np.float32)
EXTREMES[:6] = (1e-45, -1e-45, 3.4028235e38, -3.4028235e38, -0.0, 1 / 3)


@pytest.fixture
def awkward(conn: Connection, add_image: AddImage) -> Connection:
    """Return a library of rows that formats like to spoil."""
    claim_model(conn, MODEL)
    add_image(os.fsdecode(b"caf\xe9 \xff.jpg"), embedding=EXTREMES, histogram=np.full(512, 1e-45))
    gone = add_image("line\nbreak\t'\".jpg", average_hash=b"\x80" + bytes(7), difference_hash=b"\xff" * 8)
    add_image("日本/🙂.jpg", average_hash=bytes(7) + b"\x01")
    other = root_of(b"/other \xfe")
    catalogue.add_root(conn, other)
    conn.execute(
        "UPDATE imrec.image SET taken_at = '1826-01-01 00:00:00.000001', camera_make = 'Niépce', "
        "created_at = '1999-12-31 23:59:59.999999+00' WHERE image_id = %s",
        (gone.image_id,),
    )
    conn.execute("UPDATE imrec.image SET taken_at = 'infinity' WHERE image_id = %s", (UUID(int=3),))
    conn.execute("UPDATE imrec.location SET mtime_ns = 9223372036854775807, created_at = '20000-01-01 0:0+0'")
    relative = b"broken\xff.jpg"
    file = FoundFile(other.root_id, location_id(other.root_id, relative), relative, b"/other/x", 0, -1)
    write_batch(conn, [], [FailedFile(file, None, "Empty", "nothing in it")])
    missing.mark(conn, [location_id(root_of(b"/photos").root_id, os.fsencode("line\nbreak\t'\".jpg"))])
    return conn


@pytest.fixture
def empty(template: str) -> Iterator[Connection]:
    with new_database(template, "imrec_template") as dsn, open_session(settings_for(dsn)) as opened:
        yield opened


def rows(conn: Connection, table: str) -> set[str]:
    """Return all rows as PostgreSQL writes them, vectors as their bytes."""
    binary = {"embedding": "vector_send(embedding)", "histogram": "vector_send(histogram)"}
    columns = f"image_id, {binary[table]}" if table in binary else "*"
    found = conn.execute(f"SELECT r::text FROM (SELECT {columns} FROM imrec.{table}) AS r").fetchall()
    return {str(row[0]) for row in found}


def content(conn: Connection) -> dict[str, set[str]]:
    return {table: rows(conn, table) for table in TABLES}


def added(conn: Connection, folder: Path, **options: Any) -> dict[str, int]:
    return {table.table: table.added for table in import_library(conn, folder, **options).tables}


def test_a_round_trip_is_exact(awkward: Connection, empty: Connection, tmp_path: Path) -> None:
    exported = export_library(awkward, tmp_path / "one")
    assert {t.table: t.rows for t in exported.tables} == {
        table: len(found) for table, found in content(awkward).items()
    }
    imported = import_library(empty, tmp_path / "one")
    assert all(table.added == table.rows and not table.conflicts for table in imported.tables)
    assert content(empty) == content(awkward)
    export_library(empty, tmp_path / "two")
    for table in TABLES:
        one, two = (pq.read_table(tmp_path / name / f"{table}.parquet") for name in ("one", "two"))
        key = one.column_names[0] if table != "location" else "location_id"
        assert one.sort_by(key).equals(two.sort_by(key)), table
