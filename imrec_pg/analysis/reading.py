"""Read features, clusters and points out of the database by COPY, as arrays, a chunk at a time.

COPY in its binary form, of columns of one width, is an array as it comes: 450,000 embeddings are read in seconds,
where a cursor makes millions of Python objects.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.sql import SQL, Composed, Identifier, Literal

from imrec_pg.analysis.cells import Floats, unit
from imrec_pg.db.connection import Connection
from imrec_pg.db.rows import value
from imrec_pg.records import Feature

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_CHUNK = 8192
_UUID_OID = 2950  # in every PostgreSQL
Keys = NDArray[np.void]
"""Ids of images: 16 bytes each."""
Halves = NDArray[np.float16]

# The order of rows is that of the table: sums of floats come out the same each time.
_IN_ORDER = """
SELECT
    set_config('synchronize_seqscans', 'off', true), set_config('max_parallel_workers_per_gather', '0', true)
"""
_WIDTHS = {"uuid": "V16", "int4": ">i4", "float4": ">f4", "float8": ">f8", "bool": "?"}


@contextmanager
def in_order(conn: Connection) -> Iterator[None]:
    """Hold a transaction that reads tables in their order, from their beginning."""
    with conn.transaction():
        conn.execute(_IN_ORDER)
        yield


def count(conn: Connection, feature: Feature) -> int:
    """Return how many images have a feature."""
    return value(conn, int, SQL("SELECT count(*) FROM {}").format(Identifier("imrec", feature)))


def chunks(conn: Connection, feature: Feature, *, first: int | None = None) -> Iterator[tuple[Keys, Floats]]:
    """Yield ids and features at unit length, float32 (n, 512), some thousand at a time, in the table's order.

    With first, those so many whose ids come first: ids are parts of hashes, so these are a random sample, and the
    same one each time.
    """
    rest = SQL("") if first is None else SQL(" ORDER BY image_id LIMIT {}").format(first)
    for keys, vectors in _vectors(conn, feature, rest):
        yield keys, unit(vectors)


def pages(conn: Connection, feature: Feature, begin: int, end: int) -> tuple[Keys, Floats]:
    """Return the ids and features, as they are stored, that lie in some pages of their table, the last excluded."""
    places = [Literal(f"({page},0)") for page in (begin, end)]
    rest = SQL(" WHERE ctid >= {}::tid AND ctid < {}::tid").format(*places)
    parts = list(_vectors(conn, feature, rest))
    if not parts:
        return np.empty(0, "V16"), np.empty((0, 0), np.float32)
    return np.concatenate([keys for keys, _ in parts]), np.concatenate([vectors for _, vectors in parts])


def _vectors(conn: Connection, feature: Feature, rest: SQL | Composed) -> Iterator[tuple[Keys, Floats]]:
    dims = value(
        conn,
        int,
        "SELECT a.atttypmod FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = %s::regclass AND a.attname = %s",
        (f"imrec.{feature}", str(feature)),
    )
    query = (
        SQL("SELECT image_id, {} FROM {}").format(Identifier(feature), Identifier("imrec", feature)) + rest
    )
    dtype = _record([("image_id", "V16", 16), ("vector", _vector(">f4", dims), 4 + 4 * dims)])
    for rows in _copied(conn, query, dtype):
        yield rows["image_id"].copy(), rows["vector"]["values"].astype(np.float32)


def sample(conn: Connection, feature: Feature, size: int) -> tuple[Keys, Floats]:
    """Return at most so many images at random, the same ones each time: ids and features at unit length."""
    with in_order(conn):
        parts = list(chunks(conn, feature, first=size))
    if not parts:
        return np.empty(0, "V16"), np.empty((0, 0), np.float32)
    return np.concatenate([keys for keys, _ in parts]), np.concatenate([vectors for _, vectors in parts])


def columns(conn: Connection, query: Composed, types: Sequence[tuple[str, str]]) -> NDArray[Any]:
    """Return the rows of a query as one structured array; types are (name, PostgreSQL's type), never NULL."""
    widths = {name: np.dtype(_WIDTHS[kind]) for name, kind in types}
    parts = list(
        _copied(conn, query, _record([(name, dtype, dtype.itemsize) for name, dtype in widths.items()]))
    )
    native = np.dtype([(name, dtype.newbyteorder("=")) for name, dtype in widths.items()])
    found = np.empty(sum(map(len, parts)), native)
    start = 0
    for part in parts:
        for name in widths:
            found[name][start : start + len(part)] = part[name]
        start += len(part)
    return found


def halves(
    conn: Connection, query: Composed, dims: Sequence[int]
) -> tuple[Keys, NDArray[np.float64], list[Halves]]:
    """Return ids, a number each, and halfvecs of these dimensions, of a query of such columns without NULL."""
    fields: list[tuple[str, Any, int]] = [("image_id", "V16", 16), ("number", ">f8", 8)]
    fields += [(f"halves {n}", _vector(">f2", width), 4 + 2 * width) for n, width in enumerate(dims)]
    parts = list(_copied(conn, query, _record(fields)))
    if not parts:
        return np.empty(0, "V16"), np.empty(0), [np.empty((0, width), np.float16) for width in dims]
    rows = np.concatenate(parts)
    found = [rows[f"halves {n}"]["values"].astype(np.float16) for n in range(len(dims))]
    return rows["image_id"].copy(), rows["number"].astype(np.float64), found


def write_columns(
    cur: psycopg.Cursor[Any], table: tuple[str, str], columns: dict[str, tuple[str, NDArray[Any]]]
) -> None:
    """COPY arrays into columns of a table, named by schema and name.

    Each comes with PostgreSQL's type: halfvec as (n, dims), uuid[] as (n, length).
    """
    dtypes = {
        name: _vector(">f2", values.shape[1])
        if kind == "halfvec"
        else _uuids(values.shape[1])
        if kind == "uuid[]"
        else np.dtype(_WIDTHS[kind])
        for name, (kind, values) in columns.items()
    }
    dtype = _record([(name, kind, kind.itemsize) for name, kind in dtypes.items()])
    total = len(next(iter(columns.values()))[1])
    statement = SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(
        Identifier(*table), SQL(", ").join(map(Identifier, columns))
    )
    with cur.copy(statement) as copy:
        copy.write(_HEADER)
        for start in range(0, total, _CHUNK):
            rows = np.zeros(min(_CHUNK, total - start), dtype)
            rows["fields"] = len(columns)
            for name, (kind, values) in columns.items():
                rows[f"{name} length"] = dtypes[name].itemsize
                if kind == "halfvec":
                    rows[name]["dims"] = values.shape[1]
                    rows[name]["values"] = values[start : start + _CHUNK]
                elif kind == "uuid[]":
                    rows[name]["dimensions"], rows[name]["type"] = 1, _UUID_OID
                    rows[name]["length"], rows[name]["first"] = values.shape[1], 1
                    rows[name]["elements"]["length"] = 16
                    rows[name]["elements"]["id"] = values[start : start + _CHUNK]
                else:
                    rows[name] = values[start : start + _CHUNK]
            copy.write(rows.tobytes())
        copy.write(_TRAILER)


def _vector(kind: str, dims: int) -> np.dtype[np.void]:
    """Return the dtype of pgvector's binary form of a vector."""
    return np.dtype([("dims", ">i2"), ("unused", ">i2"), ("values", kind, (dims,))])


def _uuids(length: int) -> np.dtype[np.void]:
    """Return the dtype of the binary form of an array of uuid, without NULL."""
    parts = [(name, ">i4") for name in ("dimensions", "nulls", "type", "length", "first")]
    return np.dtype([*parts, ("elements", [("length", ">i4"), ("id", "V16")], (length,))])


def _record(fields: Sequence[tuple[str, Any, int]]) -> np.dtype[np.void]:
    """Return the dtype of a row of a binary COPY: the number of fields, and each with its length before it."""
    parts: list[tuple[str, Any]] = [("fields", ">i2")]
    for name, kind, _ in fields:
        parts += [(f"{name} length", ">i4"), (name, kind)]
    return np.dtype(parts)


def _copied(conn: Connection, query: Composed, dtype: np.dtype[np.void]) -> Iterator[NDArray[Any]]:
    """Yield the rows of a query in arrays of some thousand, with columns of this width."""
    buffer, begun, size = bytearray(), False, dtype.itemsize
    with conn.cursor().copy(SQL("COPY ({}) TO STDOUT (FORMAT binary)").format(query)) as copy:
        for data in copy:
            buffer += data
            if not begun and len(buffer) >= len(_HEADER):
                assert buffer.startswith(_HEADER), "not what a binary COPY begins with"
                del buffer[: len(_HEADER)]
                begun = True
            if len(buffer) >= size * _CHUNK:
                whole = len(buffer) // size * size
                yield np.frombuffer(bytes(buffer[:whole]), dtype)
                del buffer[:whole]
    assert bytes(buffer[-2:]) == _TRAILER, "not what a binary COPY ends with"
    del buffer[-2:]
    if buffer:
        yield np.frombuffer(bytes(buffer), dtype)
