"""Row-level security: which role sees the photos of which roots (docs/adr/0017).

It is off until somebody is restricted to some roots, and off again when nobody is. While it is on, each role
that was granted something has a policy on each table: a condition for the restricted, plain true for all
others, which the planner drops. The tables' owner is bound by none.
"""

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from psycopg import errors as pg
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from imrec_pg.db.connection import Connection
from imrec_pg.errors import StoreError, UnknownRootError

_OF_ROOT = SQL("root_id = ANY ({roots})")
# With OFFSET each row is looked up. Without, the planner reads all of imrec.file beforehand: for a walk
# over an HNSW index, which looks at some hundred rows, five times as slow among 50,000 images, and it grows.
_OF_IMAGE = SQL("EXISTS (SELECT FROM imrec.file AS l WHERE l.image_id = {table}.image_id OFFSET 0)")
_OF_LOCATION = SQL("EXISTS (SELECT FROM imrec.file AS l WHERE l.file_id = {table}.file_id OFFSET 0)")
_NOTHING = SQL("false")

RULES = {
    "root": _OF_ROOT,
    "mount": _OF_ROOT,
    "location": _OF_ROOT,
    "failure": _OF_ROOT,
    "image": _OF_IMAGE,
    "embedding": _OF_IMAGE,
    "histogram": _OF_IMAGE,
    "hash": _OF_IMAGE,
    "missing": _OF_LOCATION,
    "claim": _OF_ROOT,
    "worker": _NOTHING,  # hosts and processes of others
    "tuning": _NOTHING,  # it counts all images
}
"""What a restricted role sees of each table that tells of photos. A new table needs a line here or in OPEN:
a restricted role may else not read it, and functions that do will fail for it."""
OPEN = ("model", "hamming_flip", "schema_version")
"""Tables that tell of no photo."""
VIEWS = ("photo", "hash_feature")
"""Views; they must be security_invoker, for else they read with the rights of their owner."""

# How long a grant waits for one table and in all; see _lock.
_LOCK_TIMEOUT, _PATIENCE_S = "300ms", 15
_PREFIX = "imrec_"
_POLICIES = """
SELECT r.rolname, c.relname, p.polname FROM pg_catalog.pg_policy AS p
INNER JOIN pg_catalog.pg_class AS c ON c.oid = p.polrelid
INNER JOIN pg_catalog.pg_roles AS r ON r.oid = ANY (p.polroles)
WHERE c.relnamespace = 'imrec'::pg_catalog.regnamespace AND starts_with(p.polname, %s)
"""
_ACCESS = """
SELECT r.rolname, CASE WHEN e.condition <> 'true' THEN ARRAY(
    SELECT m[1]::uuid FROM regexp_matches(e.condition, '[0-9a-f]{8}-[0-9a-f-]{27}', 'g') AS m
) END
FROM pg_catalog.pg_policy AS p
INNER JOIN pg_catalog.pg_roles AS r ON r.oid = ANY (p.polroles)
CROSS JOIN LATERAL pg_catalog.pg_get_expr(p.polqual, p.polrelid) AS e (condition)
WHERE p.polrelid = 'imrec.root'::pg_catalog.regclass AND starts_with(p.polname, %s)
"""
_READERS = """
SELECT DISTINCT r.rolname FROM pg_catalog.pg_class AS c
CROSS JOIN LATERAL aclexplode(c.relacl) AS a
INNER JOIN pg_catalog.pg_roles AS r ON r.oid = a.grantee
WHERE c.oid = 'imrec.image'::pg_catalog.regclass AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner
"""
_SWITCHED = """
SELECT relname FROM pg_catalog.pg_class
WHERE relnamespace = 'imrec'::pg_catalog.regnamespace AND relname = ANY (%s) AND relrowsecurity = %s
"""
_PRESENT = """
SELECT relname FROM pg_catalog.pg_class
WHERE relnamespace = 'imrec'::pg_catalog.regnamespace AND relname = ANY (%s) ORDER BY relname
"""


@dataclass(frozen=True, slots=True)
class Access:
    """What a role sees: the photos of some roots, or of all when roots is None."""

    roots: tuple[UUID, ...] | None = None


def root_ids(conn: Connection, names: Sequence[str]) -> tuple[UUID, ...]:
    """Return the ids of roots.

    Raises:
        UsageError: there is no root of such a name.
    """
    rows = conn.execute("SELECT name, root_id FROM imrec.root WHERE name = ANY (%s)", (list(names),))
    found = {str(name): key for name, key in rows if isinstance(key, UUID)}
    for name in names:
        if name not in found:
            raise UnknownRootError(name)
    return tuple(sorted(found.values()))


