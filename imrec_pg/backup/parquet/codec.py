"""What a translation of a column has to do."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

Values = Sequence[Any]
Fault = tuple[int, str]
"""Which row of an array is wrong, counted from 0, and why."""


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


def first_fault(wrong: pa.Array, why: str) -> Fault | None:
    """Return the first row of which it is true that it is wrong."""
    index = pc.index(wrong, value=True).as_py()
    return None if index < 0 else (int(index), why)
