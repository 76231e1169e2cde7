"""Row-level security: which role sees the photos of which roots (docs/adr/0017).

Who sees what is stored in imrec_internal.access and access_root, of which the policies ask: a root that is
deleted is gone from all rights. The rules for each table are in sql/internal/access_rule.sql.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg.sql import SQL, Identifier

from imrec_pg.db.apply_sql import renew_access
from imrec_pg.db.connection import Connection
from imrec_pg.db.rows import all_rows, value, values
from imrec_pg.errors import UnknownRootError

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


def forget(conn: Connection, role: str) -> None:
    """Take a role's rights to see photos; under row-level security it sees none from this moment.

    Nobody but those who may change these rows can lock them, so that nobody else can hold this up.
    """
    conn.execute(_FORGET, (role,))


def set_access(conn: Connection, role: str, access: Access | None) -> None:
    """Let a role see what access says, None for nothing; turn row-level security on or off as that needs.

    Roles that could read until now can read on: turned on, it hides rows from nobody else. Call it in a
    transaction that holds the lock "access" and waits for locks but briefly.
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
    if tables := values(conn, str, _TO_LOCK):
        # All at once, before the first change: others then wait for milliseconds.
        conn.execute(
            SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(
                SQL(", ").join(Identifier(*table.split(".")) for table in tables)
            )
        )
    renew_access(conn)
