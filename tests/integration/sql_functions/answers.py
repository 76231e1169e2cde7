"""Rows that the SQL functions return, and rankings by NumPy to hold against them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg.rows import dict_row

from imrec_pg.db.connection import Connection

NUMBER = 90


Row = Mapping[str, Any]


def rows(conn: Connection, statement: str, *parameters: object) -> Sequence[Row]:
    with conn.cursor(row_factory=dict_row) as cur:
        return cur.execute(statement.encode(), parameters).fetchall()


def ids(found: Sequence[Row]) -> list[int]:
    return [row["image_id"].int for row in found]


def cosine(x: NDArray[Any], q: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(1 - (x @ q) / (np.linalg.norm(x, axis=1) * np.linalg.norm(q)))


def ranked(distances: NDArray[Any], without: Sequence[int] = ()) -> list[int]:
    """Image ids, nearest first, ties by id."""
    order = np.lexsort((np.arange(len(distances)), distances.round(9)))
    return [int(i) + 1 for i in order if int(i) + 1 not in without]
