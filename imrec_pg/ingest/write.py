"""Write a batch: COPY into staging tables, then one function that merges them, all in one transaction."""

import logging
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

import psycopg
from pgvector import Bit
from psycopg import errors as pg
from psycopg.sql import SQL, Identifier

from imrec_pg.db.connection import Connection, translated
from imrec_pg.db.retry import retry_conflicts, split_on_timeout
from imrec_pg.db.rows import one_row, values
from imrec_pg.extraction import version_of
from imrec_pg.images.decode_errors import one_line
from imrec_pg.paths import display_path
from imrec_pg.records import FailedFile, Feature, FoundFile, StoredImage

logger = logging.getLogger(__name__)
# For a client that froze, or is cut off, between its last statement and COMMIT. Its locks would keep others
# from taking over what it claimed for as long as the system believes in the connection: two hours.
_IDLE = "60s"

# A value that COPY cannot send, that its column cannot hold, or that a check or an index rejects.
_REFUSALS = (
    psycopg.DataError,
    pg.CheckViolation,
    pg.NotNullViolation,
    pg.ProgramLimitExceeded,
    UnicodeEncodeError,
    OverflowError,
    struct.error,
)

_FILE_COLUMNS = ("file_id", "root_id", "relative_path", "path", "size", "mtime_ns")
_FILE_TYPES = ("uuid", "uuid", "bytea", "text", "int8", "int8")


@dataclass(frozen=True, slots=True)
class Merged:
    """What one batch changed.

    Attributes:
        new: images stored for the first time.
        duplicates: files whose content was stored already, under another path or earlier in the batch.
        replaced: files that held another image before.
        elsewhere: files that another ingest had taken over, or that this batch had stored before.
        gone: files not stored, for their image was known when they were read and is there no more.
        refused: files recorded as failed, since the database does not take what was read of them.
        rows: how many images and failures went through in one transaction at most.
    """

    new: int
    duplicates: int
    replaced: int
    elsewhere: int = 0
    gone: int = 0
    refused: int = 0
    rows: int = field(default=0, compare=False)

    def __add__(self, other: "Merged") -> "Merged":
        return Merged(
            self.new + other.new,
            self.duplicates + other.duplicates,
            self.replaced + other.replaced,
            self.elsewhere + other.elsewhere,
            self.gone + other.gone,
            self.refused + other.refused,
            max(self.rows, other.rows),
        )


def write_batch(conn: Connection, images: Sequence[StoredImage], failed: Sequence[FailedFile] = ()) -> Merged:
    """Store images, places, features and failures, all or nothing; replaying it changes nothing.

    Where the server allows a statement less time than that takes, it is cut into several transactions. So it is
    around a row whose values the database refuses: its files become failures of their own.

    Raises:
        StoreError: the database refused it.
        DatabaseUnreachableError: the connection was lost; the batch may or may not be stored.
    """
    with translated(conn):
        rows: list[StoredImage | FailedFile] = [*images, *failed]
        return sum(split_on_timeout(rows, lambda part: _write_sound(conn, part)), Merged(0, 0, 0))


def _write_sound(conn: Connection, rows: Sequence[StoredImage | FailedFile]) -> Merged:
    try:
        return _write(conn, rows)
    except _REFUSALS as error:
        reason = one_line(str(error))
    if len(rows) > 1:
        half = len(rows) // 2
        merged = _write_sound(conn, rows[:half]) + _write_sound(conn, rows[half:])
        return replace(merged, rows=len(rows))
    (row,) = rows
    if isinstance(row, FailedFile):
        logger.warning("%s: its failure cannot be recorded: %s", display_path(row.file.path), reason)
        return Merged(0, 0, 0, rows=1)
    failed = [FailedFile(file, row.image_id, "Refused", reason) for file in row.files]
    return replace(_write_sound(conn, failed), refused=len(failed), rows=1)


