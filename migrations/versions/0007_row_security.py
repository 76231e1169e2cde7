"""Readers of some roots: views read with the caller's rights, and searches mind row-level security.

The policies themselves are made by `imrec-pg db grant reader ROLE --root NAME` (docs/adr/0017).

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

from imrec_pg.db.apply_sql import run_sql_file
from imrec_pg.errors import SchemaError

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_VIEWS = ("photo", "hash_feature")
_NEW = {"restricted": "", "own_images": "uuid[]"}
_CHANGED = {
    "hamming_budget": "",
    "vector_plan": "text, text, bigint, jsonb, uuid[], text",
    "nearest_hashes": "bit[], bit[], text, text, bigint, text, uuid[], jsonb, uuid[]",
}
_RESTRICTED = """
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_class AS c
    WHERE c.relnamespace = 'imrec'::pg_catalog.regnamespace AND c.relrowsecurity
)
"""


def upgrade() -> None:
    op.create_index("location_root_id_idx", "location", ["root_id", "image_id"], schema="imrec")
    for view in _VIEWS:
        run_sql_file(op.get_bind(), f"views/{view}_v02.sql")
    for name in _NEW:
        run_sql_file(op.get_bind(), f"functions/{name}_v01.sql")
    for name in _CHANGED:
        run_sql_file(op.get_bind(), f"functions/{name}_v02.sql")


def downgrade() -> None:
    """Take it back, unless somebody would then see what is hidden from him."""
    if op.get_bind().execute(sa.text(_RESTRICTED)).scalar():
        raise SchemaError("readers of some roots would see all photos: imrec-pg db revoke them first")
    for name, parameters in _CHANGED.items():
        op.execute(f"DROP FUNCTION imrec.{name}({parameters})")
        run_sql_file(op.get_bind(), f"functions/{name}_v01.sql")
    for name, parameters in reversed(_NEW.items()):
        op.execute(f"DROP FUNCTION imrec.{name}({parameters})")
    for view in _VIEWS:
        # Not made anew, which would take the privileges on it away.
        op.execute(f"ALTER VIEW imrec.{view} RESET (security_invoker)")
    op.drop_index("location_root_id_idx", "location", schema="imrec")
