"""Read an export, which may be broken, of another version, or made to do harm."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Column, Table

from imrec_pg.backup.parquet import bounds
from imrec_pg.backup.parquet.codec import Fault
from imrec_pg.backup.parquet.columns import codec_of
from imrec_pg.backup.parquet.development import Source, is_development, source_of
from imrec_pg.backup.parquet.folder import SUFFIX
from imrec_pg.backup.parquet.tables import exported_tables
from imrec_pg.db.session import HEAD
from imrec_pg.errors import ExportFileError, SchemaError
from imrec_pg.outputs import shown

# 5,000 vectors are 10 MB.
_ROWS = 5_000
# Texts of a row group: reading takes four times as much. A row group of 122,880 paths, as DuckDB writes them,
# has some 20 MB.
_MAX_TEXTS = 1 << 28
# Of all else: a vector has 2,048.
_MAX_ROW = 1 << 14
_VECTORS = {"embedding", "histogram"}
_UPDATE = "update it with pip install --upgrade imrec-pg"


@dataclass(frozen=True, slots=True)
class TableFile:
    """One file of an export, of which names and types have been checked.

    Attributes:
        source: what the columns are called in the file.
        columns: those of the table that the file has; an export of an older version may lack some.
    """

    table: Table
    source: Source
    path: Path
    rows: int
    columns: tuple[Column[Any], ...]

    @property
    def name(self) -> str:
        """The file's name, for messages."""
        return self.path.name


def open_export(folder: Path) -> tuple[TableFile, ...]:
    """Return the files of an export, each after those that it refers to.

    Raises:
        ExportFileError: one is missing, broken, has other columns or types, or is of another export.
        SchemaError: the export is of a newer imrec-pg.
    """
    folder = folder.expanduser().absolute()
    if not folder.is_dir():
        raise ExportFileError(shown(folder), "is no folder; name one that imrec-pg export has made")
    about = _about(folder / f"image{SUFFIX}")
    files = set(about["imrec.tables"].split(","))
    development = is_development(files)
    if not development:
        _check_version(about["imrec.schema"])
    complete = not development and about["imrec.schema"] == HEAD
    sources = [(table, source_of(table.name, development=development)) for table in exported_tables()]
    return tuple(
        _table_file(table, source, folder / f"{source.file}{SUFFIX}", about, complete=complete)
        for table, source in sources
        if complete or source.file in files
    )


def batches(file: TableFile) -> Iterator[pa.RecordBatch]:
    """Yield the rows, 5,000 at a time, their columns in the order of file.columns.

    Raises:
        ExportFileError: the file is broken, or a value is none that the database may hold.
    """
    done = 0
    names = [file.source.name_of(column.name) for column in file.columns]
    with _opened(file.path, _texts(file)) as parquet:
        found = parquet.iter_batches(_ROWS, columns=names, use_threads=False)
        while (batch := _next(file.name, found)) is not None:
            batch = _checked(file, batch.select(names), done)
            done += len(batch)
            yield batch
    if done != file.rows:
        raise ExportFileError(file.name, f"has {done:,} rows, and says that it has {file.rows:,}")


def _next(name: str, found: Iterator[pa.RecordBatch]) -> pa.RecordBatch | None:
    with _explained(name):
        return next(found, None)


def _table_file(
    table: Table, source: Source, path: Path, about: dict[str, str], *, complete: bool
) -> TableFile:
    own = _about(path)
    for key, what in (("imrec.table", source.file), ("imrec.exported_at", about["imrec.exported_at"])):
        if own[key] != what:
            raise ExportFileError(path.name, f"is another file than it should be: {key} is {own[key]!r}")
    with _opened(path) as parquet:
        with _explained(path.name):
            types = {field.name: field.type for field in parquet.schema_arrow}
        columns = _columns(table, source, path.name, types, complete=complete)
        file = TableFile(table, source, path, parquet.metadata.num_rows, columns)
        _check_sizes(file, parquet.metadata)
        return file