def _write(conn: Connection, rows: Sequence[StoredImage | FailedFile]) -> Merged:
    images = [row for row in rows if isinstance(row, StoredImage)]
    failed = [row for row in rows if isinstance(row, FailedFile)]
    gone = 0

    def once() -> Merged:
        nonlocal images, gone
        try:
            return _write_once(conn, images, failed)
        except pg.ForeignKeyViolation:
            there = _without_gone(conn, images)
            gone += _files(images) - _files(there)
            images = there
            raise

    return replace(retry_conflicts(once), gone=gone, rows=len(rows))


def _without_gone(conn: Connection, images: Sequence[StoredImage]) -> list[StoredImage]:
    """Return the images but those known ones that the last file has left that held them."""
    known = [image.image_id for image in images if image.info is None]
    there = set(values(conn, UUID, "SELECT image_id FROM imrec.image WHERE image_id = ANY(%s)", (known,)))
    return [image for image in images if image.info is not None or image.image_id in there]


def _files(images: Sequence[StoredImage]) -> int:
    return sum(len(image.files) for image in images)


def _write_once(conn: Connection, images: Sequence[StoredImage], failed: Sequence[FailedFile]) -> Merged:
    with conn.transaction(), conn.cursor() as cur:
        cur.execute(
            "SELECT set_config('idle_in_transaction_session_timeout', %s, true), imrec_internal.create_stage()",
            (_IDLE,),
        )
        _copy_images(cur, images)
        _copy_features(cur, images)
        _copy(
            cur,
            "stage_failure",
            (*_FILE_COLUMNS, "error_class", "error", "image_id"),
            (*_FILE_TYPES, "text", "text", "uuid"),
            ((*_file_row(f.file), f.error_class, f.error, f.image_id) for f in failed),
        )
        written: list[StoredImage | FailedFile] = [*images, *failed]
        claims = ((file.file_id, file.token) for item in written for file in item.files if file.token)
        _copy(cur, "stage_claim", ("file_id", "token"), ("uuid", "int8"), claims)
        return one_row(
            conn,
            Merged,
            "SELECT new_images AS new, duplicates, replaced, elsewhere FROM imrec_internal.merge_stage()",
        )


def _copy_images(cur: psycopg.Cursor[tuple[object, ...]], images: Sequence[StoredImage]) -> None:
    infos = {image.image_id: image.info for image in images if image.info is not None}
    _copy(
        cur,
        "stage_image",
        (
            "image_id",
            "size",
            "width",
            "height",
            "format",
            "taken_at",
            "camera_make",
            "camera_model",
            "truncated",
            "version",
        ),
        ("uuid", "int8", "int4", "int4", "text", "timestamp", "text", "text", "bool", "int2"),
        (
            (
                *(i.image_id, i.size, i.width, i.height, i.format),
                *(i.taken_at, i.camera_make, i.camera_model, i.truncated, i.version),
            )
            for i in infos.values()
        ),
    )
    _copy(
        cur,
        "stage_file",
        ("image_id", *_FILE_COLUMNS),
        ("uuid", *_FILE_TYPES),
        ((image.image_id, *_file_row(file)) for image in images for file in image.files),
    )


def _copy_features(cur: psycopg.Cursor[tuple[object, ...]], images: Sequence[StoredImage]) -> None:
    unique = {image.image_id: image.features for image in images if image.info is not None}
    for feature in Feature:
        version = version_of(feature)
        _copy(
            cur,
            f"stage_{feature}",
            ("image_id", feature.value, "version"),
            ("uuid", "bit" if feature.is_hash else "vector", "int2"),
            (
                (key, Bit(value) if isinstance(value, bytes) else value, version)
                for key, features in unique.items()
                if (value := features.get(feature)) is not None
            ),
        )


def _copy(
    cur: psycopg.Cursor[tuple[object, ...]],
    table: str,
    columns: Sequence[str],
    types: Sequence[str],
    rows: Iterable[Sequence[object]],
) -> None:
    # pg_temp: a table of this name that someone put into the search path must not catch the rows.
    statement = SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(
        Identifier("pg_temp", table), SQL(", ").join(map(Identifier, columns))
    )
    with cur.copy(statement) as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)


def _file_row(file: FoundFile) -> tuple[object, ...]:
    return (
        file.file_id,
        file.root_id,
        file.relative_path,
        display_path(file.known_as or file.path),
        file.size,
        file.mtime_ns,
    )
