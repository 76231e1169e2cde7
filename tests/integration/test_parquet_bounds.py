"""Values of an export that are of the right type, and yet none that a library may hold."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import AddImage, at_angle, new_database, settings_for

from imrec_pg.backup.parquet import export_library, import_library
from imrec_pg.backup.parquet.reading import batches, open_export
from imrec_pg.catalogue.model import claim_model
from imrec_pg.db.connection import Connection
from imrec_pg.db.session import open_session
from imrec_pg.errors import ExportFileError
from imrec_pg.ingest.find import root_of
from imrec_pg.paths import file_id
from imrec_pg.records import ModelIdentity

Values = Callable[[pa.Array], Any]


@pytest.fixture(scope="module")
def good(template: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an export of three images, which no test changes."""
    folder = tmp_path_factory.mktemp("good") / "export"
    with new_database(template, "imrec_template") as dsn, open_session(settings_for(dsn)) as conn:
        claim_model(conn, ModelIdentity("resnet18", "ab" * 32))
        add = AddImage(conn)
        for number in (1, 2, 3):
            add(
                f"{number}.jpg", embedding=at_angle(number), histogram=np.full(512, 1 / 512, dtype=np.float32)
            )
        export_library(conn, folder)
    return folder


@pytest.fixture(scope="module")
def library(template: str) -> Iterator[Connection]:
    """Return an empty library, in which nothing here may store anything."""
    with new_database(template, "imrec_template") as dsn, open_session(settings_for(dsn)) as conn:
        yield conn


@pytest.fixture
def export(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "export"))


def write(path: Path, table: pa.Table) -> None:
    said = pq.read_metadata(path).metadata
    with pq.ParquetWriter(path, table.schema, store_schema=False, compression="zstd") as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({key.decode(): value.decode() for key, value in said.items()})


def spoil(path: Path, column: str, values: Values) -> None:
    table = pq.read_table(path)
    write(
        path,
        table.set_column(table.column_names.index(column), column, values(table[column].combine_chunks())),
    )


def second(value: object) -> Values:
    """Return the column with another value in its second row."""

    def values(array: pa.Array) -> pa.Array:
        found = array.to_pylist()
        return pa.array([found[0], value, *found[2:]], array.type)

    return values


def path_and_id(export: Path, relative: bytes) -> None:
    """Give the second file another path, and the id that it would have there."""
    spoil(export / "file.parquet", "relative_path", second(relative))
    made = file_id(root_of(b"/photos").root_id, relative).bytes
    ids = pq.read_table(export / "file.parquet")["file_id"].combine_chunks().storage.to_pylist()
    storage = pa.array([ids[0], made, ids[2]], pa.binary(16))
    spoil(
        export / "file.parquet",
        "file_id",
        lambda _: pa.ExtensionArray.from_storage(pa.uuid(), storage),
    )


def vector(value: float) -> Values:
    def values(array: pa.Array) -> pa.Array:
        rows = np.stack(array.to_numpy(zero_copy_only=False)).copy()
        rows[1, 9] = value
        return pa.array(list(rows), pa.list_(pa.float32()))

    return values


def refused(export: Path, library: Connection) -> str:
    with pytest.raises(ExportFileError) as caught:
        import_library(library, export)
    assert library.execute("SELECT count(*) FROM imrec.image").fetchone() == (0,)
    return str(caught.value)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        (b"../../etc/passwd", "does not lead to a file below its root"),
        (b"a/../../b.jpg", "does not lead to a file below its root"),
        (b"./a.jpg", "does not lead to a file below its root"),
        (b"a//b.jpg", "does not lead to a file below its root"),
        (b"", "does not lead to a file below its root"),
        (b"/etc/passwd", "is absolute"),
        (b"a\0.jpg", "has a NUL"),
        (b"a/" * 2500 + b"b.jpg", "is longer than 4,096 bytes"),
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(
    path: bytes, why: str, export: Path, library: Connection
) -> None:
    path_and_id(export, path)
    assert refused(export, library) == f"file.parquet: row 2: relative_path {why}"


def test_a_file_whose_id_is_not_made_from_its_path_is_refused(export: Path, library: Connection) -> None:
    spoil(export / "file.parquet", "relative_path", second(b"other.jpg"))
    assert refused(export, library) == (
        "file.parquet: row 2: file_id is not made from root_id and relative_path"
    )