def readable(conn: Connection) -> list[str]:
    """Return the tables and views that a restricted role is granted: those with a rule."""
    return _present(conn, (*RULES, *OPEN, *VIEWS))


def restricted(conn: Connection) -> list[str]:
    """Return the roles that see some roots alone."""
    return [role for role, access in _known(conn).items() if access.roots is not None]


def set_access(conn: Connection, role: str | None, access: Access | None) -> None:
    """Let a role see what access says, None for nothing; turn row-level security on or off as that needs.

    Roles that could read until now can read on: turned on, it hides rows from nobody else. With role None
    only what is lacking is made, such as policies on new tables. Call it in a transaction.

    Raises:
        StoreError: others use the tables, and for too long.
    """
    known = _known(conn)
    if not known and (access is None or access.roots is None):
        return
    if not known:
        known = {str(row[0]): Access() for row in conn.execute(_READERS)}
    known.pop(role or "", None)
    if role is not None and access is not None:
        known[role] = access
    if all(access.roots is None for access in known.values()):
        known = {}
    tables = _present(conn, tuple(RULES))
    statements = [*_policies(conn, tables, known, changed=role), *_switches(conn, tables, on=bool(known))]
    if statements:
        _lock(conn, tables)
    for statement in statements:
        conn.execute(statement)


def _policies(
    conn: Connection, tables: Sequence[str], known: dict[str, Access], *, changed: str | None
) -> Iterator[Composed]:
    """Yield what drops policies that do not hold any more, and what makes those that lack."""
    present = set()
    for role, table, name in conn.execute(_POLICIES, (_PREFIX,)).fetchall():
        if role in known and role != changed:
            present.add((role, table))
        else:
            names = Identifier(str(name)), Identifier("imrec", str(table))
            yield SQL("DROP POLICY {} ON {}").format(*names)
    for role, access in known.items():
        for table in tables:
            if (role, table) not in present:
                yield _policy(role, table, access)


def _switches(conn: Connection, tables: Sequence[str], *, on: bool) -> Iterator[Composed]:
    for (table,) in conn.execute(_SWITCHED, (list(tables), not on)).fetchall():
        names = Identifier("imrec", str(table)), SQL("ENABLE" if on else "DISABLE")
        yield SQL("ALTER TABLE {} {} ROW LEVEL SECURITY").format(*names)


def _policy(role: str, table: str, access: Access) -> Composed:
    names: dict[str, Composable] = {
        # Of the role's name only 63 bytes would fit, and its oid is another one in a restored database.
        "name": Identifier(_PREFIX + uuid4().hex),
        "on": Identifier("imrec", table),
        "role": Identifier(role),
    }
    if access.roots is None:
        return SQL("CREATE POLICY {name} ON {on} TO {role} USING (true) WITH CHECK (true)").format(**names)
    condition = RULES[table].format(table=Identifier(table), roots=Literal(list(access.roots)))
    return SQL("CREATE POLICY {name} ON {on} FOR SELECT TO {role} USING ({condition})").format(
        **names, condition=condition
    )


def _lock(conn: Connection, tables: Sequence[str]) -> None:
    """Keep everybody out of the tables, which policies need, without making them wait for long.

    A lock that is waited for holds up all who come later, behind an index build for an hour. So each wait is
    shorter than deadlock_timeout (1 s), and what was locked is let go before the next try.
    """
    statement = SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(
        SQL(", ").join(Identifier("imrec", table) for table in tables)
    )
    conn.execute("SELECT set_config('lock_timeout', %s, true)", (_LOCK_TIMEOUT,))
    end = time.monotonic() + _PATIENCE_S
    while True:
        try:
            with conn.transaction():
                conn.execute(statement)
        except pg.LockNotAvailable as error:
            if time.monotonic() > end:
                raise StoreError(
                    "other sessions use the tables without a pause, such as an index build: try again later"
                ) from error
            time.sleep(random.uniform(0.1, 0.5))  # noqa: S311 - two grants must not keep in step
        else:
            return


def _known(conn: Connection) -> dict[str, Access]:
    """Return what each role with policies of ours sees; nothing when row-level security is off."""
    found = {}
    for role, roots in conn.execute(_ACCESS, (_PREFIX,)):
        found[str(role)] = Access(tuple(roots) if isinstance(roots, list) else None)
    return found


def _present(conn: Connection, names: Sequence[str]) -> list[str]:
    return [str(row[0]) for row in conn.execute(_PRESENT, (list(names),))]
