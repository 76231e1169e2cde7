"""Files that are gone: kept with the date, until they are pruned.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

from imrec_pg.db.apply_sql import run_sql_file

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_COMMENTS = {
    "TABLE imrec.missing": "Files of imrec.location that were not there any more when ingest looked.",
    "COLUMN imrec.missing.location_id": "Of imrec.location.",
    "COLUMN imrec.missing.since": "When that was first seen.",
}


def upgrade() -> None:
    op.create_table(
        "missing",
        sa.Column("location_id", UUID(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("location_id", name="missing_pkey"),
        schema="imrec",
    )
    for thing, comment in _COMMENTS.items():
        op.execute(f"COMMENT ON {thing} IS '{comment}'")
    op.execute("DROP FUNCTION imrec.places(uuid[])")
    run_sql_file(op.get_bind(), "functions/places_v02.sql")
    run_sql_file(op.get_bind(), "functions/prune_v01.sql")


def downgrade() -> None:
    op.execute("DROP FUNCTION imrec.prune(interval, boolean)")
    op.execute("DROP FUNCTION imrec.places(uuid[])")
    run_sql_file(op.get_bind(), "functions/places_v01.sql")
    op.drop_table("missing", schema="imrec")