def test_a_failure_whose_id_is_not_made_from_its_path_is_refused(
    conn: Connection, library: Connection, tmp_path: Path
) -> None:
    claim_model(conn, ModelIdentity("resnet18", "ab" * 32))
    AddImage(conn)("a.jpg")
    conn.execute(
        "INSERT INTO imrec.failure (file_id, root_id, relative_path, path, size, mtime_ns, error_class, error) "
        "SELECT %s, root_id, 'b.jpg', '/photos/b.jpg', 1, 1, 'Empty', 'nothing in it' FROM imrec.root",
        (UUID(int=7),),
    )
    export_library(conn, tmp_path / "export")
    assert refused(tmp_path / "export", library).startswith("failure.parquet: row 1: file_id is not made")


@pytest.mark.parametrize("path", [b"photos", b"/photos/../etc", b"/pho\0tos", b""])
def test_a_root_that_is_no_absolute_folder_is_refused(path: bytes, export: Path, library: Connection) -> None:
    spoil(export / "root.parquet", "raw_path", lambda _: pa.array([path], pa.binary()))
    assert refused(export, library).startswith("root.parquet: row 1: raw_path ")


@pytest.mark.parametrize(
    ("table", "value"),
    [("embedding", 3e38), ("embedding", -3e38), ("embedding", 1e7), ("histogram", 1.5), ("histogram", -0.5)],
)
def test_a_vector_beyond_what_can_be_computed_is_refused(
    table: str, value: float, export: Path, library: Connection
) -> None:
    """Squares of 3e38 overflow, so that every distance to it would be infinite."""
    spoil(export / f"{table}.parquet", table, vector(value))
    assert f"{table}.parquet: row 2: {table} has a value that is not within" in refused(export, library)


@pytest.mark.parametrize("microseconds", [1 << 62, -(1 << 62), (1 << 63) - 1])
def test_a_time_that_python_cannot_hold_is_refused(
    microseconds: int, export: Path, library: Connection
) -> None:
    spoil(
        export / "image.parquet",
        "taken_at",
        lambda array: pa.array([None, microseconds, None], pa.int64()).cast(array.type),
    )
    assert refused(export, library).startswith("image.parquet: row 2: taken_at is not within the years")


def test_a_digest_that_is_none_is_refused(export: Path, library: Connection) -> None:
    spoil(export / "model.parquet", "weights_sha256", lambda _: pa.array(["0x" + "ab" * 31], pa.string()))
    assert "weights_sha256 is no SHA-256" in refused(export, library)


def repeated(export: Path, rows: int, length: int, *, distinct: bool) -> int:
    """Let all files have one long path, of which a dictionary holds one copy; return the size."""
    path = export / "file.parquet"
    table = pq.read_table(path)
    table = pa.concat_tables([table.slice(0, 1)] * rows).combine_chunks()
    if distinct:
        ids = pa.array([os.urandom(16) for _ in range(rows)], pa.binary(16))
        table = table.set_column(0, "image_id", pa.ExtensionArray.from_storage(pa.uuid(), ids))
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, dtype=np.int32)), pa.array(["x" * length]))
    write(path, table.set_column(table.column_names.index("path"), "path", text))
    return path.stat().st_size


def test_one_long_text_for_all_rows_takes_no_memory(export: Path) -> None:
    """5,000 rows of 1 MB each are 5 GB, in a file of some kB."""
    assert repeated(export, 5000, 1_000_000, distinct=True) < 200_000
    code = f"""
import resource
from pathlib import Path
from imrec_pg.backup.parquet.reading import batches, open_export
from imrec_pg.errors import ExportFileError
(file,) = [file for file in open_export(Path({str(export)!r})) if file.table.name == "file"]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    list(batches(file))
except ExportFileError as error:
    print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    message, kilobytes = done.stdout.splitlines()
    assert message == "file.parquet: row 1: path is longer than 16,384 bytes"
    assert int(kilobytes) < 100_000


def test_a_vector_of_many_values_is_refused_before_it_is_read(export: Path) -> None:
    """A run of one value takes some bytes, whatever its length."""
    path = export / "embedding.parquet"
    table = pq.read_table(path)
    long = pa.array([np.zeros(5_000_000, dtype=np.float32)] * 3, pa.list_(pa.float32()))
    write(path, table.set_column(1, "embedding", long))
    with pytest.raises(ExportFileError, match=r"embedding has 15,000,000 values in a row group of 3 rows"):
        open_export(export)


def test_more_rows_than_fit_into_the_file_are_refused(export: Path) -> None:
    """Each has an id of its own, which does not compress."""
    assert repeated(export, 1_000_000, 10, distinct=False) < 1_000_000
    with pytest.raises(ExportFileError, match=r"file\.parquet: claims to have 1,000,000 rows in"):
        open_export(export)


def test_what_an_ingest_stores_is_within_the_bounds(export: Path) -> None:
    assert {file.table.name: sum(map(len, batches(file))) for file in open_export(export)}["file"] == 3
