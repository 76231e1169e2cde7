"""Take an export into a library: first all of it is checked, then stored.

The catalogue is one transaction, so that no image is ever without its files. Features follow in batches of a
transaction each: a run that was killed leaves images without features, as an ingest may, and the next one
adds what is missing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
from psycopg.sql import SQL, Identifier
from sqlalchemy import Table

from imrec_pg.backup.parquet.columns import codec_of
from imrec_pg.backup.parquet.merging import Merged, merge_catalogue, merge_features
from imrec_pg.backup.parquet.reading import TableFile, batches, open_export
from imrec_pg.backup.parquet.staging import blamed, check_keys, create_key_stage, create_stage, staged
from imrec_pg.backup.parquet.tables import exported_tables, is_feature, key_of
from imrec_pg.catalogue.model import check_model
from imrec_pg.db.connection import Connection, translated
from imrec_pg.db.metadata import SCHEMA
from imrec_pg.db.retry import retry_conflicts
from imrec_pg.db.rows import all_rows
from imrec_pg.errors import ExportFileError
from imrec_pg.records import Feature, ModelIdentity, OnProgress


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of the rows of an export, by table."""

    tables: Sequence[Merged]

    @property
    def conflicts(self) -> int:
        """How many rows were left out since the library says otherwise."""
        return sum(table.conflicts for table in self.tables)


class _Progress:
    """Counts rows for whoever watches."""

    def __init__(self, what: str, total: int, report: OnProgress | None) -> None:
        self._what, self._done, self._total, self._report = what, 0, total, report

    def add(self, rows: int) -> None:
        self._done += rows
        if self._report is not None:
            self._report(self._what, self._done, self._total)


def import_library(
    conn: Connection, folder: Path, *, replace: bool = False, on_progress: OnProgress | None = None
) -> Imported:
    """Store what an export holds and the library has not; doing it again changes nothing.

    Args:
        conn: in autocommit mode.
        folder: as export_library() made it.
        replace: where the library says otherwise, the export is right; else the library is.
        on_progress: what to tell; see OnProgress.

    Raises:
        ExportFileError: a file is missing or broken, or holds what has no place in a library; nothing has
            been stored, unless a file was changed meanwhile.
        SchemaError: the export is of a newer imrec-pg.
        ModelMismatchError: another model made its embeddings.
    """
    files = open_export(folder)
    _check_model_known(files)
    features = [file for file in files if is_feature(file.table)]
    with translated(conn):
        with conn.transaction():
            progress = _Progress("check", sum(file.rows for file in files), on_progress)
            _stage(conn, files, progress)
            merged = retry_conflicts(partial(_merge_catalogue, conn, files, replace=replace))
        progress = _Progress("store", sum(file.rows for file in features), on_progress)
        for file in features:
            merged.append(_import_features(conn, file, progress, replace=replace))
        for table in merged:
            if table.added or table.replaced:
                # Also sets the visibility map and the hint bits, which the first searches would else have to.
                conn.execute(SQL("VACUUM (ANALYZE) {}").format(Identifier(SCHEMA, table.table)))
    return Imported(merged)


def _check_model_known(files: Sequence[TableFile]) -> None:
    rows = {file.table.name: file for file in files}
    embedding, model = rows.get(Feature.EMBEDDING), rows.get("model")
    if embedding is not None and embedding.rows and not (model and model.rows):
        raise ExportFileError(
            "model.parquet", f"has no row, so that nobody knows which model made {embedding.name}"
        )


def _stage(conn: Connection, files: Sequence[TableFile], progress: _Progress) -> None:
    """Read all files once: the catalogue into temporary tables, of the features the keys alone."""
    catalogue = [table for table in exported_tables() if not is_feature(table)]
    for table in catalogue:
        create_stage(conn, table)
    # The shortest first: what is wrong with them is known before the features are read.
    for file in sorted(files, key=lambda file: file.rows):
        if is_feature(file.table):
            create_key_stage(conn, file.table)
        names = key_of(file.table) if is_feature(file.table) else _names(file)
        with blamed(file.name):
            for batch in batches(file):
                _copy(conn, file.table, batch.select(names))
                progress.add(len(batch))
        if file.table.name == "model":
            _check_model(conn)
    check_keys(conn, catalogue, [file.table for file in files if is_feature(file.table)])


def _check_model(conn: Connection) -> None:
    for model in all_rows(conn, ModelIdentity, "SELECT name, weights_sha256 FROM pg_temp.incoming_model"):
        check_model(conn, model)


def _merge_catalogue(conn: Connection, files: Sequence[TableFile], *, replace: bool) -> list[Merged]:
    columns = {file.table: _names(file) for file in files if not is_feature(file.table)}
    with conn.transaction():
        merged = merge_catalogue(conn, columns, replace=replace)
        # Once more: an ingest may have been the first to record a model.
        _check_model(conn)
        return merged


def _import_features(conn: Connection, file: TableFile, progress: _Progress, *, replace: bool) -> Merged:
    merged = Merged(file.table.name, 0)
    for batch in batches(file):
        with blamed(file.name):
            merged = merged.plus(retry_conflicts(partial(_import_batch, conn, file, batch, replace=replace)))
        progress.add(len(batch))
    return merged


def _import_batch(conn: Connection, file: TableFile, batch: pa.RecordBatch, *, replace: bool) -> Merged:
    with conn.transaction():
        create_stage(conn, file.table)
        _copy(conn, file.table, batch)
        return merge_features(conn, file.table, _names(file), replace=replace)


def _names(file: TableFile) -> tuple[str, ...]:
    return tuple(column.name for column in file.columns)


def _copy(conn: Connection, table: Table, batch: pa.RecordBatch) -> None:
    codecs = [codec_of(table.columns[name]) for name in batch.schema.names]
    statement = SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(
        staged(table), SQL(", ").join(map(Identifier, batch.schema.names))
    )
    fields = [codec.to_fields(array) for codec, array in zip(codecs, batch.columns, strict=True)]
    with conn.cursor() as cur, cur.copy(statement) as copy:
        copy.set_types([codec.wire for codec in codecs])
        for row in zip(*fields, strict=True):
            copy.write_row(row)
