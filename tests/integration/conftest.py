"""Roles with rights in the database under test."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier
from restricted_readers import Restricted, make_roots

from imrec_pg.access import grants
from imrec_pg.db.connection import Connection
from imrec_pg.records import GrantedRole


@pytest.fixture
def new_role(conn: Connection) -> Iterator[Callable[[], str]]:
    """Return what makes names of roles that do not exist yet; the roles are dropped afterwards."""
    names: list[str] = []

    def make() -> str:
        names.append((f'a "role" %s {uuid4().hex[:8]} ' + "with a very long name" * 3)[:63])
        return names[-1]

    yield make
    for name in names:
        drop_role(conn, name)


def drop_role(conn: Connection, name: str) -> None:
    if conn.execute("SELECT FROM pg_roles WHERE rolname = %s", (name,)).rowcount:
        conn.execute(SQL("DROP OWNED BY {}").format(Identifier(name)))
        conn.execute(SQL("DROP ROLE {}").format(Identifier(name)))


@pytest.fixture
def restricted(conn: Connection, dsn: str, new_role: Callable[[], str]) -> Iterator[Restricted]:
    make_roots(conn)
    name = new_role()
    grants.grant(conn, GrantedRole.READER, name, create=True, roots=["/mine"])
    with psycopg.connect(make_conninfo(dsn, user=name), autocommit=True) as own:
        yield Restricted(own, name)
