"""Export and import: a round trip is exact, a second one changes nothing, and conflicts are settled."""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import AddImage, at_angle, bare_session, new_database, settings_for

from imrec_pg.backup.parquet import export_library, import_library
from imrec_pg.catalogue import missing
from imrec_pg.catalogue.model import claim_model
from imrec_pg.catalogue.roots import add_root
from imrec_pg.db.connection import Connection
from imrec_pg.db.session import HEAD, open_session
from imrec_pg.ingest.find import root_of
from imrec_pg.ingest.write import write_batch
from imrec_pg.paths import file_id
from imrec_pg.records import FailedFile, Feature, FoundFile, ModelIdentity
from imrec_pg.settings import Settings

MODEL = ModelIdentity("resnet18", "ab" * 32)
TABLES = (
    "root",
    "mount",
    "image",
    "file",
    *Feature,
    "failure",
    "missing",
    "model",
    "duplicate_verdict",
)
EXTREMES = np.zeros(512, dtype=np.float32)
EXTREMES[:6] = (1e-45, -1e-45, 999999.9, -999999.9, -0.0, 1 / 3)


@pytest.fixture
def awkward(conn: Connection, add_image: AddImage) -> Connection:
    """Return a library of rows that formats like to spoil."""
    claim_model(conn, MODEL)
    add_image(os.fsdecode(b"caf\xe9 \xff.jpg"), embedding=EXTREMES, histogram=np.full(512, 1e-45))
    gone = add_image("line\nbreak\t'\".jpg", average_hash=b"\x80" + bytes(7), difference_hash=b"\xff" * 8)
    add_image("日本/🙂.jpg", average_hash=bytes(7) + b"\x01")
    other = root_of(b"/other \xfe")
    add_root(conn, other, "host")
    conn.execute(
        "UPDATE imrec.image SET taken_at = '1826-01-01 00:00:00.000001', camera_make = 'Niépce', "
        "created_at = '1999-12-31 23:59:59.999999+00' WHERE image_id = %s",
        (gone.image_id,),
    )
    conn.execute(
        "UPDATE imrec.image SET taken_at = '9999-12-31 23:59:59.999999' WHERE image_id = %s", (UUID(int=3),)
    )
    conn.execute("UPDATE imrec.file SET mtime_ns = 9223372036854775807, created_at = '0001-01-01 0:0+0'")
    relative = b"broken\xff.jpg"
    file = FoundFile(other.root_id, file_id(other.root_id, relative), relative, b"/other/x", 0, -1)
    write_batch(conn, [], [FailedFile(file, None, "Empty", "nothing in it")])
    missing.mark(conn, [file_id(root_of(b"/photos").root_id, os.fsencode("line\nbreak\t'\".jpg"))])
    return conn


@pytest.fixture
def empty(template: str) -> Iterator[Connection]:
    with new_database(template, "imrec_template") as dsn, bare_session(settings_for(dsn)) as opened:
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
        assert file_rows(tmp_path / "one", table) == file_rows(tmp_path / "two", table)


def file_rows(folder: Path, table: str) -> list[tuple[object, ...]]:
    """Return the rows of a file, sorted; times as microseconds, since Python's end with the year 9999."""
    read = pq.read_table(folder / f"{table}.parquet")
    columns = [
        column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column for column in read.columns
    ]
    return sorted(zip(*(column.to_pylist() for column in columns), strict=True), key=repr)


