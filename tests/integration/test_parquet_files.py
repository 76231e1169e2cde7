"""Exports that are broken, of other versions or made to do harm; folders that are in the way."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from support import AddImage, at_angle, new_database, settings_for

from imrec_pg.backup.parquet import export_library, import_library
from imrec_pg.backup.parquet.columns import codec_of
from imrec_pg.backup.parquet.tables import LEFT_OUT, exported_tables
from imrec_pg.catalogue import missing
from imrec_pg.catalogue.model import claim_model
from imrec_pg.db.connection import Connection
from imrec_pg.db.metadata import metadata
from imrec_pg.db.session import HEAD, open_session
from imrec_pg.errors import (
    ExportFileError,
    ImrecError,
    ModelMismatchError,
    OutputExistsError,
    SchemaError,
    UsageError,
)
from imrec_pg.ingest.find import root_of
from imrec_pg.library import Library
from imrec_pg.paths import file_id
from imrec_pg.records import ModelIdentity

MODEL = ModelIdentity("resnet18", "ab" * 32)
Change = Callable[[pa.Table], pa.Table]


@pytest.fixture(scope="module")
def good(template: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an export of three images, which no test changes."""
    folder = tmp_path_factory.mktemp("good") / "export"
    with new_database(template, "imrec_template") as dsn, open_session(settings_for(dsn)) as conn:
        claim_model(conn, MODEL)
        add = AddImage(conn)
        for number in (1, 2, 3):
            add(f"{number}.jpg", embedding=at_angle(10 * number))
        root = root_of(b"/photos").root_id
        missing.mark(conn, [file_id(root, b"2.jpg")])
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


def images(conn: Connection) -> int:
    row = conn.execute(
        "SELECT (SELECT count(*) FROM imrec.image) + (SELECT count(*) FROM imrec.root)"
    ).fetchone()
    assert row is not None
    return int(str(row[0]))


def rewrite(path: Path, change: Change, **about: str) -> None:
    """Change a file's rows, and what it says of itself."""
    said = {key.decode(): value.decode() for key, value in pq.read_metadata(path).metadata.items()} | about
    table = change(pq.read_table(path))
    with pq.ParquetWriter(path, table.schema, store_schema=False) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata(said)


def replaced(column: str, values: Any) -> Change:
    def change(table: pa.Table) -> pa.Table:
        return table.set_column(
            table.column_names.index(column), column, values(table[column].combine_chunks())
        )

    return change


def vectors(row: int, value: float) -> Callable[[pa.Array], pa.Array]:
    def change(array: pa.Array) -> pa.Array:
        numbers = np.stack(array.to_numpy(zero_copy_only=False)).copy()
        numbers[row, 7 if value else slice(None)] = value
        return pa.array(list(numbers), pa.list_(pa.float32()))

    return change


def without(row: int) -> Change:
    return lambda table: pa.concat_tables([table.slice(0, row), table.slice(row + 1)])


def doubled(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table, table])


def texts(*values: str | None) -> Callable[[pa.Array], pa.Array]:
    return lambda array: pa.array([*values, *array.to_pylist()[len(values) :]], pa.string())


