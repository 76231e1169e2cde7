"""The privileges that searching and ingesting need: what db grant gives, and the doctor recommends.

Functions need none: EXECUTE is PUBLIC's by default, and they all run with the rights of the caller. Nor does
the schema imrec_internal, which is open to PUBLIC (sql/internal/access_change.sql).
"""

from psycopg.sql import SQL

SEARCH = (
    SQL("GRANT USAGE ON SCHEMA imrec TO {role}"),
    SQL("GRANT SELECT ON ALL TABLES IN SCHEMA imrec TO {role}"),
)
INGEST = (
    SQL("GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA imrec TO {role}"),
    # For the staging tables of a batch.
    SQL("GRANT TEMPORARY ON DATABASE {database} TO {role}"),
)
"""What ingesting needs besides."""
