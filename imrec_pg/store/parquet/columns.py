"""A column between three spellings: PostgreSQL's type, Arrow's type, and the field of a binary COPY.

Values pass as PostgreSQL's own binary fields wherever Python would round or refuse them: a timestamp of the
year 20000, a vector's last bit.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pgvector.sqlalchemy import VECTOR
from sqlalchemy import BigInteger, Column, DateTime, Double, Integer, LargeBinary, SmallInteger, Text
from sqlalchemy.dialects.postgresql import BIT, UUID
from sqlalchemy.types import TypeEngine

Values = Sequence[Any]
Fault = tuple[int, str]
"""Which row of an array is wrong, counted from 0, and why."""

# PostgreSQL counts microseconds from 2000, Arrow from 1970. The two ends stand for infinity.
_EPOCH_US = 946_684_800_000_000
_INFINITE = (-(1 << 63), (1 << 63) - 1)
# A path has 4,096 bytes at most; what is far longer is an attack on memory.
_MAX_BYTES = 1 << 20
# What imrec-pg escapes in every text before it stores it (paths.py): a terminal would obey it.
_CONTROLS = r"[\x00-\x1f\x7f-\x{9f}\x{2028}\x{2029}]"


class Codec(ABC):
    """Translates one column.

    Attributes:
        arrow: the type that is written.
        accepted: the types that are read, that one among them.
        wire: as what psycopg is to take the field of a binary COPY.
    """

    arrow: pa.DataType
    accepted: tuple[pa.DataType, ...]
    wire = "bytea"

    @abstractmethod
    def to_arrow(self, fields: Values) -> pa.Array:
        """Return the fields of a COPY, None for NULL, as an array."""

    @abstractmethod
    def to_fields(self, array: pa.Array) -> Values:
        """Return an array of an accepted type as fields for a COPY, None for NULL."""

    def fault(self, array: pa.Array) -> Fault | None:
        """Return the first value that the database must not get, if there is one."""
        del array
        return None


class _Plain(Codec):
    """Numbers, which are the same everywhere."""

    def __init__(self, arrow: pa.DataType, wire: str) -> None:
        self.arrow, self.accepted, self.wire = arrow, (arrow,), wire

    def to_arrow(self, fields: Values) -> pa.Array:
        return pa.array(fields, self.arrow)

    def to_fields(self, array: pa.Array) -> Values:
        fields: list[Any] = array.to_pylist()
        return fields


class _Uuid(Codec):
    """Parquet's own UUID: DuckDB reads a UUID, pyarrow its extension type, others 16 bytes."""

    def __init__(self) -> None:
        self.arrow = pa.uuid()
        self.accepted = (pa.uuid(), pa.binary(16))

    def to_arrow(self, fields: Values) -> pa.Array:
        return pa.ExtensionArray.from_storage(pa.uuid(), pa.array(fields, pa.binary(16)))

    def to_fields(self, array: pa.Array) -> Values:
        fields: list[Any] = _storage(array).to_pylist()
        return fields


class _Bytes(Codec):
    def __init__(self) -> None:
        self.arrow = pa.binary()
        self.accepted = (pa.binary(), pa.large_binary())

    def to_arrow(self, fields: Values) -> pa.Array:
        return pa.array(fields, self.arrow)

    def to_fields(self, array: pa.Array) -> Values:
        fields: list[Any] = array.to_pylist()
        return fields

    def fault(self, array: pa.Array) -> Fault | None:
        return _first(pc.greater(pc.binary_length(array), _MAX_BYTES), f"is longer than {_MAX_BYTES:,} bytes")


class _String(_Bytes):
    """Text; its field in a COPY is its UTF-8, and Arrow checks that it is that."""

    def __init__(self) -> None:
        self.arrow = pa.string()
        self.accepted = (pa.string(), pa.large_string())

    def to_fields(self, array: pa.Array) -> Values:
        return super().to_fields(array.cast(pa.large_binary()))

    def fault(self, array: pa.Array) -> Fault | None:
        return super().fault(array) or _first(
            pc.match_substring_regex(array, _CONTROLS), "has a control character"
        )


class _Timestamp(Codec):
    """Microseconds on both sides; PostgreSQL's infinity is the least and the greatest 64-bit number."""

    wire = "int8"

    def __init__(self, zone: str | None) -> None:
        self.arrow = pa.timestamp("us", zone)
        self.accepted = (self.arrow,)

    def to_arrow(self, fields: Values) -> pa.Array:
        return _shifted(pa.array(fields, pa.int64()), _EPOCH_US).cast(self.arrow)

    def to_fields(self, array: pa.Array) -> Values:
        fields: list[Any] = _shifted(array.cast(pa.int64()), -_EPOCH_US).to_pylist()
        return fields


class _Bits(Codec):
    """bit(64) as an unsigned number, the first bit the highest: XOR and a count of bits work on it."""

    _LENGTH = 64
    _FIELD = np.dtype([("length", ">i4"), ("bits", ">u8")])

    def __init__(self, length: int | None) -> None:
        if length != self._LENGTH:
            raise NotImplementedError(f"bit({length}) has no Arrow type here")
        self.arrow = pa.uint64()
        self.accepted = (self.arrow,)

    def to_arrow(self, fields: Values) -> pa.Array:
        joined, empty = _joined(fields, self._FIELD)
        return pa.array(joined["bits"].astype(np.uint64), mask=empty)

    def to_fields(self, array: pa.Array) -> Values:
        rows = np.zeros(len(array), dtype=self._FIELD)
        rows["length"], rows["bits"] = self._LENGTH, pc.fill_null(array, 0).to_numpy()
        return _split(rows, array)


