"""Alembic's entry: runs the migrations on the connection that imrec_pg.db.migrate hands over."""

from alembic import context
from sqlalchemy import Connection, text

from imrec_pg.db import migrate
from imrec_pg.db.metadata import INTERNAL, SCHEMA, metadata


def _ours(name: str | None, kind: str, _parents: object) -> bool:
    if kind == "schema":
        return name in {SCHEMA, INTERNAL}
    # HNSW indexes come and go by `imrec-pg index`, not by migrations.
    return not (kind == "index" and name is not None and name.endswith("_hnsw"))


def _run(connection: Connection) -> None:
    for schema in (SCHEMA, INTERNAL):
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_schemas=True,
        include_name=_ours,
        version_table=migrate.VERSION_TABLE,
        version_table_schema=SCHEMA,
        compare_server_default=True,
    )
    context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    _run(given)
else:
    # `alembic upgrade head` by hand: the same database that imrec-pg itself would use.
    with migrate.connection() as opened:
        _run(opened)
