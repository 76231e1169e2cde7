"""Where a root lies on each host; files have one canonical path (docs/adr/0016).

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

from imrec_pg.db.apply_sql import run_sql_file

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_COMMENTS = {
    "TABLE imrec.mount": (
        "Where a root lies on a host; on a host that is not named here, at its canonical path."
    ),
    "COLUMN imrec.mount.host": "A computer, as it calls itself, or as IMREC_HOST does.",
    "COLUMN imrec.mount.raw_path": "The folder as the file system of that host spells it.",
    "TABLE imrec.root": "A folder of photos, by whatever path; files are known by their path below it.",
    "COLUMN imrec.root.root_id": "Made from its first name.",
    "COLUMN imrec.root.raw_path": "The canonical path, that of imrec.location: as the file system spells it.",
}
_COMMENTS_BEFORE = {
    "TABLE imrec.root": "A folder that was given to ingest; files are known by their path below it.",
    "COLUMN imrec.root.root_id": "Made from the name.",
    "COLUMN imrec.root.raw_path": "The folder as the file system spells it.",
}


def upgrade() -> None:
    op.create_table(
        "mount",
        sa.Column("root_id", UUID(), nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("raw_path", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("root_id", "host", name="mount_pkey"),
        sa.ForeignKeyConstraint(
            ["root_id"], ["imrec.root.root_id"], name="mount_root_id_fkey", ondelete="CASCADE"
        ),
        schema="imrec",
    )
    _comment(_COMMENTS)
    op.execute("DROP FUNCTION imrec.places(uuid[])")
    run_sql_file(op.get_bind(), "functions/places_v03.sql")
    run_sql_file(op.get_bind(), "functions/forget_files_v01.sql")


def downgrade() -> None:
    op.execute("DROP FUNCTION imrec.forget_files(uuid, uuid, integer)")
    op.execute("DROP FUNCTION imrec.places(uuid[], text)")
    run_sql_file(op.get_bind(), "functions/places_v02.sql")
    _comment(_COMMENTS_BEFORE)
    op.drop_table("mount", schema="imrec")


def _comment(comments: dict[str, str]) -> None:
    for thing, comment in comments.items():
        op.execute(f"COMMENT ON {thing} IS '{comment}'")