def test_a_foreign_program_finds_neighbours_in_the_files(
    conn: Connection, add_image: AddImage, tmp_path: Path
) -> None:
    ids = [
        add_image(f"{angle}.jpg", embedding=at_angle(angle), average_hash=bytes([bits]) + bytes(7)).image_id
        for angle, bits in ((0, 0), (50, 0x80), (10, 0xE0), (90, 1))
    ]
    export_library(conn, tmp_path / "export")
    read = pq.read_table(tmp_path / "export" / "embedding.parquet")
    vectors = np.stack(read["embedding"].to_numpy()).astype(np.float64)
    by_id = dict(zip(read["image_id"].to_pylist(), vectors, strict=True))
    query = by_id[ids[0]]
    distances = {
        key: 1 - row @ query / np.linalg.norm(row) / np.linalg.norm(query) for key, row in by_id.items()
    }
    assert sorted(distances, key=lambda key: distances[key]) == [ids[0], ids[2], ids[1], ids[3]]
    assert distances[ids[2]] == pytest.approx(1 - math.cos(math.radians(10)), abs=1e-7)
    hashes = pq.read_table(tmp_path / "export" / "average_hash.parquet")
    bits = dict(zip(hashes["image_id"].to_pylist(), hashes["average_hash"].to_pylist(), strict=True))
    assert bits[ids[1]] == 1 << 63, "the first bit is the highest"
    assert [(bits[key] ^ bits[ids[0]]).bit_count() for key in ids] == [0, 1, 3, 1]
    about = pq.read_metadata(tmp_path / "export" / "average_hash.parquet").metadata
    assert about[b"imrec.schema"] == HEAD.encode()
    assert about[b"imrec.version"]
    assert about[b"imrec.exported_at"].startswith(b"20")
    assert b"ARROW:schema" not in about
    image = pq.ParquetFile(tmp_path / "export" / "image.parquet").schema
    assert image.column(0).logical_type.type == "UUID"
    assert (
        str(pq.read_schema(tmp_path / "export" / "image.parquet").field("taken_at").type) == "timestamp[us]"
    )


def test_a_second_import_writes_nothing(awkward: Connection, empty: Connection, tmp_path: Path) -> None:
    export_library(awkward, tmp_path / "export")
    import_library(empty, tmp_path / "export")

    def versions() -> set[str]:
        parts = (f"SELECT '{table} ' || xmin::text || ctid::text FROM imrec.{table}" for table in TABLES)
        return {str(row[0]) for row in empty.execute(" UNION ALL ".join(parts).encode()).fetchall()}

    before = versions()
    for replace in (False, True):
        again = import_library(empty, tmp_path / "export", replace=replace)
        assert not any(table.added or table.replaced or table.conflicts for table in again.tables)
    assert versions() == before


def test_all_tables_are_of_one_moment(
    conn: Connection, add_image: AddImage, settings: Settings, tmp_path: Path
) -> None:
    add_image("first.jpg")
    with open_session(settings) as other:
        add_later = AddImage(other)

        def ingest_meanwhile(table: str, _done: int, _total: int | None) -> None:
            add_later(f"during {table}.jpg", image_id=UUID(int=1000 + len(table)))

        exported = export_library(conn, tmp_path / "export", on_progress=ingest_meanwhile)
    assert {t.table: t.rows for t in exported.tables if t.rows} == dict.fromkeys(
        ("root", "image", "file", *Feature), 1
    )


def test_who_may_only_read_may_export(conn: Connection, add_image: AddImage, tmp_path: Path) -> None:
    add_image("a.jpg")
    conn.execute("SET default_transaction_read_only = on")
    assert export_library(conn, tmp_path / os.fsdecode(b"caf\xe9")).tables
    assert [os.fsencode(path.name) for path in tmp_path.iterdir()] == [b"caf\xe9"]


@pytest.mark.parametrize("interrupted_at", ["check", "store"])
def test_an_interrupted_import_is_completed_by_the_next(
    interrupted_at: str, awkward: Connection, empty: Connection, tmp_path: Path
) -> None:
    export_library(awkward, tmp_path / "export")

    def interrupt(step: str, done: int, _total: int | None) -> None:
        if step == interrupted_at and done > 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_library(empty, tmp_path / "export", on_progress=interrupt)
    images, features = len(rows(empty, "image")), sum(len(rows(empty, f)) for f in Feature)
    assert (images, features > 0) == ((0, False) if interrupted_at == "check" else (3, True))
    assert len(rows(empty, "file")) == images
    import_library(empty, tmp_path / "export")
    assert content(empty) == content(awkward)


def state(conn: Connection, name: str) -> tuple[object, ...]:
    """Return the image that a file holds, whether it failed, and whether it is missing."""
    row = conn.execute(
        "SELECT (SELECT image_id FROM imrec.file WHERE file_id = n.id), "
        "EXISTS (SELECT FROM imrec.failure WHERE file_id = n.id), "
        "EXISTS (SELECT FROM imrec.missing WHERE file_id = n.id) FROM (SELECT %s::uuid) AS n (id)",
        (file_id(root_of(b"/photos").root_id, os.fsencode(name)),),
    ).fetchone()
    assert row is not None
    return row


def failed(name: str) -> FailedFile:
    root = root_of(b"/photos").root_id
    relative = os.fsencode(name)
    return FailedFile(
        FoundFile(root, file_id(root, relative), relative, b"/photos/" + relative, 1, 1),
        None,
        "Empty",
        "x",
    )


