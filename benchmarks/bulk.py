"""Load very many images whose features are known: COPY straight into the tables, then build the indexes."""

import struct
import time
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from psycopg.sql import SQL, Identifier

from imrec_pg.catalogue import index
from imrec_pg.db.connection import Connection, translated
from imrec_pg.paths import display_path
from imrec_pg.records import Feature, Metric, OnProgress, StoredImage

# 5,000 rows are 20 MB of vectors: larger chunks were no faster, and a chunk is lost when the load breaks off.
_CHUNK = 5_000
_WRITE = 1 << 20
# PostgreSQL's binary COPY: a signature, flags, no header extension; and the end.
_HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_TRAILER = struct.pack(">h", -1)
_DIMENSIONS, _BITS = 512, 64
# A row as COPY reads it: the number of fields, then each field's length and value, big-endian. Made of whole
# arrays, a chunk takes 12 ms; row by row, the client takes longer than the server.
_VECTOR_ROW = np.dtype(
    [
        ("fields", ">i2"),
        ("id_bytes", ">i4"),
        ("image_id", "u1", 16),
        ("vector_bytes", ">i4"),
        ("dimensions", ">i2"),
        ("unused", ">i2"),
        ("values", ">f4", _DIMENSIONS),
    ]
)
_HASH_ROW = np.dtype(
    [
        ("fields", ">i2"),
        ("id_bytes", ">i4"),
        ("image_id", "u1", 16),
        ("hash_bytes", ">i4"),
        ("bits", ">i4"),
        ("hash", "u1", 8),
    ]
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was loaded, and how long it took.

    Attributes:
        copy_seconds: for the rows, until they were visible to others and the planner knew of them; without
            the time spent in waiting for the images.
        index_seconds: for all indexes.
        reduce_seconds: for the reduced vectors.
    """

    images: int
    copy_seconds: float
    index_seconds: float
    reduce_seconds: float = 0.0


def load_features(
    conn: Connection,
    images: Iterable[StoredImage],
    *,
    indexes: Sequence[tuple[Feature, Metric]] = (),
    total: int | None = None,
    watcher: Connection | None = None,
    on_progress: OnProgress | None = None,
) -> Loaded:
    """Append images that are not stored yet, each with its info, files and features; then build indexes.

    Several times as fast as write_batch(), which looks at each row twice to merge it. The roots must be
    stored. A chunk of images is one transaction: a load that breaks off keeps the chunks before.

    Args:
        conn: as db.session opens it.
        images: in any order; taken a chunk at a time.
        indexes: HNSW indexes to build afterwards; building them before would take many times as long.
        total: how many images there are, for progress alone.
        watcher: a second connection, needed to see how far an index build is.
        on_progress: what to tell; see OnProgress.

    Raises:
        StoreError: an image or a file is stored already, or a root is not.
    """
    report = on_progress or (lambda _what, _done, _total: None)
    seconds = 0.0
    remaining, done = iter(images), 0
    while chunk := list(islice(remaining, _CHUNK)):
        started = time.perf_counter()
        with translated(), conn.transaction():
            _copy_chunk(conn, chunk)
        seconds += time.perf_counter() - started
        done += len(chunk)
        report("rows", done, total)
    started = time.perf_counter()
    with translated():
        for table in ("image", "file", *Feature):
            # Also sets the visibility map and the hint bits, which the first searches would else have to.
            conn.execute(SQL("VACUUM (ANALYZE) {}").format(Identifier("imrec", table)))
    copied = time.perf_counter()
    for feature, metric in indexes:
        watched = nullcontext() if watcher is None else index.watched(watcher, conn, report)
        with watched:
            index.build_index(conn, feature, metric)
    return Loaded(done, seconds + copied - started, time.perf_counter() - copied)


def copy_feature(
    conn: Connection, schema: str, feature: Feature, image_ids: NDArray[np.uint8], values: NDArray[np.generic]
) -> None:
    """Write one feature of several images into the table that is named like it, in some schema.

    image_ids are uint8 (n, 16); values has a row for each: Vectors or Hashes.
    """
    rows = _hash_rows(image_ids, values) if feature.is_hash else _vector_rows(image_ids, values)
    statement = SQL("COPY {} (image_id, {}) FROM STDIN (FORMAT binary)").format(
        Identifier(schema, feature), Identifier(feature)
    )
    with conn.cursor() as cur, cur.copy(statement) as copy:
        copy.write(_HEADER)
        for start in range(0, len(rows), _WRITE):
            copy.write(rows[start : start + _WRITE])
        copy.write(_TRAILER)


def _vector_rows(image_ids: NDArray[np.uint8], vectors: NDArray[np.generic]) -> bytes:
    """Return rows (image_id uuid, a vector(512)) as binary COPY reads them."""
    rows = np.zeros(len(image_ids), dtype=_VECTOR_ROW)
    rows["fields"], rows["id_bytes"] = 2, 16
    rows["vector_bytes"], rows["dimensions"] = 4 + 4 * _DIMENSIONS, _DIMENSIONS
    rows["image_id"], rows["values"] = image_ids, vectors
    return rows.tobytes()


def _hash_rows(image_ids: NDArray[np.uint8], hashes: NDArray[np.generic]) -> bytes:
    """Return rows (image_id uuid, a bit(64)) as binary COPY reads them."""
    rows = np.zeros(len(image_ids), dtype=_HASH_ROW)
    rows["fields"], rows["id_bytes"] = 2, 16
    rows["hash_bytes"], rows["bits"] = 4 + _BITS // 8, _BITS
    rows["image_id"], rows["hash"] = image_ids, hashes
    return rows.tobytes()


def _copy_chunk(conn: Connection, chunk: Sequence[StoredImage]) -> None:
    _copy_catalogue(conn, chunk)
    for feature in Feature:
        found = {
            image.image_id: value for image in chunk if (value := image.features.get(feature)) is not None
        }
        if found:
            values = np.stack(
                [np.frombuffer(v, np.uint8) if isinstance(v, bytes) else v for v in found.values()]
            )
            ids = np.frombuffer(b"".join(key.bytes for key in found), dtype=np.uint8)
            copy_feature(conn, "imrec", feature, ids.reshape(-1, 16), values)


def _copy_catalogue(conn: Connection, chunk: Sequence[StoredImage]) -> None:
    with conn.cursor() as cur:
        with cur.copy(
            "COPY imrec.image (image_id, size, width, height, format, taken_at, camera_make, camera_model) "
            "FROM STDIN (FORMAT binary)"
        ) as copy:
            copy.set_types(("uuid", "int8", "int4", "int4", "text", "timestamp", "text", "text"))
            for image in chunk:
                assert image.info is not None, "load_features() takes images with their info"
                i = image.info
                made = (i.taken_at, i.camera_make, i.camera_model)
                copy.write_row((image.image_id, i.size, i.width, i.height, i.format, *made))
        with cur.copy(
            "COPY imrec.file (image_id, file_id, root_id, relative_path, path, size, mtime_ns) "
            "FROM STDIN (FORMAT binary)"
        ) as copy:
            copy.set_types(("uuid", "uuid", "uuid", "bytea", "text", "int8", "int8"))
            for image in chunk:
                for f in image.files:
                    path = display_path(f.path)
                    copy.write_row(
                        (image.image_id, f.file_id, f.root_id, f.relative_path, path, f.size, f.mtime_ns)
                    )
