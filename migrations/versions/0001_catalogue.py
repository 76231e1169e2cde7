"""The catalogue: images, where they were seen, their features, and what could not be read.

Revision ID: 0001
Revises: None
"""

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import VECTOR
from sqlalchemy.dialects.postgresql import BIT, UUID

from imrec_pg.db.apply_sql import run_sql_file

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_IMAGE_FK = "imrec.image.image_id"
_COMMENTS = {
    "TABLE imrec.image": "An image is its bytes: the same photo in ten folders is one row.",
    "COLUMN imrec.image.image_id": "The first 128 bits of the SHA-256 of the content.",
    "COLUMN imrec.image.width": "As shown, after EXIF rotation.",
    "COLUMN imrec.image.height": "As shown, after EXIF rotation.",
    "COLUMN imrec.image.format": "JPEG, PNG, WEBP, GIF, BMP, TIFF or MPO.",
    "COLUMN imrec.image.taken_at": "The camera's local time, from EXIF; no time zone is known.",
    "TABLE imrec.model": (
        "The one model that made all embeddings here; features of two models can't be compared."
    ),
    "COLUMN imrec.model.weights_sha256": "Of the tensors, whatever file held them.",
    "TABLE imrec.root": "A folder that was given to ingest; files are known by their path below it.",
    "COLUMN imrec.root.root_id": "Made from the name.",
    "COLUMN imrec.root.name": "The folder's path, unless it was named.",
    "COLUMN imrec.root.raw_path": "The folder as the file system spells it.",
    "TABLE imrec.embedding": "What the photo shows: ResNet-18 without its last layer.",
    "TABLE imrec.failure": "Files that could not be read; tried again when they change, or on request.",
    "COLUMN imrec.failure.location_id": "As the file's location would have.",
    "TABLE imrec.hash": "Its brightness pattern.",
    "COLUMN imrec.hash.average_hash": "Row by row, top left first.",
    "COLUMN imrec.hash.difference_hash": "Row by row, top left first.",
    "TABLE imrec.histogram": "Its colours: 8x8x8 RGB bins, red the slowest, sum 1.",
    "TABLE imrec.location": "A file is where an image was seen.",
    "COLUMN imrec.location.location_id": "Made from root_id and relative_path.",
    "COLUMN imrec.location.relative_path": "Below the root, as the file system spells it.",
    "COLUMN imrec.location.path": r"The whole path for people; bytes that are no UTF-8 as \xff.",
    "COLUMN imrec.location.mtime_ns": "Nanoseconds since 1970.",
}


def _created_at() -> sa.Column[object]:
    return sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())


def _place() -> list[sa.Column[object]]:
    return [
        sa.Column("root_id", UUID(), nullable=False),
        sa.Column("relative_path", sa.LargeBinary, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("mtime_ns", sa.BigInteger, nullable=False),
    ]


def upgrade() -> None:
    _create_catalogue()
    _create_features()
    _create_bookkeeping()
    _set_comments()
    for file in (
        "views/photo_v01.sql",
        "functions/file_state_v01.sql",
        "functions/missing_features_v01.sql",
        "functions/create_stage_v01.sql",
        "functions/merge_stage_v01.sql",
    ):
        run_sql_file(op.get_bind(), file)


def _set_comments() -> None:
    for thing, comment in _COMMENTS.items():
        op.execute(f"COMMENT ON {thing} IS '{comment.replace(chr(39), 2 * chr(39))}'")


def _create_catalogue() -> None:
    op.create_table(
        "root",
        sa.Column("root_id", UUID(), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("raw_path", sa.LargeBinary, nullable=False),
        _created_at(),
        sa.PrimaryKeyConstraint("root_id", name="root_pkey"),
        sa.UniqueConstraint("name", name="root_name_key"),
        schema="imrec",
    )
    op.create_table(
        "image",
        sa.Column("image_id", UUID(), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("format", sa.Text, nullable=False),
        sa.Column("taken_at", sa.DateTime),
        sa.Column("camera_make", sa.Text),
        sa.Column("camera_model", sa.Text),
        _created_at(),
        sa.PrimaryKeyConstraint("image_id", name="image_pkey"),
        sa.CheckConstraint("bytes > 0 AND width > 0 AND height > 0", name=op.f("image_size_check")),
        schema="imrec",
    )
    op.create_table(
        "location",
        sa.Column("image_id", UUID(), nullable=False),
        sa.Column("location_id", UUID(), nullable=False),
        *_place(),
        _created_at(),
        sa.PrimaryKeyConstraint("image_id", "location_id", name="location_pkey"),
        sa.UniqueConstraint("location_id", name="location_location_id_key"),
        sa.ForeignKeyConstraint(["image_id"], [_IMAGE_FK], name="location_image_id_fkey"),
        sa.ForeignKeyConstraint(["root_id"], ["imrec.root.root_id"], name="location_root_id_fkey"),
        schema="imrec",
    )
    op.create_index("location_path_idx", "location", ["path"], schema="imrec", postgresql_using="hash")


def _create_features() -> None:
    for table in ("embedding", "histogram"):
        _create_feature_table(
            table,
            sa.Column(table, VECTOR(512), nullable=False),
            sa.CheckConstraint(f"vector_norm({table}) > 0", name=op.f(f"{table}_norm_check")),
        )
        # 2,056 bytes lie just over the TOAST threshold: out of line, an exact scan took 2.8 times as long.
        op.execute(f"ALTER TABLE imrec.{table} ALTER COLUMN {table} SET STORAGE PLAIN")
    _create_feature_table(
        "hash",
        sa.Column("average_hash", BIT(64), nullable=False),
        sa.Column("difference_hash", BIT(64), nullable=False),
    )


def _create_feature_table(name: str, *items: sa.schema.SchemaItem) -> None:
    op.create_table(
        name,
        sa.Column("image_id", UUID(), nullable=False),
        *items,
        sa.PrimaryKeyConstraint("image_id", name=f"{name}_pkey"),
        sa.ForeignKeyConstraint(["image_id"], [_IMAGE_FK], name=f"{name}_image_id_fkey", ondelete="CASCADE"),
        schema="imrec",
    )


def _create_bookkeeping() -> None:
    op.create_table(
        "model",
        sa.Column("model_id", sa.SmallInteger, nullable=False, server_default="1", autoincrement=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("weights_sha256", sa.Text, nullable=False),
        sa.Column("extraction_version", sa.Integer, nullable=False),
        _created_at(),
        sa.PrimaryKeyConstraint("model_id", name="model_pkey"),
        sa.CheckConstraint("model_id = 1", name=op.f("model_single_check")),
        schema="imrec",
    )
    op.create_table(
        "failure",
        sa.Column("location_id", UUID(), nullable=False),
        *_place(),
        sa.Column("error_class", sa.Text, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="1"),
        _created_at(),
        sa.Column(
            "last_attempt_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()
        ),
        sa.PrimaryKeyConstraint("location_id", name="failure_pkey"),
        sa.ForeignKeyConstraint(["root_id"], ["imrec.root.root_id"], name="failure_root_id_fkey"),
        schema="imrec",
    )


def downgrade() -> None:
    for routine in (
        "merge_stage()",
        "create_stage()",
        "missing_features(uuid[], text[])",
        "file_state(uuid[], bigint[], bigint[], text[], boolean)",
    ):
        op.execute(f"DROP FUNCTION imrec.{routine}")
    op.execute("DROP VIEW imrec.photo")
    for table in ("failure", "model", "hash", "histogram", "embedding", "location", "image", "root"):
        op.drop_table(table, schema="imrec")
