"""Who may do what: the privileges of those who search, and of those who ingest."""

from collections.abc import Sequence

from psycopg.sql import SQL, Identifier

from imrec_pg.access import policies
from imrec_pg.access.policies import Access
from imrec_pg.db.apply_sql import lock_access
from imrec_pg.db.connection import Connection, translated
from imrec_pg.db.privileges import INGEST, SEARCH
from imrec_pg.db.rows import value, values
from imrec_pg.errors import UnknownRoleError, UsageError
from imrec_pg.records import GrantedRole

# What later versions of the schema add is granted too, as long as the same role upgrades it.
_READ = (
    *SEARCH,
    SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA imrec GRANT SELECT ON TABLES TO {role}"),
)
# Which tables they may read, says imrec_internal.access_rule.
_READ_SOME = (SQL("GRANT USAGE ON SCHEMA imrec TO {role}"),)
_WRITE = (
    *INGEST,
    SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA imrec GRANT INSERT, UPDATE, DELETE ON TABLES TO {role}"),
)
_NOTHING = (
    SQL("REVOKE ALL ON ALL TABLES IN SCHEMA imrec FROM {role}"),
    SQL("REVOKE ALL ON ALL FUNCTIONS IN SCHEMA imrec FROM {role}"),
    SQL("REVOKE ALL ON SCHEMA imrec FROM {role}"),
    SQL("REVOKE TEMPORARY ON DATABASE {database} FROM {role}"),
    SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA imrec REVOKE ALL ON TABLES FROM {role}"),
    SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA imrec REVOKE ALL ON FUNCTIONS FROM {role}"),
)
_SEES_ALL = """
SELECT r.rolname FROM pg_catalog.pg_roles AS r
WHERE pg_has_role(%(role)s, r.oid, 'MEMBER') AND (
    r.rolsuper OR r.rolbypassrls
    OR r.oid IN (SELECT c.relowner FROM pg_catalog.pg_class AS c WHERE c.oid = 'imrec.file'::regclass)
    OR EXISTS (
        SELECT FROM pg_catalog.pg_policy AS p
        WHERE p.polrelid = 'imrec.file'::regclass AND r.oid = ANY (p.polroles)
        AND pg_get_expr(p.polqual, p.polrelid) = 'true'
    )
)
ORDER BY r.rolname <> %(role)s, r.rolname LIMIT 1
"""
_OTHERWISE_READABLE = """
SELECT c.relname FROM pg_catalog.pg_class AS c
LEFT JOIN imrec_internal.access_rule AS a ON to_regclass(a.relation) = c.oid
WHERE c.relnamespace = 'imrec'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
AND has_table_privilege(%(role)s, c.oid, 'SELECT')
AND (a.relation IS NULL OR c.relkind = 'v' AND 'security_invoker=true' <> ALL (coalesce(c.reloptions, '{}')))
ORDER BY c.relname LIMIT 1
"""
_OWNER = """
SELECT r.rolname FROM pg_catalog.pg_namespace AS n
INNER JOIN pg_catalog.pg_roles AS r ON r.oid = n.nspowner WHERE n.nspname = 'imrec'
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
        ConflictError: others use the tables for too long.
    """
    if roots and kind is not GrantedRole.READER:
        raise UsageError(
            f"only readers can be restricted to some roots: an {kind} has to see all that is stored, to know "
            "what is new and which image no file holds any more"
        )
    with translated(conn), conn.transaction():
        lock_access(conn)
        if create and not _exists(conn, name):
            conn.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(name)))
        owner = _check(conn, name)
        _take_all(conn, name, owner)
        if kind is GrantedRole.OWNER:
            policies.set_access(conn, name, None)
            conn.execute(SQL("GRANT {} TO {}").format(Identifier(owner), Identifier(name)))
        elif roots:
            _carry_out(conn, _READ_SOME, name)
            policies.set_access(conn, name, Access(policies.root_ids(conn, roots)))
            _check_bound(conn, name)
        else:
            policies.set_access(conn, name, Access())
            _carry_out(conn, _READ if kind is GrantedRole.READER else (*_READ, *_WRITE), name)


def revoke(conn: Connection, name: str) -> None:
    """Take from a role what grant() gave it; the role stays.

    Raises:
        UnknownRoleError: there is no such role.
        UsageError: it is the owner itself.
        PermissionDeniedError: the connection's role may not take that away.
        ConflictError: others use the tables for too long.
    """
    with translated(conn), conn.transaction():
        lock_access(conn)
        _take_all(conn, name, _check(conn, name))
        policies.set_access(conn, name, None)


def _take_all(conn: Connection, name: str, owner: str) -> None:
    _carry_out(conn, _NOTHING, name)
    if value(conn, bool, _IS_MEMBER, (owner, name)):
        conn.execute(SQL("REVOKE {} FROM {}").format(Identifier(owner), Identifier(name)))


def _check_bound(conn: Connection, name: str) -> None:
    """Return when row-level security binds the role, and it may read nothing that has no rule.

    Raises:
        UsageError: it would see all photos, in one way or another.
    """
    for other in values(conn, str, _SEES_ALL, {"role": name}):
        if other == name:
            raise UsageError(
                f"PostgreSQL hides nothing from {name!r}, a superuser or with BYPASSRLS: take another role"
            )
        statement = SQL("REVOKE {} FROM {}").format(Identifier(other), Identifier(name))
        raise UsageError(
            f"{name!r} is a member of {other!r}, which sees all photos: {statement.as_string(conn)}"
        )
    for relation in values(conn, str, _OTHERWISE_READABLE, {"role": name}):
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


def _carry_out(conn: Connection, statements: tuple[SQL, ...], name: str) -> None:
    names = {"role": Identifier(name), "database": Identifier(conn.info.dbname)}
    for statement in statements:
        conn.execute(statement.format(**names))
