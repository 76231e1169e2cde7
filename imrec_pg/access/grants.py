"""Who may do what: the privileges of those who search, and of those who ingest."""

from collections.abc import Sequence

from psycopg.sql import SQL, Composed, Identifier

from imrec_pg.access import policies
from imrec_pg.access.policies import Access
from imrec_pg.db.connection import Connection, translated
from imrec_pg.errors import UnknownRoleError, UsageError
from imrec_pg.records import GrantedRole

# Any number that no other program takes for an advisory lock; not that of migrations, which may take long.
_LOCK_KEY = 31_251_709

# What later versions of the schema add is granted too, as long as the same role upgrades it.
_READ = (
    SQL("GRANT USAGE ON SCHEMA imrec TO {role}"),
    SQL("GRANT SELECT ON ALL TABLES IN SCHEMA imrec TO {role}"),
    SQL("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA imrec TO {role}"),
    SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA imrec GRANT SELECT ON TABLES TO {role}"),
    SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA imrec GRANT EXECUTE ON FUNCTIONS TO {role}"),
)
# Table by table otherwise: what a later version adds is closed until there is a rule for it.
_READ_SOME = (
    SQL("GRANT USAGE ON SCHEMA imrec TO {role}"),
    SQL("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA imrec TO {role}"),
)
_WRITE = (
    SQL("GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA imrec TO {role}"),
    SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA imrec GRANT INSERT, UPDATE, DELETE ON TABLES TO {role}"),
    # For the staging tables of a batch.
    SQL("GRANT TEMPORARY ON DATABASE {database} TO {role}"),
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
WHERE c.relnamespace = 'imrec'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
AND has_table_privilege(%(role)s, c.oid, 'SELECT')
AND CASE c.relkind
    WHEN 'v' THEN c.relname <> ALL (%(views)s)
        OR 'security_invoker=true' <> ALL (coalesce(c.reloptions, '{}'))
    ELSE c.relname <> ALL (%(known)s)
END
ORDER BY c.relname LIMIT 1
"""


def grant(
    conn: Connection, kind: GrantedRole, name: str, *, create: bool = False, roots: Sequence[str] = ()
) -> None:
    """Let a role search, or search and ingest, or do all that the schema's owner may; and no more of these.

    The connection has to be of the schema's owner. With create, the role is made when there is none; it may
    log in, and has no password yet. With roots, a reader sees the photos of these alone.

    Raises:
        UsageError: there is no such role or root, it is the owner itself, or it would still see all.
        PermissionDeniedError: the connection's role may not grant that.
        StoreError: others use the tables for too long.
    """
    if roots and kind is not GrantedRole.READER:
        raise UsageError(
            f"--root is for readers: an {kind} has to see all that is stored, to know what is new and what "
            "is nobody's any more"
        )
    with translated(), conn.transaction():
        _one_at_a_time(conn)
        if create and not _exists(conn, name):
            conn.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(name)))
        owner = _check(conn, name)
        _take_all(conn, name, owner)
        if kind is GrantedRole.OWNER:
            policies.set_access(conn, name, None)
            conn.execute(SQL("GRANT {} TO {}").format(Identifier(owner), Identifier(name)))
        elif roots:
            policies.set_access(conn, name, Access(policies.root_ids(conn, roots)))
            _grant_some(conn, name)
            _check_bound(conn, name)
        else:
            policies.set_access(conn, name, Access())
            _carry_out(conn, _READ if kind is GrantedRole.READER else (*_READ, *_WRITE), name)


def revoke(conn: Connection, name: str) -> None:
    """Take from a role what grant() gave it; the role stays.

    Raises:
        UsageError: there is no such role, or it is the owner itself.
        PermissionDeniedError: the connection's role may not take that away.
        StoreError: others use the tables for too long.
    """
    with translated(), conn.transaction():
        _one_at_a_time(conn)
        _take_all(conn, name, _check(conn, name))
        policies.set_access(conn, name, None)


def renew(conn: Connection) -> None:
    """Let readers of some roots read what a newer version of the schema has; for all others it is granted."""
    with translated(), conn.transaction():
        _one_at_a_time(conn)
        for name in policies.restricted(conn):
            _grant_some(conn, name)
        policies.set_access(conn, None, None)


def _one_at_a_time(conn: Connection) -> None:
    """Wait for other grants: one that sees no restricted role yet would turn row-level security off."""
    conn.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK_KEY,))


def _take_all(conn: Connection, name: str, owner: str) -> None:
    _carry_out(conn, _NOTHING, name)
    if _is_member(conn, name, owner):
        conn.execute(SQL("REVOKE {} FROM {}").format(Identifier(owner), Identifier(name)))


def _grant_some(conn: Connection, name: str) -> None:
    _carry_out(conn, _READ_SOME, name)
    tables = SQL(", ").join(Identifier("imrec", table) for table in policies.readable(conn))
    conn.execute(SQL("GRANT SELECT ON {} TO {}").format(tables, Identifier(name)))


def _check_bound(conn: Connection, name: str) -> None:
    """Return when row-level security binds the role, and it may read nothing that has no rule.

    Raises:
        UsageError: it would see all photos, in one way or another.
    """
    for (other,) in conn.execute(_SEES_ALL, {"role": name}):
        if other == name:
            raise UsageError(
                f"PostgreSQL hides nothing from {name!r}, a superuser or with BYPASSRLS: take another role"
            )
        statement = SQL("REVOKE {} FROM {}").format(Identifier(str(other)), Identifier(name))
        raise UsageError(
            f"{name!r} is a member of {other!r}, which sees all photos: {statement.as_string(conn)}"
        )
    known = [*policies.RULES, *policies.OPEN]
    for (relation,) in conn.execute(
        _OTHERWISE_READABLE, {"role": name, "known": known, "views": list(policies.VIEWS)}
    ):
        raise UsageError(
            f"{name!r} could read all of imrec.{relation}, by a privilege of PUBLIC or of a role it is a "
            "member of: REVOKE that first (\\dp imrec.* in psql shows them)"
        )


def _check(conn: Connection, name: str) -> str:
    """Return the schema's owner."""
    if not _exists(conn, name):
        raise UnknownRoleError(name)
    row = conn.execute(
        "SELECT r.rolname FROM pg_catalog.pg_namespace AS n "
        "INNER JOIN pg_catalog.pg_roles AS r ON r.oid = n.nspowner WHERE n.nspname = 'imrec'"
    ).fetchone()
    assert row is not None
    owner = str(row[0])
    if owner == name:
        raise UsageError(f"{name!r} owns the schema imrec, and may do everything with it already")
    return owner


def _exists(conn: Connection, name: str) -> bool:
    return conn.execute("SELECT FROM pg_catalog.pg_roles WHERE rolname = %s", (name,)).rowcount == 1


def _is_member(conn: Connection, name: str, owner: str) -> bool:
    row = conn.execute(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_auth_members AS m "
        "INNER JOIN pg_catalog.pg_roles AS r ON r.oid = m.roleid "
        "INNER JOIN pg_catalog.pg_roles AS u ON u.oid = m.member "
        "WHERE r.rolname = %s AND u.rolname = %s)",
        (owner, name),
    ).fetchone()
    return bool(row and row[0])


def _carry_out(conn: Connection, statements: tuple[SQL, ...], name: str) -> None:
    names = {"role": Identifier(name), "database": Identifier(conn.info.dbname)}
    for statement in statements:
        made: Composed = statement.format(**names)
        conn.execute(made)
