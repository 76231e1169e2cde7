"""The privileges that searching and ingesting need: what db grant gives, and the doctor recommends.

Functions need none: EXECUTE is PUBLIC's by default, and they all run with the rights of the caller. Nor does
the schema imrec_internal, which is open to PUBLIC (sql/internal/access_change.sql).
"""

from psycopg.sql import SQL

from imrec_pg.records import Feature

SEARCH = (
    SQL("GRANT USAGE ON SCHEMA imrec TO {role}"),
    SQL("GRANT SELECT ON ALL TABLES IN SCHEMA imrec TO {role}"),
)

# Features go with their image, which foreign keys see to. The model is recorded once: whoever could change it
# could have features of two models compared. Not the version of the schema, nor what searches go by.
WRITTEN: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (
        ("INSERT", "UPDATE", "DELETE"),
        ("root", "mount", "image", "file", "missing", "failure", "worker", "claim"),
    ),
    (("INSERT", "UPDATE"), (*Feature, "cluster_member", "map_point")),
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
