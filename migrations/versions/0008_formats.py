"""More formats are read: the comment says which.

Revision ID: 0008
Revises: 0007
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_BEFORE = "JPEG, PNG, WEBP, GIF, BMP, TIFF or MPO."
_NOW = "JPEG, PNG, WEBP, GIF, BMP, TIFF, MPO, AVIF, HEIF, or that of a camera raw, such as DNG."


def upgrade() -> None:
    op.execute(f"COMMENT ON COLUMN imrec.image.format IS '{_NOW}'")


def downgrade() -> None:
    op.execute(f"COMMENT ON COLUMN imrec.image.format IS '{_BEFORE}'")
