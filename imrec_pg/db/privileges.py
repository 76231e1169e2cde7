"""The privileges that searching and ingesting need: what db grant gives, and the doctor recommends.

Functions need none: EXECUTE is PUBLIC's by default, and they run with the rights of the caller, but for those
that answer readers of some roots, which look for these rights first. Nor does the schema imrec_internal, which is
open to PUBLIC (sql/internal/grant_change.sql).
"""

from psycopg.sql import SQL

from imrec_pg.db.connection import Connection, translated
from imrec_pg.db.pooler import ServerConnection
from imrec_pg.db.rows import value
from imrec_pg.records import Feature

_IS_RESTRICTED = """
SELECT coalesce(
    CASE WHEN has_schema_privilege(to_regnamespace('imrec'), 'USAGE')
        THEN NOT has_table_privilege(to_regclass('imrec.file'), 'SELECT')
            AND has_table_privilege(to_regclass('imrec.visible_photo'), 'SELECT')
    END, false)
"""

SEARCH = (
    SQL("GRANT USAGE ON SCHEMA imrec TO {role}"),
    SQL("GRANT SELECT ON ALL TABLES IN SCHEMA imrec TO {role}"),
)

# Features go with their image, which foreign keys see to. The model is recorded once: whoever could change it
# could have features of two models compared. Not the version of the schema, nor what searches go by.
WRITTEN: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (
        ("INSERT", "UPDATE", "DELETE"),
        (
            *("root", "mount", "image", "file", "missing", "failure", "worker", "claim"),
            *("duplicate_pair", "duplicate_member", "duplicate_seen", "duplicate_verdict"),
        ),
    ),
    (
        ("INSERT", "UPDATE"),
        (
            *(*Feature, "embedding_reduced", "histogram_reduced"),
            *("cluster_member", "duplicate_search", "map_point"),
        ),
    ),
    (("INSERT",), ("model",)),
)
"""Privileges that ingesting needs, and on which tables of the schema imrec."""

WRITE = tuple(
    SQL(f"GRANT {', '.join(privileges)} ON {', '.join(f'imrec.{table}' for table in tables)} TO {{role}}")
    for privileges, tables in WRITTEN
)
INGEST = (
    *WRITE,
    # For the staging tables of a batch.
    SQL("GRANT TEMPORARY ON DATABASE {database} TO {role}"),
)
"""What ingesting needs besides."""


def is_restricted(conn: Connection) -> bool:
    """Return whether the role is a reader of some roots: it has views and functions of its own, and no table."""
    known = conn.restricted if isinstance(conn, ServerConnection) else None
    if known is not None:
        return known
    with translated(conn):
        found = value(conn, bool, _IS_RESTRICTED)
    if isinstance(conn, ServerConnection):
        conn.restricted = found
    return found
