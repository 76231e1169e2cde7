"""Who may do what: the privileges of those who search, and of those who ingest."""

from psycopg.sql import SQL, Composed, Identifier

from imrec_pg.errors import UsageError
from imrec_pg.records import GrantedRole
from imrec_pg.store.connection import Connection, translated

# What later versions of the schema add is granted too, as long as the same role upgrades it.
_READ = (
    SQL("GRANT USAGE ON SCHEMA imrec TO {role}"),
    SQL("GRANT SELECT ON ALL TABLES IN SCHEMA imrec TO {role}"),
    SQL("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA imrec TO {role}"),
    SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA imrec GRANT SELECT ON TABLES TO {role}"),
    SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA imrec GRANT EXECUTE ON FUNCTIONS TO {role}"),
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


def grant(conn: Connection, kind: GrantedRole, name: str, *, create: bool = False) -> None:
    """Let a role search, or search and ingest, or do all that the schema's owner may; and no more of these.

    The connection has to be of the schema's owner. With create, the role is made when there is none; it may
    log in, and has no password yet.

    Raises:
        UsageError: there is no such role, or it is the owner itself.
        PermissionDeniedError: the connection's role may not grant that.
    """
    with translated(), conn.transaction():
        if create and not _exists(conn, name):
            conn.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(name)))
        owner = _check(conn, name)
        _carry_out(conn, _NOTHING, name)
        if _is_member(conn, name, owner):
            conn.execute(SQL("REVOKE {} FROM {}").format(Identifier(owner), Identifier(name)))
        if kind is GrantedRole.OWNER:
            conn.execute(SQL("GRANT {} TO {}").format(Identifier(owner), Identifier(name)))
        else:
            _carry_out(conn, _READ if kind is GrantedRole.READER else (*_READ, *_WRITE), name)


def revoke(conn: Connection, name: str) -> None:
    """Take from a role what grant() gave it; the role stays.

    Raises:
        UsageError: there is no such role, or it is the owner itself.
        PermissionDeniedError: the connection's role may not take that away.
    """
    with translated(), conn.transaction():
        owner = _check(conn, name)
        _carry_out(conn, _NOTHING, name)
        if _is_member(conn, name, owner):
            conn.execute(SQL("REVOKE {} FROM {}").format(Identifier(owner), Identifier(name)))


def _check(conn: Connection, name: str) -> str:
    """Return the schema's owner."""
    if not _exists(conn, name):
        raise UsageError(f"there is no role {name!r} here: --create makes one, or CREATE ROLE in psql")
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
