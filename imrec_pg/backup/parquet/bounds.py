"""What a value of an export may be, beyond its type: lengths, ranges, paths that stay below their root, ids.

An id of a root is made from its first name, which it may have lost since, so that it cannot be checked; ids of
files can.
"""

from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy import Column

from imrec_pg.backup.parquet.codec import Fault, first_fault
from imrec_pg.db.metadata import DIMENSIONS
from imrec_pg.paths import file_id

# PATH_MAX of Linux, the longest of all systems that store photos; as text a byte may become four (\xff).
_MAX_PATH = 4096
_MAX_TEXT = 4 * _MAX_PATH
_MAX_LENGTHS = {
    "raw_path": _MAX_PATH,
    "relative_path": _MAX_PATH,
    "format": 100,
    "camera_make": 400,  # 100 letters
    "camera_model": 400,
    "error_class": 100,
    "weights_sha256": 64,
}
# The model's embeddings stay below 100. Squares of 1e18 overflow a float32, and distances with them.
_RANGES = {"embedding": (-1e6, 1e6), "histogram": (0, 1.000001)}
# Python knows the years 1 to 9999; in microseconds since 1970.
_TIMES = (-62_135_596_800_000_000, 253_402_300_799_999_999)
# Every row has an id of its own, 16 bytes of a hash, which no compression makes shorter; but tests count upwards.
_LEAST_ROW = 4


def plain(column: Column[Any], array: pa.Array) -> tuple[pa.Array, Fault | None]:
    """Return texts as they are, of which each distinct one was held once, unless one of them is too long.

    A dictionary of a single long text may stand for all rows: only now do they take memory.
    """
    if not isinstance(array, pa.DictionaryArray):
        return array, None
    most = _MAX_LENGTHS.get(column.name, _MAX_TEXT)
    too_long = pc.greater(pc.binary_length(array.dictionary), most)
    if pc.any(too_long).as_py():
        rows = pc.take(too_long, array.indices)
        return array, first_fault(rows, f"is longer than {most:,} bytes") or (
            0,
            "has a text that is too long",
        )
    return array.dictionary_decode(), None


def fault_of(column: Column[Any], array: pa.Array) -> Fault | None:
    """Return the first value that is out of its bounds, of a column that has none of a wrong type."""
    if pa.types.is_timestamp(array.type):
        microseconds = array.cast(pa.int64())
        outside = pc.or_(pc.less(microseconds, _TIMES[0]), pc.greater(microseconds, _TIMES[1]))
        return first_fault(outside, "is not within the years 1 to 9999")
    if column.name in _RANGES:
        return _fault_of_vectors(array, *_RANGES[column.name])
    if column.name == "relative_path":
        return _first(array, _fault_of_relative)
    if column.name == "raw_path":
        return _first(array, _fault_of_absolute)
    if column.name == "weights_sha256":
        return first_fault(
            pc.invert(pc.match_substring_regex(array, "^[0-9a-f]{64}$")),
            "is no SHA-256 in hexadecimal digits",
        )
    return None


def fault_of_rows(batch: pa.RecordBatch) -> tuple[str, Fault] | None:
    """Return the first row of a batch, and its column, of which the id is none of its own."""
    names = batch.schema.names
    if {"file_id", "root_id", "relative_path"} <= set(names):
        ids, roots, paths = (_values(batch[name]) for name in ("file_id", "root_id", "relative_path"))
        for row, (found, root, path) in enumerate(zip(ids, roots, paths, strict=True)):
            if found != file_id(UUID(bytes=root), path).bytes:
                return "file_id", (row, "is not made from root_id and relative_path")
    return None


def fault_of_file(metadata: pq.FileMetaData, size: int, vectors: set[str]) -> str | None:
    """Return what a file of so many bytes claims that it cannot hold, before anything of it is decoded."""
    if metadata.num_rows * _LEAST_ROW > size:
        return f"claims to have {metadata.num_rows:,} rows in {size:,} bytes"
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for chunk in map(group.column, range(group.num_columns)):
            column = chunk.path_in_schema.partition(".")[0]
            most = group.num_rows * (DIMENSIONS if column in vectors else 1)
            if chunk.num_values > most:
                return f"{column} has {chunk.num_values:,} values in a row group of {group.num_rows:,} rows"
    return None


def _fault_of_vectors(array: pa.Array, low: float, high: float) -> Fault | None:
    values = array.flatten().to_numpy(zero_copy_only=False).reshape(-1, DIMENSIONS)
    outside = np.flatnonzero(((values < low) | (values > high)).any(axis=1))
    if not len(outside):
        return None
    row = int(np.flatnonzero(np.asarray(array.is_valid()))[outside[0]])
    return row, f"has a value that is not within {low:g} and {high:g}"


def _first(array: pa.Array, fault: Any) -> Fault | None:  # noqa: ANN401 - a function of bytes
    for row, value in enumerate(_values(array)):
        if value is not None and (why := fault(value)):
            return row, why
    return None


def _fault_of_relative(path: bytes) -> str | None:
    if b"\0" in path:
        return "has a NUL"
    if path.startswith(b"/"):
        return "is absolute"
    if any(part in {b"", b".", b".."} for part in path.split(b"/")):
        return "does not lead to a file below its root"
    return None


def _fault_of_absolute(path: bytes) -> str | None:
    if b"\0" in path:
        return "has a NUL"
    if b".." in path.replace(b"\\", b"/").split(b"/"):
        return "has a part '..'"
    if not (path.startswith((b"/", b"\\\\")) or path[1:2] == b":"):
        return "is not absolute"
    return None


def _values(array: pa.Array) -> list[Any]:
    storage = array.storage if isinstance(array, pa.ExtensionArray) else array
    values: list[Any] = storage.to_pylist()
    return values