HOSTILE: dict[str, tuple[str, Change, str]] = {
    "NaN": ("embedding", replaced("embedding", vectors(1, np.nan)), r"row 2: embedding .* no finite number"),
    "infinity": ("histogram", replaced("histogram", vectors(0, np.inf)), r"row 1: histogram .* no finite"),
    "zero vector": ("embedding", replaced("embedding", vectors(2, 0)), r"row 3: embedding is all zeros"),
    "511 values": (
        "embedding",
        replaced(
            "embedding", lambda a: pa.array([row[:-1] for row in a.to_pylist()], pa.list_(pa.float32()))
        ),
        r"row 1: embedding has another number of values than 512",
    ),
    "NULL in a vector": (
        "embedding",
        replaced("embedding", lambda a: pa.array([[None] * 512] * len(a), pa.list_(pa.float32()))),
        r"row 1: embedding has a value that is NULL",
    ),
    "other type": (
        "embedding",
        replaced("embedding", lambda a: a.cast(pa.list_(pa.float64()))),
        r"the column embedding is list<.*double>, not",
    ),
    "local time": (
        "image",
        replaced("created_at", lambda a: a.cast(pa.timestamp("us"))),
        r"the column created_at is timestamp\[us\], not timestamp\[us, tz=UTC\]",
    ),
    "column missing": ("image", lambda table: table.drop_columns("width"), r"has no column width"),
    "column unknown": ("image", lambda table: table.append_column("stars", [[5] * 3]), r"a column 'stars'"),
    "NULL": ("image", replaced("format", texts("JPEG", None)), r"row 2: format is NULL"),
    "NUL": ("image", replaced("format", texts("JP\0G")), r"row 1: format has a control character"),
    "escape sequence": (
        "file",
        replaced("path", texts("/\x1b[2J")),
        r"row 1: path has a control character",
    ),
    "long text": (
        "file",
        replaced("path", texts("x" * (1 << 21))),
        r"row 1: path is longer than 16,384",
    ),
    "no pixels": (
        "image",
        replaced("width", lambda a: pc.multiply(a, pa.scalar(-1, pa.int32()))),
        r"violates check .*image_size_check",
    ),
    "image without file": (
        "file",
        without(1),
        r"image\.parquet: image_id .*02 is not in file\.parquet",
    ),
    "file without image": (
        "image",
        without(0),
        r"file\.parquet: image_id .*01 is not in image\.parquet",
    ),
    "file without root": ("root", lambda table: table.slice(0, 0), r"root_id .* is not in root\.parquet"),
    "feature without image": (
        "embedding",
        replaced("image_id", lambda a: pa.array([UUID(int=9).bytes] * len(a), pa.binary(16)).take([0, 0, 0])),
        r"embedding\.parquet: image_id .*09 is there twice",
    ),
    "image twice": ("image", doubled, r"image_id .* is there twice"),
    "file twice": ("file", doubled, r"is there twice"),
    "no model": (
        "model",
        lambda table: table.slice(0, 0),
        r"nobody knows which model made embedding\.parquet",
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_is_named_and_changes_nothing(what: str, export: Path, library: Connection) -> None:
    table, change, message = HOSTILE[what]
    rewrite(export / f"{table}.parquet", change)
    with pytest.raises(ExportFileError, match=message) as error:
        import_library(library, export)
    assert error.value.file.endswith(".parquet")
    assert "\n" not in str(error.value)
    assert images(library) == 0


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 100)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    column = pq.read_metadata(path).row_group(0).column(1)
    start = column.dictionary_page_offset if column.has_dictionary_page else column.data_page_offset
    data[start + column.total_compressed_size - 5] ^= 0x10
    path.write_bytes(data)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (Path.unlink, r"embedding\.parquet: is not in .*: the export is not whole"),
        (lambda path: path.write_bytes(b""), r"embedding\.parquet: cannot be read"),
        (lambda path: path.write_bytes(b"PAR1" * 1000), r"embedding\.parquet: cannot be read"),
        (lambda path: shutil.copy(path.with_name("histogram.parquet"), path), r"imrec\.table is 'histogram'"),
        (cut, r"embedding\.parquet: cannot be read"),
        (flip, r"embedding\.parquet: cannot be read: .*checksum"),
        (pipe, r"embedding\.parquet: is not in"),
        (
            lambda path: pq.write_table(pq.read_table(path).replace_schema_metadata(), path),
            r"has no imrec.schema in its key-value metadata",
        ),
        (lambda path: rewrite(path, lambda t: t, **{"imrec.exported_at": "2001"}), r"exported_at is '2001'"),
    ],
)
def test_a_broken_file_is_named_and_changes_nothing(
    spoil: Callable[[Path], Any], message: str, export: Path, library: Connection
) -> None:
    spoil(export / "embedding.parquet")
    with pytest.raises(ExportFileError, match=message):
        import_library(library, export)
    assert images(library) == 0


def test_a_folder_without_an_export_is_told_of(tmp_path: Path, library: Connection) -> None:
    with pytest.raises(ExportFileError, match=r"image\.parquet: is not in .*: the export is not whole"):
        import_library(library, tmp_path)
    with pytest.raises(ExportFileError, match="is no folder"):
        import_library(library, tmp_path / "nowhere")


