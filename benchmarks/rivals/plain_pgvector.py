"""pgvector as its README shows it: one table, vector(512), nothing set.

The server is the same one and tuned for the machine, which does this rival no harm; pgvector's own settings
are put back to what they are on any other server.
"""

import time
from collections.abc import Iterable, Sequence
from types import MappingProxyType

import numpy as np
import psycopg
from numpy.typing import NDArray
from pgvector.psycopg import register_vector

_OPERATORS = MappingProxyType({"cosine": "<=>", "euclidean": "<->", "manhattan": "<+>"})

_DEFAULTS = ("SET hnsw.ef_search = 40", "SET hnsw.iterative_scan = off")


class PlainPgvector:
    """A table of items on a connection of its own.

    Args:
        dsn: of a database with pgvector.
        table: a new name.
    """

    def __init__(self, dsn: str, table: str) -> None:
        self._conn = psycopg.connect(dsn, autocommit=True)
        register_vector(self._conn)
        self._table = table
        # The first use of the type loads pgvector; settings made before that may be dropped.
        for statement in ("SELECT '[1]'::vector", *_DEFAULTS):
            self._run(statement)
        self._run(f"CREATE TABLE {table} (id bigserial PRIMARY KEY, embedding vector(512))")

    def load(self, blocks: Iterable[NDArray[np.float32]]) -> None:
        """Store all rows; ids count from 1. Vacuum follows at once, as autovacuum would a minute later."""
        statement = f"COPY {self._table} (embedding) FROM STDIN WITH (FORMAT BINARY)"
        with self._conn.cursor() as cur, cur.copy(statement.encode()) as copy:
            copy.set_types(["vector"])
            for block in blocks:
                for row in block:
                    copy.write_row([row])
        self._run(f"VACUUM (ANALYZE) {self._table}")

    def build_index(self) -> float:
        """Build the HNSW index for cosine distance with pgvector's defaults; return how many seconds it took.

        They are m = 16 and ef_construction = 64.
        """
        started = time.perf_counter()
        self._run(f"CREATE INDEX ON {self._table} USING hnsw (embedding vector_cosine_ops)")
        return time.perf_counter() - started

    def nearest(
        self, query: NDArray[np.float32], metric: str, k: int
    ) -> tuple[Sequence[int], Sequence[float]]:
        """Return the row numbers, from 0, and distances that a plain ORDER BY gives, nearest first."""
        distance = f"embedding {_OPERATORS[metric]} %(query)s"
        statement = f"SELECT id, {distance} FROM {self._table} ORDER BY {distance} LIMIT {k}"  # noqa: S608 - ours
        rows = self._conn.execute(statement.encode(), {"query": query}).fetchall()
        return [int(row[0]) - 1 for row in rows], [float(row[1]) for row in rows]

    def close(self) -> None:
        """Drop the table and end the connection."""
        self._run(f"DROP TABLE {self._table}")
        self._conn.close()

    def _run(self, statement: str) -> None:
        self._conn.execute(statement.encode())
