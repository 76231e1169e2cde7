"""Exports of development versions, before 0.1.0: some files and columns have other names, hashes share a file."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Source:
    """Where the rows of a table are in an export.

    Attributes:
        file: without its suffix.
        names: of columns that have another name there.
        unused: columns there that have no place in the table.
    """

    file: str
    names: Mapping[str, str] = field(default_factory=dict)
    unused: AbstractSet[str] = frozenset()

    def name_of(self, column: str) -> str:
        """Return the name that a column of the table has in the file."""
        return self.names.get(column, column)


_FILE_COLUMNS = {"file_id": "location_id", "size": "bytes"}
_SOURCES = {
    "image": Source("image", {"size": "bytes"}),
    "file": Source("location", _FILE_COLUMNS),
    "failure": Source("failure", _FILE_COLUMNS),
    "missing": Source("missing", _FILE_COLUMNS),
    "average_hash": Source("hash", unused={"difference_hash"}),
    "difference_hash": Source("hash", unused={"average_hash"}),
    # Now each row says by which version it was computed; all development versions had 1.
    "model": Source("model", unused={"extraction_version"}),
}


def is_development(files: AbstractSet[str]) -> bool:
    """Return whether an export with these files is of a development version; their schemas ended with 0008."""
    return "location" in files


def source_of(table: str, *, development: bool) -> Source:
    """Return where the rows of a table are in an export."""
    return (_SOURCES.get(table) if development else None) or Source(table)
