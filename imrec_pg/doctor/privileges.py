"""What the role is allowed to do: search, ingest, build indexes."""

from collections.abc import Iterator
from dataclasses import dataclass

from psycopg.sql import SQL, Identifier

from imrec_pg.db.privileges import INGEST, SEARCH, WRITTEN, is_restricted
from imrec_pg.db.session import HEAD
from imrec_pg.doctor.examined import Examined
from imrec_pg.doctor.finding import Finding, notice, ok, warning
from imrec_pg.records import Feature

_ROLE = """
SELECT
    current_user::text AS name,
    has_schema_privilege(n.oid, 'USAGE') AS enters,
    has_schema_privilege(n.oid, 'CREATE') AS creates,
    has_database_privilege(current_database(), 'TEMPORARY') AS temporary
FROM pg_catalog.pg_namespace AS n WHERE n.nspname = 'imrec'
"""
_RELATIONS = """
SELECT
    c.relname AS name,
    has_table_privilege(c.oid, 'SELECT') AS reads,
    ARRAY(
        SELECT p.name FROM unnest('{INSERT,UPDATE,DELETE}'::text[]) AS p (name)
        WHERE has_table_privilege(c.oid, p.name)
    ) AS writes,
    pg_has_role(c.relowner, 'USAGE') AS owns
FROM pg_catalog.pg_class AS c
INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = 'imrec' AND c.relkind IN ('r', 'v')
ORDER BY c.relname
"""
_CLOSED_FUNCTIONS = """
SELECT p.proname FROM pg_catalog.pg_proc AS p
INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname IN ('imrec', 'imrec_internal') AND NOT has_function_privilege(p.oid, 'EXECUTE')
ORDER BY 1
"""
_HIDDEN = "SELECT row_security_active('imrec.file')"
# Schemas on the search_path of any role in this database, in which somebody may create who could not do
# the same otherwise: not a superuser, the owner of the database or of the library, nor this role itself.
_PATHS = """
SELECT s.setting FROM pg_catalog.pg_db_role_setting AS d CROSS JOIN LATERAL unnest(d.setconfig) AS s (setting)
WHERE s.setting LIKE 'search_path=%%' AND d.setdatabase IN (
    0, (SELECT b.oid FROM pg_catalog.pg_database AS b WHERE b.datname = current_database())
)
"""
_CREATORS = """
SELECT
    quote_ident(n.nspname) AS schema,
    CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS role
FROM pg_catalog.pg_namespace AS n
CROSS JOIN LATERAL aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS a
WHERE n.nspname = ANY (%s) AND a.privilege_type = 'CREATE' AND a.grantee NOT IN (
    SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolsuper OR r.rolname IN (current_user, 'pg_database_owner')
    UNION ALL
    SELECT d.datdba FROM pg_catalog.pg_database AS d WHERE d.datname = current_database()
    UNION ALL
    SELECT i.nspowner FROM pg_catalog.pg_namespace AS i WHERE i.nspname = 'imrec'
)
ORDER BY 1, 2
"""
# Needed only where somebody revoked it from PUBLIC.
_EXECUTE = SQL("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA imrec, imrec_internal TO {role}")
_INDEXED = (Feature.EMBEDDING, Feature.HISTOGRAM)


@dataclass(frozen=True, slots=True)
class _Role:
    name: str
    enters: bool
    creates: bool
    temporary: bool


@dataclass(frozen=True, slots=True)
class _Relation:
    name: str
    reads: bool
    writes: list[str]
    owns: bool


@dataclass(frozen=True, slots=True)
class _Creator:
    schema: str
    role: str


def search_path(examined: Examined) -> Iterator[Finding]:
    """Yield the schemas in which others may plant what psql users then call by a bare name."""
    named = [str(path).partition("=")[2] for path in examined.values(_PATHS)]
    schemas = {name.strip().strip('"') for path in named for name in path.split(",")}
    creators = examined.records(_Creator, _CREATORS, (sorted(schemas | set(examined.search_path)),))
    for creator in creators:
        yield warning(
            f"{creator.role} may create in the schema {creator.schema}, which is on a search_path",
            "A function or operator planted there can be taken for PostgreSQL's own, and runs with the rights "
            "of whoever uses it in psql. imrec-pg itself, and its functions, look nowhere but in pg_catalog.",
            f"REVOKE CREATE ON SCHEMA {creator.schema} FROM {creator.role};",
        )
    if not creators:
        yield ok("nobody else may create in the schemas on the search_path")