class _Vector(Codec):
    """A list of float32; Parquet has no lists of a fixed length, so that is checked here."""

    def __init__(self, length: int | None) -> None:
        if length is None:
            raise NotImplementedError("a vector without a length has no Arrow type here")
        self._length = length
        self._field = np.dtype([("length", ">i2"), ("unused", ">i2"), ("values", ">f4", length)])
        self.arrow = pa.list_(pa.float32(), length)
        self.accepted = (pa.list_(pa.float32()), pa.large_list(pa.float32()), self.arrow)

    def to_arrow(self, fields: Values) -> pa.Array:
        joined, empty = _joined(fields, self._field)
        values = pa.array(joined["values"].astype(np.float32).ravel())
        return pa.FixedSizeListArray.from_arrays(values, self._length, mask=pa.array(empty))

    def to_fields(self, array: pa.Array) -> Values:
        rows = np.zeros(len(array), dtype=self._field)
        rows["length"] = self._length
        rows["values"][np.asarray(array.is_valid())] = self._numbers(array)
        return _split(rows, array)

    def fault(self, array: pa.Array) -> Fault | None:
        lengths = pc.not_equal(pc.list_value_length(array), self._length)
        if fault := _first(lengths, f"has another number of values than {self._length}"):
            return fault
        if array.flatten().null_count:
            return _first(_by_row(array, self._length), "has a value that is NULL")
        rows = self._numbers(array)
        infinite = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if len(infinite):
            return _nth_valid(array, infinite[0]), "has a value that is no finite number"
        zeros = np.flatnonzero(~rows.any(axis=1))
        if len(zeros):
            return _nth_valid(array, zeros[0]), "is all zeros, so that it has no direction"
        return None

    def _numbers(self, array: pa.Array) -> "np.ndarray[Any, np.dtype[np.float32]]":
        """Return float32 (rows that are not NULL, length)."""
        flat: np.ndarray[Any, np.dtype[np.float32]] = array.flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(-1, self._length)


_CODECS: dict[type[TypeEngine[Any]], Callable[[Any], Codec]] = {
    UUID: lambda _: _Uuid(),
    VECTOR: lambda vector: _Vector(vector.dim),
    BIT: lambda bits: _Bits(bits.length),
    DateTime: lambda moment: _Timestamp("UTC" if moment.timezone else None),
    LargeBinary: lambda _: _Bytes(),
    Text: lambda _: _String(),
    SmallInteger: lambda _: _Plain(pa.int16(), "int2"),
    BigInteger: lambda _: _Plain(pa.int64(), "int8"),
    Integer: lambda _: _Plain(pa.int32(), "int4"),
    Double: lambda _: _Plain(pa.float64(), "float8"),
}


def codec_of(column: Column[Any]) -> Codec:
    """Return what translates a column.

    Raises:
        NotImplementedError: its type has no place in an export yet.
    """
    made = _CODECS.get(type(column.type))
    if made is None:
        raise NotImplementedError(f"{column}: {column.type!r} has no Arrow type here")
    return made(column.type)


def _storage(array: pa.Array) -> pa.Array:
    return array.storage if isinstance(array, pa.ExtensionArray) else array


def _first(wrong: pa.Array, why: str) -> Fault | None:
    index = pc.index(wrong, value=True).as_py()
    return None if index < 0 else (int(index), why)


def _shifted(array: pa.Array, microseconds: int) -> pa.Array:
    finite = pc.invert(pc.is_in(array, pa.array(_INFINITE, pa.int64())))
    moved = pc.add_checked(pc.if_else(finite, array, 0), microseconds)
    return pc.if_else(finite, moved, array)


def _joined(fields: Values, dtype: "np.dtype[Any]") -> "tuple[Any, np.ndarray[Any, np.dtype[np.bool_]]]":
    """Return fields of one length as a structured array, zeros where they are NULL, and where that is."""
    empty = np.array([field is None for field in fields], dtype=np.bool_)
    nothing = bytes(dtype.itemsize)
    data = b"".join(nothing if field is None else field for field in fields)
    return np.frombuffer(data, dtype=dtype), empty


def _split(rows: "np.ndarray[Any, np.dtype[Any]]", array: pa.Array) -> Values:
    data, size = rows.tobytes(), rows.dtype.itemsize
    parts = [data[start : start + size] for start in range(0, len(data), size)]
    if not array.null_count:
        return parts
    return [part if valid else None for part, valid in zip(parts, array.is_valid().to_pylist(), strict=True)]


def _by_row(array: pa.Array, length: int) -> pa.Array:
    """Return for each row whether one of its values is NULL."""
    numbers = np.asarray(array.flatten().is_null()).reshape(-1, length).any(axis=1)
    found = np.zeros(len(array), dtype=np.bool_)
    found[np.asarray(array.is_valid())] = numbers
    return pa.array(found)


def _nth_valid(array: pa.Array, index: int) -> int:
    """Return which row of the array is that one of those that are not NULL."""
    return int(np.flatnonzero(np.asarray(array.is_valid()))[index])
