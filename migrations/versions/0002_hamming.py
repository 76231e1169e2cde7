"""Exact Hamming search: four indexes a hash, each on a chunk of 16 of its bits (docs/adr/0009).

Revision ID: 0002
Revises: 0001
"""

from itertools import combinations

import sqlalchemy as sa
from alembic import op

from imrec_pg.db.apply_sql import run_sql_file

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_HASHES = ("average_hash", "difference_hash")
_CHUNKS = range(4)
# The bits of imrec.hash_chunk, of which imrec.hamming_near looks at up to three at once.
_CHUNK_BITS = [bit for bit in range(64) if 0x0055_0055_0055_0055 >> bit & 1]
_MAX_FLIPPED = 3
_COMMENTS = {
    "TABLE imrec.hamming_flip": "What turns a chunk of a hash into each chunk that differs in few bits.",
    "COLUMN imrec.hamming_flip.bits": "How many bits differ.",
    "COLUMN imrec.hamming_flip.flip": "The differing bits, to XOR with imrec.hash_chunk().",
}
_ROUTINES = {
    "hash_chunk": "bit, integer",
    "hash_distance": "bit, bit",
    "hamming_check": "bit, text",
    "hamming_budget": "",
    "hamming_equal": "bit, text, bigint",
    "hamming_probe": "bit, text, integer, integer, integer, bigint",
    "hamming_near": "bit, text, integer[], bigint",
    "hamming_scan": "bit, text, bigint",
    "hamming_within": "bit, integer, text",
    "hamming_search": "bit, integer, text, uuid[]",
}


def upgrade() -> None:
    run_sql_file(op.get_bind(), "views/hash_feature_v01.sql")
    for name in _ROUTINES:
        run_sql_file(op.get_bind(), f"functions/{name}_v01.sql")
    _create_flips()
    for column in _HASHES:
        # 16 bytes as a plain value, 13 as a packed one: a row takes 72 either way, but unpacking every one of
        # them makes a scan take a quarter longer.
        op.execute(f"ALTER TABLE imrec.hash ALTER COLUMN {column} SET STORAGE PLAIN")
        for chunk in _CHUNKS:
            # With the hash and the id behind the key the index answers alone: 7 times as fast a row.
            op.create_index(
                f"hash_{column}_{chunk}_idx",
                "hash",
                [sa.text(f"imrec.hash_chunk({column}, {chunk})"), column, "image_id"],
                schema="imrec",
            )


def _create_flips() -> None:
    flip = op.create_table(
        "hamming_flip",
        sa.Column("bits", sa.SmallInteger, nullable=False),
        sa.Column("flip", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("bits", "flip", name="hamming_flip_pkey"),
        schema="imrec",
    )
    op.bulk_insert(
        flip,
        [
            {"bits": bits, "flip": sum(1 << bit for bit in flipped)}
            for bits in range(_MAX_FLIPPED + 1)
            for flipped in combinations(_CHUNK_BITS, bits)
        ],
    )
    for thing, comment in _COMMENTS.items():
        op.execute(f"COMMENT ON {thing} IS '{comment}'")


def downgrade() -> None:
    for column in _HASHES:
        for chunk in _CHUNKS:
            op.drop_index(f"hash_{column}_{chunk}_idx", "hash", schema="imrec")
        op.execute(f"ALTER TABLE imrec.hash ALTER COLUMN {column} SET STORAGE EXTENDED")
    op.drop_table("hamming_flip", schema="imrec")
    for name, parameters in reversed(_ROUTINES.items()):
        op.execute(f"DROP FUNCTION imrec.{name}({parameters})")
    op.execute("DROP VIEW imrec.hash_feature")