def privileges(examined: Examined) -> Iterator[Finding]:
    """Yield whether the role may search, ingest and build indexes, and which privileges it lacks."""
    roles = examined.records(_Role, _ROLE)
    if not roles or not examined.tables:
        return
    (role,) = roles
    relations = examined.records(_Relation, _RELATIONS)
    closed: list[str] = examined.values(_CLOSED_FUNCTIONS)
    if role.enters and is_restricted(examined.conn):
        yield notice(
            f"the role {role.name} sees only the photos of some roots",
            "It reads no table, so doctor says nothing of what is in them.",
            "as the owner, imrec-pg doctor examines everything",
        )
        return
    lacks = [
        *([] if role.enters else ["USAGE on the schema imrec"]),
        *_named("SELECT on", [relation.name for relation in relations if not relation.reads]),
        *_named("EXECUTE on", closed),
    ]
    yield _searching(examined, role, lacks, (*SEARCH, *([_EXECUTE] if closed else [])))
    if not lacks and examined.schema == HEAD:
        yield from _hidden(examined, role)
    lacks = ["what searching needs"] if lacks else []
    lacks += [lack for wanted in WRITTEN for lack in _unwritable(relations, *wanted)]
    lacks += [] if role.temporary else ["TEMPORARY on the database"]
    yield _ingesting(examined, role, lacks)
    foreign = [relation.name for relation in relations if relation.name in _INDEXED and not relation.owns]
    lacks = [*_named("ownership of", foreign), *([] if role.creates else ["CREATE on the schema imrec"])]
    yield _building(role, lacks)


def _searching(examined: Examined, role: _Role, lacks: list[str], statements: tuple[SQL, ...]) -> Finding:
    if not lacks:
        return ok(f"the role {role.name} may search")
    return warning(
        f"the role {role.name} may not search: it lacks {'; '.join(lacks)}",
        "Most other checks need these privileges too.",
        f"as the owner: {_granting(examined, role, statements)}",
    )


def _hidden(examined: Examined, role: _Role) -> Iterator[Finding]:
    if examined.values(_HIDDEN) == [True]:
        yield warning(
            f"row-level security hides photos from the role {role.name}",
            "Not by imrec-pg, whose db grant restricts readers to roots without. Searches by hash take longer.",
            "imrec-pg db grant reader ROLE --root …, and drop the policies on the tables of the schema imrec",
        )


def _ingesting(examined: Examined, role: _Role, lacks: list[str]) -> Finding:
    if not lacks:
        return ok(f"the role {role.name} may ingest")
    return notice(
        f"the role {role.name} may not ingest: it lacks {'; '.join(lacks)}",
        "That is right for a role that only searches.",
        f"if it should, as the owner: {_granting(examined, role, (*SEARCH, *INGEST))}",
    )


def _building(role: _Role, lacks: list[str]) -> Finding:
    if not lacks:
        return ok(f"the role {role.name} may build indexes")
    return notice(
        f"the role {role.name} may not build indexes: it lacks {'; '.join(lacks)}",
        "Only the owner of a table may; ingest --no-index skips it.",
        "run imrec-pg index build as the owner",
    )


def _granting(examined: Examined, role: _Role, statements: tuple[SQL, ...]) -> str:
    names = {"role": Identifier(role.name), "database": Identifier(examined.conn.info.dbname)}
    return " ".join(f"{examined.sql(statement.format(**names))};" for statement in statements)


def _unwritable(
    relations: list[_Relation], privileges: tuple[str, ...], tables: tuple[str, ...]
) -> list[str]:
    lacking = [r.name for r in relations if r.name in tables and not set(privileges) <= set(r.writes)]
    return _named(f"{', '.join(privileges)} on", lacking)


def _named(privilege: str, names: list[str]) -> list[str]:
    return [f"{privilege} {', '.join(names)}"] if names else []
