"""Who works on which file, so that any number of ingests may run at once.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

from imrec_pg.db.apply_sql import run_sql_file

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_COMMENTS = {
    "TABLE imrec.worker": "Every ingest that is running, or that died and was not noticed yet.",
    "COLUMN imrec.worker.expires_at": "By the clock of the database; the ingest puts it off while it lives.",
    "COLUMN imrec.worker.locked": "Whether a session holds the advisory lock imrec.worker_lock() for it.",
    "TABLE imrec.claim": "Files that an ingest is working on; no other one does meanwhile.",
    "COLUMN imrec.claim.token": "Of this claim alone, and larger than all before; a write must show it.",
}


def upgrade() -> None:
    op.create_table(
        "worker",
        sa.Column("worker_id", UUID(), nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("locked", sa.Boolean, nullable=False, server_default="false"),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("worker_id", name="worker_pkey"),
        schema="imrec",
    )
    op.create_table(
        "claim",
        sa.Column("location_id", UUID(), nullable=False),
        sa.Column("root_id", UUID(), nullable=False),
        sa.Column("worker_id", UUID(), nullable=False),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("location_id", name="claim_pkey"),
        sa.ForeignKeyConstraint(
            ["worker_id"], ["imrec.worker.worker_id"], name="claim_worker_id_fkey", ondelete="CASCADE"
        ),
        schema="imrec",
    )
    op.create_index("claim_worker_id_idx", "claim", ["worker_id"], schema="imrec")
    for thing, comment in _COMMENTS.items():
        op.execute(f"COMMENT ON {thing} IS '{comment}'")
    for name in ("worker_lock_v01", "live_workers_v01", "renew_v01", "claim_v01", "claimed_by_others_v01"):
        run_sql_file(op.get_bind(), f"functions/{name}.sql")
    op.execute("DROP FUNCTION imrec.create_stage()")
    op.execute("DROP FUNCTION imrec.merge_stage()")
    for name in ("create_stage_v02", "fence_stage_v01", "merge_stage_v02"):
        run_sql_file(op.get_bind(), f"functions/{name}.sql")


def downgrade() -> None:
    for routine in (
        "merge_stage()",
        "fence_stage()",
        "create_stage()",
        "claimed_by_others(uuid, uuid[], bigint)",
        "claim(uuid, uuid[], uuid[])",
        "renew(uuid, text, integer, interval, boolean)",
        "live_workers()",
        "worker_lock(uuid)",
    ):
        op.execute(f"DROP FUNCTION imrec.{routine}")
    for name in ("create_stage_v01", "merge_stage_v01"):
        run_sql_file(op.get_bind(), f"functions/{name}.sql")
    op.drop_table("claim", schema="imrec")
    op.drop_table("worker", schema="imrec")
