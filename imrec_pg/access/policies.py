"""Row-level security: which role sees the photos of which roots (docs/adr/0017).

Who sees what is stored in imrec_internal.access and access_root, of which the policies ask: a root that is
deleted is gone from all rights. The rules for each table are in sql/internal/access_rule.sql.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg import errors as pg
from psycopg.sql import SQL, Identifier

from imrec_pg.db.apply_sql import renew_access
from imrec_pg.db.connection import Connection
from imrec_pg.db.retry import wait_until
from imrec_pg.db.rows import all_rows, value, values
from imrec_pg.errors import ConflictError, UnknownRootError

# How long a grant waits for one table and in all; see _lock.
_LOCK_TIMEOUT, _LOCK_FOR_S = "300ms", 15

# A role of the same name that was created later has another id.
_FORGET_DROPPED = "DELETE FROM imrec_internal.access WHERE role NOT IN (SELECT oid FROM pg_catalog.pg_roles)"
_FORGET = """
DELETE FROM imrec_internal.access
WHERE role = (SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname = %s)
"""
_ADD = """
INSERT INTO imrec_internal.access (role, sees_all)
SELECT r.oid, %s FROM pg_catalog.pg_roles AS r WHERE r.rolname = %s
"""
_ADD_ROOTS = """
INSERT INTO imrec_internal.access_root (role, root_id)
SELECT r.oid, n.root_id FROM pg_catalog.pg_roles AS r CROSS JOIN unnest(%s::uuid[]) AS n (root_id)
WHERE r.rolname = %s
"""
_ADD_READERS = """
INSERT INTO imrec_internal.access (role, sees_all)
SELECT DISTINCT r.oid, true FROM pg_catalog.pg_class AS c
CROSS JOIN LATERAL aclexplode(c.relacl) AS a
INNER JOIN pg_catalog.pg_roles AS r ON r.oid = a.grantee
WHERE c.oid = 'imrec.image'::pg_catalog.regclass AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner
"""
_ANY_RESTRICTED = "SELECT EXISTS (SELECT FROM imrec_internal.access WHERE NOT sees_all)"
_TO_LOCK = """
SELECT DISTINCT relation FROM imrec_internal.access_change WHERE relation IS NOT NULL ORDER BY relation
"""


@dataclass(frozen=True, slots=True)
class Access:
    """What a role sees: the photos of some roots, or of all when roots is None."""

    roots: tuple[UUID, ...] | None = None


@dataclass(frozen=True, slots=True)
class _Root:
    name: str
    root_id: UUID


def root_ids(conn: Connection, names: Sequence[str]) -> tuple[UUID, ...]:
    """Return the ids of roots, each once.

    Raises:
        UnknownRootError: there is no root of such a name.
    """
    rows = all_rows(conn, _Root, "SELECT name, root_id FROM imrec.root WHERE name = ANY (%s)", (list(names),))
    found = {root.name: root.root_id for root in rows}
    for name in names:
        if name not in found:
            raise UnknownRootError(name)
    return tuple(sorted(found.values()))


def set_access(conn: Connection, role: str, access: Access | None) -> None:
    """Let a role see what access says, None for nothing; turn row-level security on or off as that needs.

    Roles that could read until now can read on: turned on, it hides rows from nobody else. Call it in a
    transaction.

    Raises:
        ConflictError: others use the tables, and for too long.
    """
    conn.execute(_FORGET_DROPPED)
    conn.execute(_FORGET, (role,))
    if access is not None and access.roots is not None:
        if not value(conn, bool, _ANY_RESTRICTED):
            conn.execute(_ADD_READERS)
        conn.execute(_ADD, (False, role))
        conn.execute(_ADD_ROOTS, (list(access.roots), role))
    elif not value(conn, bool, _ANY_RESTRICTED):
        conn.execute("DELETE FROM imrec_internal.access")
    elif access is not None:
        conn.execute(_ADD, (True, role))
    _lock(conn)
    renew_access(conn)


def _lock(conn: Connection) -> None:
    """Keep everybody out of the tables whose policies change, without making them wait for long.

    A lock that is waited for holds up all who come later, behind an index build for an hour. So each wait is
    shorter than deadlock_timeout (1 s), and what was locked is released before the next try.
    """
    tables = values(conn, str, _TO_LOCK)
    if not tables:
        return
    statement = SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(
        SQL(", ").join(Identifier(*table.split(".")) for table in tables)
    )
    conn.execute("SELECT set_config('lock_timeout', %s, true)", (_LOCK_TIMEOUT,))

    def locked() -> bool:
        try:
            with conn.transaction():
                conn.execute(statement)
        except pg.LockNotAvailable:
            return False
        return True

    if not wait_until(locked, _LOCK_FOR_S):
        raise ConflictError(
            "other sessions use the tables without a pause, such as an index build: try again later"
        )