@pytest.fixture
def differing(conn: Connection, empty: Connection, tmp_path: Path) -> tuple[Connection, Path]:
    """Return a library, and an export that says otherwise of most of its files."""
    claim_model(conn, MODEL)
    here, there = AddImage(empty), AddImage(conn)
    for name, number in (
        ("changed", 1),
        ("same", 2),
        ("broken there", 3),
        ("gone there", 4),
        ("gone here", 5),
    ):
        here(name, image_id=UUID(int=number), embedding=at_angle(number), average_hash=bytes(8))
    write_batch(empty, [], [failed("broken here")])
    missing.mark(empty, [failed("gone here").file.file_id])
    for name, number in (
        ("changed", 11),
        ("same", 2),
        ("broken here", 12),
        ("gone there", 4),
        ("gone here", 5),
    ):
        there(name, image_id=UUID(int=number), embedding=at_angle(number + 1), average_hash=bytes(8))
    there("copy of changed", image_id=UUID(int=13))
    write_batch(conn, [], [failed("broken there")])
    missing.mark(conn, [failed("gone there").file.file_id])
    conn.execute("UPDATE imrec.image SET camera_make = 'X' WHERE image_id = %s", (UUID(int=2),))
    export_library(conn, tmp_path / "export")
    return empty, tmp_path / "export"


def test_where_they_differ_the_library_is_right(differing: tuple[Connection, Path]) -> None:
    library, export = differing
    before = content(library)
    counts = {t.table: (t.added, t.replaced, t.conflicts) for t in import_library(library, export).tables}
    assert state(library, "changed") == (UUID(int=1), False, False)
    assert state(library, "broken here") == (None, True, False)
    assert state(library, "broken there") == (UUID(int=3), False, False)
    assert state(library, "gone there") == (UUID(int=4), False, False)
    assert state(library, "gone here") == (UUID(int=5), False, True)
    assert state(library, "copy of changed") == (UUID(int=13), False, False)
    assert counts == {
        "root": (0, 0, 0),
        "mount": (0, 0, 0),
        "model": (1, 0, 0),
        "duplicate_verdict": (0, 0, 0),
        # 2 with another camera; 11 and 12, whose only files say otherwise here.
        "image": (1, 0, 3),
        "file": (1, 0, 2),
        "failure": (0, 0, 1),
        "missing": (0, 0, 1),
        "embedding": (1, 0, 5),
        # Both libraries drew the same for 2, 4 and 5.
        "histogram": (1, 0, 2),
        "average_hash": (1, 0, 2),
        "difference_hash": (1, 0, 2),
        "perceptual_hash": (1, 0, 2),
    }
    assert all(before[table] <= now for table, now in content(library).items())


def test_with_replace_the_export_is_right(differing: tuple[Connection, Path]) -> None:
    library, export = differing
    counts = {
        t.table: (t.added, t.replaced, t.conflicts)
        for t in import_library(library, export, replace=True).tables
    }
    assert state(library, "changed") == (UUID(int=11), False, False)
    assert state(library, "broken here") == (UUID(int=12), False, False)
    # What is stored stays stored.
    assert state(library, "broken there") == (UUID(int=3), False, False)
    assert state(library, "gone there") == (UUID(int=4), False, True)
    assert state(library, "gone here") == (UUID(int=5), False, False)
    assert counts["image"] == (3, 3, 0)  # replaced: camera_make of one, and when three were stored
    assert counts["file"] == (2, 4, 0)
    assert counts["failure"] == (0, 0, 1)
    assert counts["missing"] == (1, 0, 0)
    assert counts["embedding"] == (3, 3, 0)
    held = library.execute("SELECT image_id FROM imrec.image ORDER BY 1").fetchall()
    assert [row[0] for row in held] == [UUID(int=number) for number in (2, 3, 4, 5, 11, 12, 13)]
    assert distance(library, UUID(int=4), at_angle(5)) == 0


def distance(conn: Connection, image_id: UUID, vector: "np.ndarray[Any, Any]") -> float:
    row = conn.execute(
        "SELECT embedding <-> %s FROM imrec.embedding WHERE image_id = %s",
        (vector.astype(np.float32), image_id),
    ).fetchone()
    assert row is not None
    return float(str(row[0]))
