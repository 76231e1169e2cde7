"""Who may do what: the privileges of those who search, and of those who ingest."""

from collections.abc import Sequence
from functools import partial

from psycopg.sql import SQL, Composed, Identifier

from imrec_pg.access import readers
from imrec_pg.db.connection import Connection, translated
from imrec_pg.db.locks import in_tries, lock
from imrec_pg.db.privileges import INGEST, SEARCH
from imrec_pg.db.rows import value, values
from imrec_pg.errors import BlockedError, UnknownRoleError, UsageError
from imrec_pg.records import GrantedRole

# What later versions of the schema add is granted too, as long as the same role upgrades it.
_READ = (
    *SEARCH,
    SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA imrec GRANT SELECT ON TABLES TO {role}"),
)
# What they may read beside that, says imrec_internal.grant_change.
_READ_SOME = (SQL("GRANT USAGE ON SCHEMA imrec TO {role}"),)
# A revocation carries out each of these by itself: one that is held up holds up no other.
_NOTHING = (
    SQL("REVOKE ALL ON SCHEMA imrec FROM {role}"),
    SQL("REVOKE ALL ON ALL TABLES IN SCHEMA imrec FROM {role}"),
    SQL("REVOKE ALL ON ALL FUNCTIONS IN SCHEMA imrec FROM {role}"),
    SQL("REVOKE TEMPORARY ON DATABASE {database} FROM {role}"),
    SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA imrec REVOKE ALL ON TABLES FROM {role}"),
    SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA imrec REVOKE ALL ON FUNCTIONS FROM {role}"),
)
# Who is a member of such a role is not restricted by us.
_SEES_ALL = """
SELECT r.rolname FROM pg_catalog.pg_roles AS r
WHERE pg_has_role(%(role)s, r.oid, 'MEMBER') AND has_table_privilege(r.oid, 'imrec.file', 'SELECT')
AND (r.rolname <> %(role)s OR r.rolsuper)
ORDER BY r.rolname <> %(role)s, r.rolname LIMIT 1
"""
# By a privilege of PUBLIC, say, on what restricted readers don't get.
_READABLE = """
SELECT c.relname FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = 'imrec'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
AND has_table_privilege(%(role)s, c.oid, 'SELECT')
AND c.oid NOT IN (SELECT to_regclass(o.relation) FROM imrec_internal.open_relation AS o)
ORDER BY c.relname LIMIT 1
"""
_OWNER = """
SELECT r.rolname FROM pg_catalog.pg_namespace AS n
INNER JOIN pg_catalog.pg_roles AS r ON r.oid = n.nspowner WHERE n.nspname = 'imrec'
"""
# What a role may do: 0 nothing, or see the photos of some roots; 1 see all; 2 ingest; 3 all that the owner may.
_RANK = """
SELECT CASE
    WHEN EXISTS (
        SELECT FROM pg_catalog.pg_auth_members AS m
        INNER JOIN pg_catalog.pg_namespace AS n ON n.nspowner = m.roleid
        WHERE m.member = r.oid AND n.nspname = 'imrec'
    ) THEN 3
    WHEN has_table_privilege(r.oid, 'imrec.file', 'INSERT') THEN 2
    WHEN has_table_privilege(r.oid, 'imrec.file', 'SELECT') THEN 1
    ELSE 0
END
FROM pg_catalog.pg_roles AS r WHERE r.rolname = %s
"""
_IS_MEMBER = """
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_auth_members AS m
    INNER JOIN pg_catalog.pg_roles AS r ON r.oid = m.roleid
    INNER JOIN pg_catalog.pg_roles AS u ON u.oid = m.member
    WHERE r.rolname = %s AND u.rolname = %s
)
"""


def grant(
    conn: Connection, kind: GrantedRole, name: str, *, create: bool = False, roots: Sequence[str] = ()
) -> None:
    """Let a role search, or search and ingest, or do all that the schema's owner may; and no more of these.

    The connection has to be of the schema's owner. With create, the role is made when there is none; it may
    log in, and has no password yet. With roots, a reader sees the photos of these alone.

    Raises:
        UnknownRoleError: there is no such role.
        UnknownRootError: there is no such root.
        UsageError: it is the owner itself, or it would still see all.
        PermissionDeniedError: the connection's role may not grant that.
        BlockedError: others hold locks on the tables for too long. A role that was to have less than before has
            nothing then; any other keeps what it had.
    """
    if roots and kind is not GrantedRole.READER:
        raise UsageError(
            f"only readers can be restricted to some roots: an {kind} has to see all that is stored, to know "
            "what is new and which image no file holds any more"
        )
    taken: list[bool] = []

    def when_blocked() -> None:
        taken.append(_take_if_less(conn, kind, name, roots))

    with translated(conn):
        try:
            in_tries(conn, lambda: _give(conn, kind, name, roots, create=create), when_blocked=when_blocked)
        except BlockedError as error:
            if taken != [True]:
                raise
            raise BlockedError(
                error.blockers, f"{name!r} lost the access that it had, and is not granted any yet"
            ) from error