def test_embeddings_of_another_model_are_refused(export: Path, conn: Connection) -> None:
    claim_model(conn, ModelIdentity("resnet18", "cd" * 32))
    with pytest.raises(ModelMismatchError, match="use the same weights"):
        import_library(conn, export, replace=True)
    assert images(conn) == 0


def test_a_newer_export_is_refused_and_an_older_one_is_taken(export: Path, conn: Connection) -> None:
    files = sorted(export.iterdir())
    for path in files:
        rewrite(path, lambda table: table, **{"imrec.schema": "9999"})
    with pytest.raises(SchemaError, match=f"of schema 9999, newer than this imrec-pg knows \\({HEAD}\\)"):
        import_library(conn, export)
    for path in files:
        rewrite(path, lambda table: table, **{"imrec.schema": "0000", "imrec.tables": "root,image,file"})
    rewrite(export / "image.parquet", lambda table: table.drop_columns(["camera_make", "created_at"]))
    assert [(t.table, t.added) for t in import_library(conn, export).tables] == [
        ("image", 3),
        ("root", 1),
        ("file", 3),
    ]
    rewrite(export / "image.parquet", lambda table: table.drop_columns("width"))
    with pytest.raises(ExportFileError, match="has no column width"):
        import_library(conn, export)


def test_every_table_is_exported_or_left_out_on_purpose() -> None:
    names = {table.name for table in exported_tables()}
    assert names == {table.name for table in metadata.tables.values()} - LEFT_OUT
    for table in exported_tables():
        for column in table.columns:
            assert codec_of(column).arrow in codec_of(column).accepted


def listed(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_an_export_replaces_an_export_alone_and_only_when_told(
    export: Path, library: Connection, tmp_path: Path
) -> None:
    with pytest.raises(OutputExistsError, match="holds an export already"):
        export_library(library, export)
    assert pq.read_metadata(export / "image.parquet").num_rows == 3
    export_library(library, export, overwrite=True)
    assert pq.read_metadata(export / "image.parquet").num_rows == 0
    assert listed(tmp_path) == {"export"}
    (export / "diary.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds other things than an export"):
        export_library(library, export, overwrite=True)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is no folder"):
        export_library(library, tmp_path / "file", overwrite=True)
    with pytest.raises(UsageError, match="name a new folder in one that is there"):
        export_library(library, tmp_path / "nowhere" / "export")
    (tmp_path / "empty").mkdir()
    export_library(library, tmp_path / "empty")
    assert "image.parquet" in listed(tmp_path / "empty")


def test_an_interrupted_export_leaves_nothing_or_what_was_there(
    export: Path, conn: Connection, tmp_path: Path
) -> None:
    import_library(conn, export)

    def interrupt(table: str, _done: int, _total: int | None) -> None:
        if table == "average_hash":
            (partial,) = tmp_path.glob(".imrec-pg-*.partial")
            assert "image.parquet" in listed(partial)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_library(conn, export, overwrite=True, on_progress=interrupt)
    assert listed(tmp_path) == {"export"}
    assert import_library(conn, export).tables


def test_of_two_exports_into_one_folder_the_first_stays_whole(
    export: Path, conn: Connection, settings: Any
) -> None:
    import_library(conn, export)
    done: list[bool] = []

    def another(_table: str, _done: int, _total: int | None) -> None:
        if not done:
            done.append(True)
            with open_session(settings) as other:
                export_library(other, export.parent / "new")

    with pytest.raises(ImrecError, match="another program has just written"):
        export_library(conn, export.parent / "new", on_progress=another)
    assert listed(export.parent) == {"export", "new"}
    assert import_library(conn, export.parent / "new").tables


def test_without_pyarrow_the_extra_is_named(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith(("pyarrow", "imrec_pg.backup.parquet"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with Library(settings) as opened:
        for call in (opened.export, opened.import_):
            with pytest.raises(ImrecError, match=r"pip install 'imrec-pg\[parquet\]'"):
                call(tmp_path / "export")
