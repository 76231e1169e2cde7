"""Search in SQL: filters, likes and dislikes, fusion; answers say how exact they are (docs/adr/0012).

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

from imrec_pg.db.apply_sql import run_sql_file

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NEAREST = "text, text, bigint, text, uuid[], jsonb, uuid[], text"
# File to signature, in the order of what calls what.
_ROUTINES = {
    "filter": "filter(text, text, timestamp, timestamp, bigint, bigint, integer, integer, text, text)",
    "filter_condition": "filter_condition(jsonb, boolean, boolean)",
    "filtered_images": "filtered_images(jsonb, uuid[], bigint)",
    "check_question": "check_question(text, text, bigint, text, text)",
    "check_vectors": "check_vectors(vector[], vector[], text)",
    "check_stored": "check_stored(uuid[], integer, text)",
    "combination": "combination(text)",
    "default_weights": "default_weights()",
    "check_weights": "check_weights(jsonb)",
    "fused_metric": "fused_metric(text)",
    "index_for": "index_for(text, text)",
    "mean_query": "mean_query(vector[], vector[])",
    "nearest_statement": ("nearest_statement(text, text, bigint, integer, integer, text, text, boolean)"),
    "vector_plan": "vector_plan(text, text, bigint, jsonb, uuid[], text)",
    "nearest_vectors": f"nearest_vectors(vector[], vector[], {_NEAREST})",
    "explain_vectors": f"explain_vectors(vector[], vector[], {_NEAREST})",
    "nearest_hashes": "nearest_hashes(bit[], bit[], text, text, bigint, text, uuid[], jsonb, uuid[])",
    "nearest": f"nearest(imrec.features[], imrec.features[], {_NEAREST})",
    "places": "places(uuid[])",
    "image_at": "image_at(text)",
    "stored_features": "stored_features(uuid[])",
    "search_vector": "search(vector, integer, text, text, jsonb, uuid[], text)",
    "search_hash": "search(bit, integer, text, text, jsonb, uuid[])",
    "search_literal": "search(text, integer, text, text, jsonb, uuid[], text)",
    "recommend": "recommend(uuid[], uuid[], integer, text, text, text, jsonb, uuid[], text)",
    "similar_to_image": "similar_to(uuid, integer, text, text, jsonb, uuid[], text)",
    "similar_to": "similar_to(text, integer, text, text, jsonb, uuid[], text)",
    "fuse_features": (
        "fuse_features(imrec.features[], imrec.features[], jsonb, bigint, text, uuid[], jsonb, uuid[], text)"
    ),
    "fuse_images": "fuse(uuid[], uuid[], integer, jsonb, text, jsonb, uuid[], text)",
    "fuse": "fuse(text, integer, jsonb, jsonb, uuid[], text)",
}
_COMMENTS = {
    "TABLE imrec.tuning": "How far imrec-pg tune found that each HNSW index has to search.",
    "COLUMN imrec.tuning.ef_search": "The smallest hnsw.ef_search that reached the recall wanted.",
    "COLUMN imrec.tuning.wanted": "The recall@k asked for.",
    "COLUMN imrec.tuning.recall": "The recall@k measured against exact search.",
    "COLUMN imrec.tuning.p50_ms": "The median time of a search in the database.",
    "COLUMN imrec.tuning.queries": "On so many of the stored images.",
    "COLUMN imrec.tuning.images": "How many images there were then.",
    "TYPE imrec.features": "All features of one image.",
}


def upgrade() -> None:
    op.create_table(
        "tuning",
        sa.Column("feature", sa.Text, nullable=False),
        sa.Column("metric", sa.Text, nullable=False),
        sa.Column("ef_search", sa.Integer, nullable=False),
        sa.Column("k", sa.Integer, nullable=False),
        sa.Column("wanted", sa.Double, nullable=False),
        sa.Column("recall", sa.Double, nullable=False),
        sa.Column("p50_ms", sa.Double, nullable=False),
        sa.Column("queries", sa.Integer, nullable=False),
        sa.Column("images", sa.BigInteger, nullable=False),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("feature", "metric", name="tuning_pkey"),
        sa.CheckConstraint("ef_search BETWEEN 1 AND 1000", name=op.f("tuning_ef_search_check")),
        schema="imrec",
    )
    op.execute(
        "CREATE TYPE imrec.features AS"
        " (embedding vector, histogram vector, average_hash bit(64), difference_hash bit(64))"
    )
    for thing, comment in _COMMENTS.items():
        op.execute(f"COMMENT ON {thing} IS '{comment}'")
    # Loads pgvector: a role that is no superuser may else not name its settings in a function.
    op.execute("SELECT '[1]'::vector")
    for file in _ROUTINES:
        run_sql_file(op.get_bind(), f"functions/{file}_v01.sql")


def downgrade() -> None:
    for signature in reversed(_ROUTINES.values()):
        op.execute(f"DROP FUNCTION imrec.{signature}")
    op.execute("DROP TYPE imrec.features")
    op.drop_table("tuning", schema="imrec")
