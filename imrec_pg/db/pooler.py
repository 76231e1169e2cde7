"""Connections that work through a pooler such as PgBouncer, too.

In transaction mode a pooler hands each transaction to any session of the server. What one of ours sets for its
session would reach other programs and not the next statement, and prepared statements and session locks would
stay behind.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import psycopg
from psycopg.abc import Params, QueryNoTemplate
from psycopg.pq import TransactionStatus

Row = tuple[object, ...]

# The path goes first: what follows is found in pg_catalog whatever others have planted. A pooler answers with
# a process number of its own; nothing else tells it apart.
_PIN = (
    "SELECT pg_catalog.set_config('search_path', CASE WHEN {direct} THEN 'pg_catalog, pg_temp' "
    "ELSE pg_catalog.current_setting('search_path') END, NOT {direct}), {direct}"
).format(direct="pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.=) %(pid)s::pg_catalog.int4")
_SET = "SELECT pg_catalog.set_config(%s, %s, %s)"


class _Cursor(psycopg.Cursor[Any]):
    def execute(  # type: ignore[override]  # psycopg's overload for template strings needs Python 3.14
        self,
        query: QueryNoTemplate,
        params: Params | None = None,
        *,
        prepare: bool | None = None,
        binary: bool | None = None,
    ) -> Self:
        conn = self.connection
        assert isinstance(conn, ServerConnection)
        if conn.pooled and conn.autocommit and conn.info.transaction_status == TransactionStatus.IDLE:
            with conn.transaction():
                return super().execute(query, params, prepare=prepare, binary=binary)
        return super().execute(query, params, prepare=prepare, binary=binary)

    def execute_alone(self, query: QueryNoTemplate) -> None:
        super().execute(query)


class ServerConnection(psycopg.Connection[Any]):
    """A connection whose names mean pg_catalog's unless they are qualified, with or without a pooler.

    Attributes:
        pooled: whether a pooler is between: then each statement is a transaction that sets what it relies on.
        another: opens a second connection to the same database.
        restricted: whether the role is a reader of some roots; None until db.privileges has asked.
    """

    pooled: bool = False
    restricted: bool | None = None
    another: Callable[[], "ServerConnection"]
    _settings: dict[str, str]

    def pin(self) -> None:
        """Pin the search_path, and find out whether there is a pooler; to be called once, at first."""
        self._settings = {}
        self.cursor_factory = _Cursor
        row = self.execute(_PIN, {"pid": self.info.backend_pid}).fetchone()
        assert row is not None
        self.pooled = not row[1]
        if self.pooled:
            self.prepare_threshold = None
            self.set_for_session("search_path", "pg_catalog, pg_temp")

    def set_for_session(self, name: str, value: str) -> None:
        """Set a setting for all that follows on this connection."""
        if self.pooled:
            self._settings[name] = value
        else:
            self.execute(_SET, (name, value, False))

    def set_for_transaction(self) -> None:
        """In a transaction just begun: set for it what set_for_session() has set; transaction() does so."""
        for name, value in self._settings.items() if self.pooled else ():
            self.execute(_SET, (name, value, True))

    def execute_alone(self, query: QueryNoTemplate) -> None:
        """Execute what cannot be part of a transaction; all names in it must be qualified."""
        with self.cursor() as cur:
            assert isinstance(cur, _Cursor)
            cur.execute_alone(query)

    @contextmanager
    def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> Iterator[psycopg.Transaction]:
        """Begin a transaction or a savepoint, as psycopg does."""
        outermost = self.info.transaction_status == TransactionStatus.IDLE
        with super().transaction(savepoint_name, force_rollback) as transaction:
            if outermost:
                self.set_for_transaction()
            yield transaction


def is_pooled(conn: psycopg.Connection[Any]) -> bool:
    """Return whether a pooler is between, so that a session lock would be held by nobody in particular."""
    return isinstance(conn, ServerConnection) and conn.pooled


def set_for_session(conn: psycopg.Connection[Any], name: str, value: str) -> None:
    """Set a setting for all that follows on a connection."""
    assert isinstance(conn, ServerConnection)
    conn.set_for_session(name, value)


def execute_alone(conn: psycopg.Connection[Any], query: QueryNoTemplate) -> None:
    """Execute what cannot be part of a transaction, such as CREATE INDEX CONCURRENTLY."""
    if isinstance(conn, ServerConnection):
        conn.execute_alone(query)
    else:
        conn.execute(query)
