"""Write an export: all tables as they were at one moment, one file each, in little memory."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from psycopg.sql import SQL, Identifier
from sqlalchemy import Table

from imrec_pg import outputs
from imrec_pg.backup.parquet.columns import codec_of
from imrec_pg.backup.parquet.folder import SUFFIX, whole_folder
from imrec_pg.backup.parquet.tables import exported_tables
from imrec_pg.db.connection import Connection, snapshot, translated
from imrec_pg.db.metadata import SCHEMA
from imrec_pg.db.rows import value
from imrec_pg.db.session import HEAD
from imrec_pg.errors import StoreError
from imrec_pg.records import OnProgress

# 10,000 vectors are 20 MB. Larger row groups are no smaller on disk, and a reader has to hold one.
_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class ExportedTable:
    """One file of an export."""

    table: str
    rows: int
    size: int


@dataclass(frozen=True, slots=True)
class Exported:
    """What was exported."""

    folder: Path
    tables: Sequence[ExportedTable]


def export_library(
    conn: Connection, folder: Path, *, overwrite: bool = False, on_progress: OnProgress | None = None
) -> Exported:
    """Write the catalogue and all features into a new folder, as they were when it began.

    Args:
        conn: in autocommit mode; it needs to read only.
        folder: does not exist yet, or is empty, or with overwrite holds an export. It appears at the end.
        overwrite: replace an export that is there.
        on_progress: what to tell; see OnProgress.

    Raises:
        OutputExistsError: the folder holds an export, and overwrite is False.
        UsageError: it holds something else, or cannot be made.
        ImrecError: the disk is full, or another trouble of the file system.
        StoreError: a value has no place in Parquet.
    """
    tables = exported_tables()
    about = {
        "imrec.schema": HEAD,
        "imrec.version": version("imrec-pg"),
        "imrec.exported_at": datetime.now(UTC).isoformat(),
        "imrec.tables": ",".join(table.name for table in tables),
    }
    report = on_progress or (lambda _what, _done, _total: None)
    written: list[ExportedTable] = []
    with whole_folder(folder, overwrite=overwrite) as partial, translated(conn), snapshot(conn):
        total, done = sum(_count(conn, table) for table in tables), 0
        for table in tables:
            path = partial / f"{table.name}{SUFFIX}"
            rows = 0
            with _writer(path, table, about | {"imrec.table": table.name}) as writer:
                for batch in _batches(conn, table):
                    writer.write_batch(batch)
                    rows += len(batch)
                    report(table.name, done + rows, total)
            done += rows
            written.append(ExportedTable(table.name, rows, path.stat().st_size))
    return Exported(folder, written)


def _count(conn: Connection, table: Table) -> int:
    return value(conn, int, SQL("SELECT count(*) FROM {}").format(Identifier(SCHEMA, table.name)))


@contextmanager
def _writer(path: Path, table: Table, about: dict[str, str]) -> Iterator[Any]:
    with (
        # Python's file, since pyarrow's takes no name that is not UTF-8.
        outputs.create(path) as file,
        pq.ParquetWriter(
            file,
            _schema(table),
            # Measured on 20,000 vectors: embeddings shrink by a tenth, histograms to a twelfth, and it takes
            # less time than the server does to send them.
            compression="zstd",
            # Else some versions of Polars end at Arrow's UUID; Parquet's own types say all that is needed.
            store_schema=False,
            # A backup should notice a bad disk.
            write_page_checksum=True,
        ) as writer,
    ):
        yield writer
        writer.add_key_value_metadata(about)


def _schema(table: Table) -> pa.Schema:
    return pa.schema(
        [pa.field(column.name, codec_of(column).arrow, nullable=column.nullable) for column in table.columns]
    )


def _batches(conn: Connection, table: Table) -> Iterator[pa.RecordBatch]:
    """Yield all rows, in the order in which they lie: sorting 20 GB would take longer than reading them."""
    codecs = [codec_of(column) for column in table.columns]
    schema = _schema(table)
    statement = SQL("COPY {} ({}) TO STDOUT (FORMAT binary)").format(
        Identifier(SCHEMA, table.name), SQL(", ").join(map(Identifier, schema.names))
    )
    with conn.cursor() as cur, cur.copy(statement) as copy:
        copy.set_types([codec.wire for codec in codecs])
        rows = copy.rows()
        while chunk := list(islice(rows, _ROWS)):
            try:
                arrays = [
                    codec.to_arrow(v) for codec, v in zip(codecs, zip(*chunk, strict=True), strict=True)
                ]
            except pa.ArrowException as error:
                reason = " ".join(str(error).split())
                raise StoreError(
                    f"imrec.{table.name} has a value that Parquet cannot hold: {reason}"
                ) from error
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)