def _columns(
    table: Table, source: Source, file: str, types: dict[str, pa.DataType], *, complete: bool
) -> tuple[Column[Any], ...]:
    names = {source.name_of(name) for name in table.columns.keys()}  # noqa: SIM118 - iterates over columns without keys()
    if unknown := types.keys() - names - source.unused:
        raise ExportFileError(file, f"has a column {min(unknown)!r}, which imrec.{table.name} has not")
    columns = []
    for column in table.columns:
        name = source.name_of(column.name)
        if name not in types:
            if complete or not (column.nullable or column.server_default is not None):
                raise ExportFileError(file, f"has no column {name}")
            continue
        found, codec = types[name], codec_of(column)
        if found not in codec.accepted:
            raise ExportFileError(file, f"the column {name} is {found}, not {codec.arrow}")
        columns.append(column)
    return tuple(columns)


def _check_sizes(file: TableFile, metadata: pq.FileMetaData) -> None:
    """Refuse what would fill the memory before its values can be looked at."""
    texts = _texts(file)
    vectors = {file.source.name_of(column.name) for column in file.columns if column.name in _VECTORS}
    if why := bounds.fault_of_file(metadata, file.path.stat().st_size, vectors):
        raise ExportFileError(file.name, why)
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for chunk in map(group.column, range(group.num_columns)):
            column = chunk.path_in_schema.partition(".")[0]
            most = _MAX_TEXTS if column in texts else _MAX_ROW * (group.num_rows + 1)
            if chunk.total_uncompressed_size > most:
                size = f"{chunk.total_uncompressed_size:,} bytes"
                raise ExportFileError(
                    file.name, f"{column} has {size} in one row group of {group.num_rows:,} rows"
                )


def _texts(file: TableFile) -> set[str]:
    """Return the columns of values of any length, as the file names them."""
    return {
        file.source.name_of(column.name)
        for column in file.columns
        if codec_of(column).arrow in (pa.string(), pa.binary())
    }


def _checked(file: TableFile, batch: pa.RecordBatch, before: int) -> pa.RecordBatch:
    """Return a batch with the columns of the table; so many rows were before it."""
    arrays = []
    for column, found in zip(file.columns, batch.columns, strict=True):
        with _explained(file.name):
            array, fault = bounds.plain(column, found)
            if fault is None and array.null_count and not column.nullable:
                fault = array.is_null().index(True).as_py(), "is NULL"
            fault = fault or codec_of(column).fault(array) or bounds.fault_of(column, array)
        _refuse(file, column.name, fault, before)
        arrays.append(array)
    checked = pa.RecordBatch.from_arrays(arrays, [column.name for column in file.columns])
    if fault_of_row := bounds.fault_of_rows(checked):
        _refuse(file, *fault_of_row, before)
    return checked


def _refuse(file: TableFile, column: str, fault: Fault | None, before: int) -> None:
    if fault is not None:
        row, why = fault
        name = file.source.name_of(column)
        raise ExportFileError(file.name, f"row {before + row + 1:,}: {name} {why}")


def _check_version(version: str) -> None:
    if not (version.isdecimal() and version.isascii()):
        raise ExportFileError(f"image{SUFFIX}", f"the schema is no number: {version!r}")
    if version > HEAD:
        raise SchemaError(
            f"the export is of schema {version}, newer than this imrec-pg knows ({HEAD}): {_UPDATE}"
        )


def _about(path: Path) -> dict[str, str]:
    """Return what a file says of itself."""
    with _opened(path) as parquet:
        said = parquet.metadata.metadata or {}
    about = {}
    for key in ("imrec.schema", "imrec.exported_at", "imrec.table", "imrec.tables"):
        try:
            about[key] = said[key.encode()].decode()
        except (KeyError, UnicodeDecodeError):
            raise ExportFileError(
                path.name, f"has no {key} in its key-value metadata, as imrec-pg export writes it"
            ) from None
    return about


@contextmanager
def _opened(path: Path, texts: Iterable[str] = ()) -> Iterator[Any]:
    if not path.is_file():  # also keeps out pipes, which would hang
        raise ExportFileError(path.name, f"is not in {shown(path.parent)}: the export is not whole")
    with _explained(path.name):
        file = path.open("rb")
    with file:
        with _explained(path.name):
            # Pages are read one by one, not a row group at once; of texts, each distinct one is held once.
            parquet = pq.ParquetFile(
                file, buffer_size=1 << 20, page_checksum_verification=True, read_dictionary=list(texts)
            )
        yield parquet


@contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        raise ExportFileError(name, "needs more memory than there is") from error
    except (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError) as error:
        raise ExportFileError(name, f"cannot be read: {' '.join(str(error).split())[:300]}") from error
