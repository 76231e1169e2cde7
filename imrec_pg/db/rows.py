"""Queries whose rows come back with their types: as records, or as the one value that they hold."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, LiteralString, Protocol, TypeAlias, TypeVar
from uuid import UUID

import psycopg
from psycopg.abc import Params
from psycopg.rows import class_row, scalar_row
from psycopg.sql import SQL, Composed

T = TypeVar("T")
Query: TypeAlias = LiteralString | SQL | Composed


def all_rows(
    conn: psycopg.Connection[Any], kind: type[T], query: Query, parameters: Params | None = None
) -> list[T]:
    """Return every row as a record; the columns are named as its fields."""
    with conn.cursor(row_factory=class_row(kind)) as cur:
        return cur.execute(query, parameters).fetchall()


def one_row(
    conn: psycopg.Connection[Any], kind: type[T], query: Query, parameters: Params | None = None
) -> T:
    """Return the only row, which there always is, as a record."""
    (row,) = all_rows(conn, kind, query, parameters)
    return row


def values(
    conn: psycopg.Connection[Any], kind: type[T], query: Query, parameters: Params | None = None
) -> list[T]:
    """Return the first column of every row."""
    with conn.cursor(row_factory=scalar_row) as cur:
        found = cur.execute(query, parameters).fetchall()
    assert all(isinstance(value, kind) for value in found), f"{found[:3]} should be of {kind}"
    return found


def value(conn: psycopg.Connection[Any], kind: type[T], query: Query, parameters: Params | None = None) -> T:
    """Return the first column of the only row, which there always is."""
    (found,) = values(conn, kind, query, parameters)
    return found


def value_or_none(
    conn: psycopg.Connection[Any], kind: type[T], query: Query, parameters: Params | None = None
) -> T | None:
    """Return the first column of the only row, None where there is no row."""
    return next(iter(values(conn, kind, query, parameters)), None)


class Located(Protocol):
    """A row that is known by the id of its file."""

    @property
    def file_id(self) -> UUID:
        """The key by which pages are ordered."""


Row = TypeVar("Row", bound=Located)


def paged(page: Callable[[UUID, int], Sequence[Row]], size: int) -> Iterator[Row]:
    """Yield the rows of all pages; page(after, size) returns the next ones in the order of their ids.

    Each page is a call of its own, so that page may retry its query, or open the connection anew.
    """
    after = UUID(int=0)
    while True:
        rows = page(after, size)
        yield from rows
        if len(rows) < size:
            return
        after = rows[-1].file_id
