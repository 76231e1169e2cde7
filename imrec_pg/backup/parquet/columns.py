"""A column between three spellings: PostgreSQL's type, Arrow's type, and the field of a binary COPY.

Values pass as PostgreSQL's own binary fields wherever Python would round or refuse them: a timestamp of the
year 20000, a vector's last bit.
"""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pgvector.sqlalchemy import VECTOR
from sqlalchemy import BigInteger, Boolean, Column, DateTime, Double, Integer, LargeBinary, SmallInteger, Text
from sqlalchemy.dialects.postgresql import BIT, UUID
from sqlalchemy.types import TypeEngine

from imrec_pg.backup.parquet.codec import Codec, Fault, Values, first_fault
from imrec_pg.backup.parquet.packed import Bits, Vector

# PostgreSQL counts microseconds from 2000, Arrow from 1970. The two ends stand for infinity.
_EPOCH_US = 946_684_800_000_000
_INFINITE = (-(1 << 63), (1 << 63) - 1)
# A path has 4,096 bytes at most; what is far longer is an attack on memory.
_MAX_BYTES = 1 << 20
# What imrec-pg escapes in every text before it stores it (paths.py): a terminal would obey it.
_CONTROLS = r"[\x00-\x1f\x7f-\x{9f}\x{2028}\x{2029}]"


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
        return first_fault(
            pc.greater(pc.binary_length(array), _MAX_BYTES), f"is longer than {_MAX_BYTES:,} bytes"
        )


class _String(_Bytes):
    """Text; its field in a COPY is its UTF-8, and Arrow checks that it is that."""

    def __init__(self) -> None:
        self.arrow = pa.string()
        self.accepted = (pa.string(), pa.large_string())

    def to_fields(self, array: pa.Array) -> Values:
        return super().to_fields(array.cast(pa.large_binary()))

    def fault(self, array: pa.Array) -> Fault | None:
        return super().fault(array) or first_fault(
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


_CODECS: dict[type[TypeEngine[Any]], Callable[[Any], Codec]] = {
    UUID: lambda _: _Uuid(),
    VECTOR: lambda vector: Vector(vector.dim),
    BIT: lambda bits: Bits(bits.length),
    DateTime: lambda moment: _Timestamp("UTC" if moment.timezone else None),
    LargeBinary: lambda _: _Bytes(),
    Text: lambda _: _String(),
    SmallInteger: lambda _: _Plain(pa.int16(), "int2"),
    BigInteger: lambda _: _Plain(pa.int64(), "int8"),
    Integer: lambda _: _Plain(pa.int32(), "int4"),
    Boolean: lambda _: _Plain(pa.bool_(), "bool"),
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


def _shifted(array: pa.Array, microseconds: int) -> pa.Array:
    finite = pc.invert(pc.is_in(array, pa.array(_INFINITE, pa.int64())))
    moved = pc.add_checked(pc.if_else(finite, array, 0), microseconds)
    return pc.if_else(finite, moved, array)
