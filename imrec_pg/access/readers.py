"""Readers of some roots: which role sees the photos of which roots (docs/adr/0023).

They may read no table. What they may see is in imrec_internal.access_root, of which the functions ask that answer
them (sql/internal/reader_roots.sql): a root that is deleted is gone from all rights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from imrec_pg.db.apply_sql import renew_access
from imrec_pg.db.connection import Connection
from imrec_pg.db.rows import all_rows
from imrec_pg.errors import UnknownRootError

# A role of the same name that was created later has another id.
_FORGET_DROPPED = "DELETE FROM imrec_internal.access WHERE role NOT IN (SELECT oid FROM pg_catalog.pg_roles)"
_FORGET = """
DELETE FROM imrec_internal.access
WHERE role = (SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname = %s)
"""
_ADD = (
    "INSERT INTO imrec_internal.access (role) SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname = %s"
)
_ADD_ROOTS = """
INSERT INTO imrec_internal.access_root (role, root_id)
SELECT r.oid, n.root_id FROM pg_catalog.pg_roles AS r CROSS JOIN unnest(%s::uuid[]) AS n (root_id)
WHERE r.rolname = %s
"""


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
    """Take a role's right to see photos of some roots; it sees none from this moment.

    Nobody but those who may change these rows can lock them, so that nobody else can hold this up.
    """
    conn.execute(_FORGET, (role,))


def restrict(conn: Connection, role: str, roots: Sequence[UUID]) -> None:
    """Let a role that has no privileges yet see the photos of some roots; call it in a transaction."""
    conn.execute(_FORGET_DROPPED)
    forget(conn, role)
    conn.execute(_ADD, (role,))
    conn.execute(_ADD_ROOTS, (list(roots), role))
    renew_access(conn)
