"""Doctor tells of schemas on a search_path in which others may plant functions."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from support import settings_for

from imrec_pg.doctor import Finding, Level, examine


def found(dsn: str) -> list[Finding]:
    return [f for f in examine(settings_for(dsn)) if f.check == "search-path"]


@pytest.fixture
def admin(dsn: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(dsn, autocommit=True) as conn:
        yield conn


@pytest.fixture
def role(admin: psycopg.Connection[tuple[object, ...]]) -> Iterator[str]:
    name = f"role_{uuid4().hex}"
    admin.execute(f"CREATE ROLE {name}".encode())
    yield name
    admin.execute(f"DROP OWNED BY {name}".encode())
    admin.execute(f"DROP ROLE {name}".encode())


def test_nothing_is_told_where_only_owners_may_create(dsn: str) -> None:
    assert [f.level for f in found(dsn)] == [Level.OK]


def test_a_public_that_is_open_to_all_is_told_and_can_be_closed(
    dsn: str, admin: psycopg.Connection[tuple[object, ...]]
) -> None:
    admin.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
    (finding,) = found(dsn)
    assert finding.level == Level.WARNING
    assert "PUBLIC may create in the schema public" in finding.what
    admin.execute(finding.fix.encode())
    assert [f.level for f in found(dsn)] == [Level.OK]


def test_a_role_that_may_create_on_the_path_of_another_role_is_told(
    dsn: str, admin: psycopg.Connection[tuple[object, ...]], role: str
) -> None:
    database = conninfo_to_dict(dsn)["dbname"]
    admin.execute("CREATE SCHEMA myapp")
    admin.execute(f"GRANT CREATE ON SCHEMA myapp TO {role}".encode())
    assert [f.level for f in found(dsn)] == [Level.OK]
    admin.execute(f"ALTER ROLE {role} IN DATABASE {database} SET search_path = myapp, public".encode())
    (finding,) = found(dsn)
    assert f"{role} may create in the schema myapp" in finding.what
