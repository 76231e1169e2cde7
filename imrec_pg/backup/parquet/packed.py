"""Vectors and hashes: fields of one length, translated as a whole array."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from imrec_pg.backup.parquet.codec import Codec, Fault, Values, first_fault


class Bits(Codec):
    """bit(64) as an unsigned number, the first bit the highest: XOR and a count of bits work on it."""

    _LENGTH = 64
    _FIELD = np.dtype([("length", ">i4"), ("bits", ">u8")])

    def __init__(self, length: int | None) -> None:
        if length != self._LENGTH:
            raise NotImplementedError(f"bit({length}) has no Arrow type here")
        self.arrow = pa.uint64()
        self.accepted = (self.arrow,)

    def to_arrow(self, fields: Values) -> pa.Array:
        """Return uint64."""
        joined, empty = _joined(fields, self._FIELD)
        return pa.array(joined["bits"].astype(np.uint64), mask=empty)

    def to_fields(self, array: pa.Array) -> Values:
        """Return bit(64): the number of bits, and the bits."""
        rows = np.zeros(len(array), dtype=self._FIELD)
        rows["length"], rows["bits"] = self._LENGTH, pc.fill_null(array, 0).to_numpy()
        return _split(rows, array)


class Vector(Codec):
    """A list of float32; Parquet has no lists of a fixed length, so that is checked here."""

    def __init__(self, length: int | None) -> None:
        if length is None:
            raise NotImplementedError("a vector without a length has no Arrow type here")
        self._length = length
        self._field = np.dtype([("length", ">i2"), ("unused", ">i2"), ("values", ">f4", length)])
        self.arrow = pa.list_(pa.float32(), length)
        self.accepted = (pa.list_(pa.float32()), pa.large_list(pa.float32()), self.arrow)

    def to_arrow(self, fields: Values) -> pa.Array:
        """Return lists of float32, of a fixed length."""
        joined, empty = _joined(fields, self._field)
        values = pa.array(joined["values"].astype(np.float32).ravel())
        return pa.FixedSizeListArray.from_arrays(values, self._length, mask=pa.array(empty))

    def to_fields(self, array: pa.Array) -> Values:
        """Return vectors: the number of values, two bytes that mean nothing, and the values."""
        rows = np.zeros(len(array), dtype=self._field)
        rows["length"] = self._length
        rows["values"][np.asarray(array.is_valid())] = self._numbers(array)
        return _split(rows, array)

    def fault(self, array: pa.Array) -> Fault | None:
        """Return the first row without a direction: searches could not find it."""
        lengths = pc.not_equal(pc.list_value_length(array), self._length)
        if fault := first_fault(lengths, f"has another number of values than {self._length}"):
            return fault
        if array.flatten().null_count:
            return first_fault(_by_row(array, self._length), "has a value that is NULL")
        rows = self._numbers(array)
        infinite = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if len(infinite):
            return _nth_valid(array, infinite[0]), "has a value that is no finite number"
        zeros = np.flatnonzero(~rows.any(axis=1))
        if len(zeros):
            return _nth_valid(array, zeros[0]), "is all zeros, so that it has no direction"
        return None

    def _numbers(self, array: pa.Array) -> NDArray[np.float32]:
        """Return float32 (rows that are not NULL, length)."""
        flat: NDArray[np.float32] = array.flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(-1, self._length)


def _joined(fields: Values, dtype: "np.dtype[Any]") -> tuple[Any, NDArray[np.bool_]]:
    """Return fields of one length as a structured array, zeros where they are NULL, and where that is."""
    empty = np.array([field is None for field in fields], dtype=np.bool_)
    nothing = bytes(dtype.itemsize)
    data = b"".join(nothing if field is None else field for field in fields)
    return np.frombuffer(data, dtype=dtype), empty


def _split(rows: NDArray[Any], array: pa.Array) -> Values:
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