def revoke(conn: Connection, name: str) -> None:
    """Take from a role what grant() gave it; the role stays.

    Each privilege is taken by itself, whoever holds locks on the tables.

    Raises:
        UnknownRoleError: there is no such role.
        UsageError: it is the owner itself.
        PermissionDeniedError: the connection's role may not take that away.
        BlockedError: others hold up some of it; the text says what the role keeps.
    """
    with translated(conn):
        _take_all(conn, name, _check(conn, name))


def _give(conn: Connection, kind: GrantedRole, name: str, roots: Sequence[str], *, create: bool) -> None:
    lock(conn, "access")
    if create and not _exists(conn, name):
        conn.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(name)))
    owner = _check(conn, name)
    for statement in _taking_all(conn, name, owner):
        conn.execute(statement)
    readers.forget(conn, name)
    if kind is GrantedRole.OWNER:
        conn.execute(SQL("GRANT {} TO {}").format(Identifier(owner), Identifier(name)))
    elif roots:
        _check_bound(conn, name)
        _carry_out(conn, _READ_SOME, name)
        readers.restrict(conn, name, readers.root_ids(conn, roots))
    else:
        _carry_out(conn, _READ if kind is GrantedRole.READER else (*_READ, *INGEST), name)


def _take_if_less(conn: Connection, kind: GrantedRole, name: str, roots: Sequence[str]) -> bool:
    """Take all from a role that is to have less than it has, before anything is given; return whether that was."""
    rank = 0 if roots else list(GrantedRole).index(kind) + 1
    if not _exists(conn, name) or (rank and value(conn, int, _RANK, (name,)) <= rank):
        return False
    _take_all(conn, name, _check(conn, name))
    return True


def _take_all(conn: Connection, name: str, owner: str) -> None:
    """Take all from a role in statements that are each a transaction; one that is held up stops no other.

    Raises:
        BlockedError: some were held up for too long.
    """
    readers.forget(conn, name)
    held_up = []
    for statement in _taking_all(conn, name, owner):
        try:
            in_tries(conn, partial(conn.execute, statement), 0)
        except BlockedError:
            held_up.append(statement)
    for statement in held_up:
        try:
            in_tries(conn, partial(conn.execute, statement))
        except BlockedError as error:
            raise BlockedError(
                error.blockers, f"{name!r} keeps some privileges ({statement.as_string(conn)})"
            ) from error


def _taking_all(conn: Connection, name: str, owner: str) -> list[Composed]:
    statements = _formatted(conn, _NOTHING, name)
    if value(conn, bool, _IS_MEMBER, (owner, name)):
        statements.insert(0, SQL("REVOKE {} FROM {}").format(Identifier(owner), Identifier(name)))
    return statements


def _check_bound(conn: Connection, name: str) -> None:
    """Return when a role, which was given nothing yet, may read no table and is a member of none that may.

    Raises:
        UsageError: it would see all photos, in one way or another.
    """
    for other in values(conn, str, _SEES_ALL, {"role": name}):
        if other == name:
            raise UsageError(f"PostgreSQL refuses {name!r}, a superuser, nothing: take another role")
        statement = SQL("REVOKE {} FROM {}").format(Identifier(other), Identifier(name))
        raise UsageError(
            f"{name!r} is a member of {other!r}, which sees all photos: {statement.as_string(conn)}"
        )
    for relation in values(conn, str, _READABLE, {"role": name}):
        raise UsageError(
            f"{name!r} could read all of imrec.{relation}, by a privilege of PUBLIC or of a role it is a "
            "member of: REVOKE that first (\\dp imrec.* in psql shows them)"
        )


def _check(conn: Connection, name: str) -> str:
    """Return the schema's owner.

    Raises:
        UnknownRoleError: there is no such role.
        UsageError: it is the owner itself.
    """
    if not _exists(conn, name):
        raise UnknownRoleError(name)
    owner = value(conn, str, _OWNER)
    if owner == name:
        raise UsageError(f"{name!r} owns the schema imrec, and may do everything with it already")
    return owner


def _exists(conn: Connection, name: str) -> bool:
    return conn.execute("SELECT FROM pg_catalog.pg_roles WHERE rolname = %s", (name,)).rowcount == 1


def _carry_out(conn: Connection, statements: Sequence[SQL], name: str) -> None:
    for statement in _formatted(conn, statements, name):
        conn.execute(statement)


def _formatted(conn: Connection, statements: Sequence[SQL], name: str) -> list[Composed]:
    names = {"role": Identifier(name), "database": Identifier(conn.info.dbname)}
    return [statement.format(**names) for statement in statements]
