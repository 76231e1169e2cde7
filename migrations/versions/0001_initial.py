"""The tables: images, the files that hold them, their features, and the bookkeeping of ingests.

Functions and views are not here: they are in sql/, and applied again as a whole at each upgrade.

Revision ID: 0001
Revises: None
"""

from itertools import combinations
from typing import Any

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import HALFVEC, VECTOR
from sqlalchemy.dialects.postgresql import ARRAY, BIT, JSONB, UUID

from imrec_pg.db.apply_sql import folder
from imrec_pg.db.metadata import RegRole

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_VECTORS = ("embedding", "histogram")
_HASHES = ("average_hash", "difference_hash", "perceptual_hash")
_CHUNKS = range(4)
# The bits of imrec_internal.hash_chunk, of which imrec_internal.hamming_near looks at up to three at once.
_CHUNK_BITS = [bit for bit in range(64) if 0x0055_0055_0055_0055 >> bit & 1]
_MAX_FLIPPED = 3
_COMMENTS = {
    "TABLE imrec.image": "An image is its bytes: the same photo in ten folders is one row.",
    "COLUMN imrec.image.image_id": "The first 128 bits of the SHA-256 of the content.",
    "COLUMN imrec.image.size": "In bytes.",
    "COLUMN imrec.image.width": "As shown, after EXIF rotation.",
    "COLUMN imrec.image.height": "As shown, after EXIF rotation.",
    "COLUMN imrec.image.format": (
        "JPEG, PNG, WEBP, GIF, BMP, TIFF, MPO, AVIF, HEIF, JPEG2000 and the like, "
        "or that of a camera raw, such as DNG."
    ),
    "COLUMN imrec.image.truncated": "The end of the file is missing, and with it a part of the picture.",
    "COLUMN imrec.image.taken_at": "The camera's local time, from EXIF; no time zone is known.",
    "TABLE imrec.model": (
        "The one model that made all embeddings here; features of two models can't be compared."
    ),
    "COLUMN imrec.model.weights_sha256": "Of the tensors, whatever file held them.",
    "TABLE imrec.root": "A folder of photos, by whatever path; files are known by their path below it.",
    "COLUMN imrec.root.root_id": "Made from its first name.",
    "COLUMN imrec.root.name": "The folder's path, unless it was named.",
    "COLUMN imrec.root.raw_path": "The canonical path, that of imrec.file: as the file system spells it.",
    "TABLE imrec.mount": (
        "Where a root lies on a host; on a host that is not named here, at its canonical path."
    ),
    "COLUMN imrec.mount.host": "A computer, as it calls itself, or as IMREC_HOST does.",
    "COLUMN imrec.mount.raw_path": "The folder as the file system of that host spells it.",
    "TABLE imrec.file": "A file is where an image was seen.",
    "COLUMN imrec.file.file_id": "Made from root_id and relative_path.",
    "COLUMN imrec.file.relative_path": "Below the root, as the file system spells it.",
    "COLUMN imrec.file.path": r"The whole path for people; bytes that are no UTF-8 as \xff.",
    "COLUMN imrec.file.mtime_ns": "Nanoseconds since 1970.",
    "TABLE imrec.embedding": "What the photo shows: ResNet-18 without its last layer.",
    "TABLE imrec.histogram": "Its colours: 8x8x8 RGB bins, red the slowest, sum 1.",
    "TABLE imrec.average_hash": "Its brightness pattern: which of 8x8 cells are brighter than the mean.",
    "TABLE imrec.difference_hash": (
        "Its brightness pattern: which of 8x8 cells are brighter than their left one."
    ),
    "TABLE imrec.perceptual_hash": (
        "Its brightness pattern: which of its 8x8 lowest frequencies are above the median."
    ),
    **{f"COLUMN imrec.{name}.{name}": "Row by row, top left first." for name in _HASHES},
    **{
        f"COLUMN imrec.{name}.version": (
            "Of the extraction that computed the row; imrec-pg ingest --refresh redoes earlier ones."
        )
        for name in ("image", *_VECTORS, *_HASHES)
    },
    "TABLE imrec.hamming_flip": "What turns a chunk of a hash into each chunk that differs in few bits.",
    "COLUMN imrec.hamming_flip.bits": "How many bits differ.",
    "COLUMN imrec.hamming_flip.flip": "The differing bits, to XOR with imrec_internal.hash_chunk().",
    "TABLE imrec.reduction": (
        "How the vectors of a feature are reduced to fewer dimensions, whose distances are lower bounds."
    ),
    "COLUMN imrec.reduction.metrics": "Those with lower bounds.",
    "COLUMN imrec.reduction.dims": "Of a reduced vector.",
    "COLUMN imrec.reduction.images": "How many images there were then.",
    "COLUMN imrec.reduction.candidates": "How many images are looked at first, where 10 are wanted.",
    "COLUMN imrec.reduction.growth": "Where k are wanted, (k / 10) ^ growth times as many.",
    "COLUMN imrec.reduction.passing": (
        "Which share of the images is compared by the whole vector, measured."
    ),
    "COLUMN imrec.reduction.block_images": "How many images a block has.",
    "COLUMN imrec.reduction.exact_images": "How many images are compared in 60 ms, as measured here.",
    "COLUMN imrec.reduction.complete": "Whether every vector is reduced, so that searches may rely on it.",
    "TABLE imrec.reduction_axis": (
        "The mean of the vectors at length 1, and the directions that they are projected on."
    ),
    "COLUMN imrec.reduction_axis.kind": "mean, component, or sum (of bins of a histogram).",
    **{
        f"{kind} imrec.{name}_reduced{column}": comment
        for name in ("embedding", "histogram")
        for kind, column, comment in (
            ("TABLE", "", "The vectors of a feature in few dimensions (imrec_internal.reduce)."),
            ("COLUMN", ".reduced", "NULL where the vector has no lower bound."),
            ("COLUMN", ".norm", "The length of the vector."),
            ("COLUMN", ".sums", "Of a histogram: of groups of bins."),
        )
    },
    **{
        f"{kind} imrec.{name}_block{column}": comment
        for name in ("embedding", "histogram")
        for kind, column, comment in (
            ("TABLE", "", "Rows of the table of reduced vectors, many in one."),
            ("COLUMN", ".image_ids", "Some may be gone, or have a row by now."),
            ("COLUMN", ".least_norm", "Of the vectors' lengths."),
            ("COLUMN", ".reduced", "Of each image, one after the other."),
            ("COLUMN", ".sums", "Of each histogram, one after the other."),
        )
    },
    "TABLE imrec.tuning": "How far imrec-pg tune found that each HNSW index has to search.",
    "COLUMN imrec.tuning.ef_search": "The smallest hnsw.ef_search that reached the recall wanted.",
    "COLUMN imrec.tuning.wanted": "The recall@k asked for.",
    "COLUMN imrec.tuning.recall": "The recall@k measured against exact search.",
    "COLUMN imrec.tuning.worst_decile": "The same, of the tenth answered worst.",
    "COLUMN imrec.tuning.self_found": "The share of images that find themselves.",
    "COLUMN imrec.tuning.p50_ms": "The median time of a search in the database.",
    "COLUMN imrec.tuning.queries": "On so many of the stored images.",
    "COLUMN imrec.tuning.images": "How many images there were then.",
    "TABLE imrec.evidence": "What imrec-pg tune fuse fitted: how much a distance speaks for an altered copy.",
    "COLUMN imrec.evidence.distances": "Breakpoints, ascending; between them evidence lies on a line.",
    "COLUMN imrec.evidence.evidence": (
        "At each of them, in decibans: 10 times the log10 of the likelihood ratio; never rising."
    ),
    "COLUMN imrec.evidence.copies": "On so many altered copies.",
    "COLUMN imrec.evidence.pairs": "On so many pairs of unrelated photos.",
    "TABLE imrec.failure": "Files that could not be read; tried again when they change, or on request.",
    "COLUMN imrec.failure.file_id": "As the file would have in imrec.file.",
    "TABLE imrec.missing": "Files of imrec.file that were not there any more when ingest looked.",
    "COLUMN imrec.missing.file_id": "Of imrec.file.",
    "COLUMN imrec.missing.since": "When that was first seen.",
    "TABLE imrec.worker": "Every ingest that is running, or that died and was not noticed yet.",
    "COLUMN imrec.worker.expires_at": "By the clock of the database; the ingest puts it off while it lives.",
    "COLUMN imrec.worker.locked": (
        "Whether a session holds the advisory lock imrec_internal.worker_lock() for it."
    ),
    "TABLE imrec.claim": "Files that an ingest is working on; no other one does meanwhile.",
    "COLUMN imrec.claim.token": "Of this claim alone, and larger than all before; a write must show it.",
    "TABLE imrec.map": "A map of all images that have a feature: alike ones lie together.",
    "COLUMN imrec.map.neighbours": "UMAP's n_neighbors: how local the map is.",
    "COLUMN imrec.map.min_dist": "UMAP's: how close points may lie.",
    "COLUMN imrec.map.seed": "The same photos and seed give the same map.",
    "COLUMN imrec.map.images": "How many images there were on it when it was made.",
    "COLUMN imrec.map.landmarks": "How many of them UMAP itself laid out.",
    "COLUMN imrec.map.trustworthiness": "Of the 15 nearest on the map, how near by the feature (Venna, Kaski 2001).",
    "COLUMN imrec.map.neighbour_preservation": "Which share of the 15 nearest by the feature are so on the map.",
    "COLUMN imrec.map.agreement": "The adjusted Rand index of clusters by the feature and on the map; 1 is the same.",
    "TABLE imrec.map_point": "Where an image lies on a map.",
    "COLUMN imrec.map_point.z": "NULL on a map of two dimensions.",
    "COLUMN imrec.map_point.landmark": "Laid out by UMAP; others lie by their nearest landmarks.",
    "COLUMN imrec.map_point.later": "Placed after the map was made.",
    "TABLE imrec.map_projection": "What places a new image on a map: its cell is that of the nearest centre.",
    "COLUMN imrec.map_projection.mean": "Of the features at unit length: float32.",
    "COLUMN imrec.map_projection.components": "The principal components: float32, row by row.",
    "COLUMN imrec.map_projection.centres": "Of the cells, by these components: float32.",
    "TABLE imrec.map_cell": "The landmarks of a map, next to each other in memory as in space.",
    "COLUMN imrec.map_cell.landmarks": "By the principal components: float16.",
    "COLUMN imrec.map_cell.points": "Where they lie on the map: float32.",
    "TABLE imrec.clustering": "All images that have a feature, in clusters; one by the feature, one a map.",
    "COLUMN imrec.clustering.space": "Where clusters were looked for: by the feature, or on a map.",
    "COLUMN imrec.clustering.k": "How many clusters there are.",
    "COLUMN imrec.clustering.k_chosen": "auto: at the elbow of the curve; given: by the user.",
    "COLUMN imrec.clustering.images": "How many images there were in it when it was made.",
    "COLUMN imrec.clustering.silhouette": "On a sample: -1 to 1, larger is clearer (Rousseeuw 1987).",
    "COLUMN imrec.clustering.curve": "Where k was chosen: [[k, inertia], ...], the inertia an image on a sample.",
    "TABLE imrec.cluster": "Images that are alike.",
    "COLUMN imrec.cluster.cluster": "From 1, the largest first.",
    "COLUMN imrec.cluster.size": "How many images were in it when it was made.",
    "COLUMN imrec.cluster.centre": "The mean: of features at unit length, or of points.",
    "COLUMN imrec.cluster.medoid": "The image nearest to the centre, when it was made.",
    "COLUMN imrec.cluster.spread": "The mean distance to the centre.",
    "COLUMN imrec.cluster.folder": "That holds nine in ten of its photos, the deepest.",
    "COLUMN imrec.cluster.year": "In which nine in ten of its photos were taken.",
    "COLUMN imrec.cluster.camera": "That took nine in ten of its photos.",
    "TABLE imrec.cluster_member": "In which cluster an image is.",
    "COLUMN imrec.cluster_member.distance": "Euclidean, to the centre.",
    "COLUMN imrec.cluster_member.later": "Assigned after the clusters were made.",
    "TABLE imrec.duplicate_pair": (
        "Two images that two signals agree to be alike; image_id < other_id. What it says follows from contents."
    ),
    "COLUMN imrec.duplicate_pair.average_bits": "In how many bits the hashes differ; NULL where one lacks it.",
    "COLUMN imrec.duplicate_pair.embedding": "Cosine distance.",
    "COLUMN imrec.duplicate_pair.histogram": "Cosine distance.",
    "COLUMN imrec.duplicate_pair.kind": (
        "copy; burst: of the same camera, seconds apart; raw: a camera raw and its picture, side by side."
    ),
    "TABLE imrec.duplicate_tuning": (
        "The strictness that imrec-pg duplicates tune chose, one row, and what it measured."
    ),
    "COLUMN imrec.duplicate_tuning.strictness": "What searches go by that name no other.",
    "COLUMN imrec.duplicate_tuning.precision": "Of what it found, the share that was right.",
    "COLUMN imrec.duplicate_tuning.recall": "The share of the altered copies that it found.",
    "COLUMN imrec.duplicate_tuning.pairs": "Of copies and unrelated photos.",
    "TABLE imrec.duplicate_search": (
        "The last search for duplicates, one row: ingest looks for those of new photos as it did."
    ),
    "TABLE imrec.duplicate_seen": "Images whose near copies were looked for since the last search of the library.",
    "COLUMN imrec.duplicate_search.crops": "Whether the nearest by embedding were looked at too.",
    "TABLE imrec.duplicate_member": "Groups of duplicates: stars, in which each image is near to the keeper.",
    "COLUMN imrec.duplicate_member.kind": "copy or burst: what the group is of.",
    "COLUMN imrec.duplicate_member.keeper": "The best image of the group.",
    "TABLE imrec.duplicate_verdict": (
        "What a person said of two images; image_id < other_id. It outlives them: ids are contents."
    ),
    "COLUMN imrec.duplicate_verdict.verdict": "same, alternate (an edit worth keeping) or different.",
    "COLUMN imrec.duplicate_verdict.by": "The PostgreSQL role.",
    "TYPE imrec.features": "All features of one image; NULL for those that it lacks.",
    "TABLE imrec_internal.applied_sql": "Which functions and views are live: one row.",
    "COLUMN imrec_internal.applied_sql.imrec_version": "The imrec-pg that applied them.",
    "COLUMN imrec_internal.applied_sql.digest": "SHA-256 of all files below sql/.",
    "TABLE imrec_internal.access": "The readers who are restricted to some roots.",
    "TABLE imrec_internal.access_root": "Whose photos a restricted reader sees; gone with the root.",
}


def upgrade() -> None:
    _create_catalogue()
    _create_features()
    _create_reductions()
    _create_bookkeeping()
    _create_analysis()
    _create_duplicates()
    _create_access()
    _create_flips()
    for thing, comment in _COMMENTS.items():
        op.execute(f"COMMENT ON {thing} IS '{comment.replace(chr(39), 2 * chr(39))}'")


def downgrade() -> None:
    """Drop all tables; the functions and views on them are dropped before (imrec_pg.db.apply_sql)."""
    op.execute("DROP TYPE imrec.features")
    for table in ("access_root", "access", "applied_sql"):
        op.drop_table(table, schema="imrec_internal")
    for table in (
        *(
            "duplicate_tuning",
            "duplicate_seen",
            "duplicate_search",
            "duplicate_verdict",
            "duplicate_member",
            "duplicate_pair",
        ),
        *("cluster_member", "cluster", "clustering", "map_cell", "map_projection", "map_point", "map"),
        *("reduction_axis", "reduction", *(f"{name}_reduced" for name in _VECTORS)),
        *(f"{name}_block" for name in _VECTORS),
        *("claim", "worker", "missing", "failure", "evidence", "tuning", "model", "hamming_flip"),
        *(*_HASHES, *_VECTORS, "file", "image", "mount", "root"),
    ):
        op.drop_table(table, schema="imrec")
    op.execute("DROP FUNCTION IF EXISTS imrec_internal.hash_chunk(bit, integer)")


def _key(name: str = "image_id") -> sa.Column[object]:
    return sa.Column(name, UUID(), nullable=False)


def _time(name: str = "created_at") -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())


def _version() -> sa.Column[object]:
    return sa.Column("version", sa.SmallInteger, nullable=False, server_default="1")


def _path() -> list[sa.Column[object]]:
    return [
        _key("root_id"),
        sa.Column("relative_path", sa.LargeBinary, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("mtime_ns", sa.BigInteger, nullable=False),
    ]


def _foreign_key(
    table: str, column: str, target: str, ondelete: str | None = None
) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], [f"imrec.{target}.{column}"], name=f"{table}_{column}_fkey", ondelete=ondelete
    )


def _create_catalogue() -> None:
    op.create_table(
        "root",
        _key("root_id"),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("raw_path", sa.LargeBinary, nullable=False),
        _time(),
        sa.PrimaryKeyConstraint("root_id", name="root_pkey"),
        sa.UniqueConstraint("name", name="root_name_key"),
        schema="imrec",
    )
    op.create_table(
        "mount",
        _key("root_id"),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("raw_path", sa.LargeBinary, nullable=False),
        _time(),
        sa.PrimaryKeyConstraint("root_id", "host", name="mount_pkey"),
        _foreign_key("mount", "root_id", "root", "CASCADE"),
        schema="imrec",
    )
    op.create_table(
        "image",
        _key(),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("format", sa.Text, nullable=False),
        sa.Column("taken_at", sa.DateTime),
        sa.Column("camera_make", sa.Text),
        sa.Column("camera_model", sa.Text),
        sa.Column("truncated", sa.Boolean, nullable=False, server_default="false"),
        _version(),
        _time(),
        sa.PrimaryKeyConstraint("image_id", name="image_pkey"),
        sa.CheckConstraint("size > 0 AND width > 0 AND height > 0", name=op.f("image_size_check")),
        schema="imrec",
    )
    op.create_table(
        "file",
        _key(),
        _key("file_id"),
        *_path(),
        _time(),
        sa.PrimaryKeyConstraint("image_id", "file_id", name="file_pkey"),
        sa.UniqueConstraint("file_id", name="file_file_id_key"),
        # No ON DELETE CASCADE: deleting an image that another session has just given a file must fail, not win.
        _foreign_key("file", "image_id", "image"),
        _foreign_key("file", "root_id", "root"),
        schema="imrec",
    )
    # Hash: a path may be longer than a btree entry (2,704 bytes).
    op.create_index("file_path_idx", "file", ["path"], schema="imrec", postgresql_using="hash")
    op.create_index("file_root_id_idx", "file", ["root_id", "image_id"], schema="imrec")


def _create_features() -> None:
    # The one function that must be there before the others: the indexes on hashes are built on it.
    op.execute((folder("sql") / "internal" / "hash_chunk.sql").read_text(encoding="utf-8"))
    for name in _VECTORS:
        # Not in the table's own list of columns: pgvector may lie in a schema of its own.
        check = sa.CheckConstraint(f"vector_norm({name}) > 0", name=op.f(f"{name}_norm_check"))
        _create_feature_table(name, VECTOR(512), check)
        # 2,056 bytes lie just over the TOAST threshold: out of line, an exact scan took 2.8 times as long.
        op.execute(f"ALTER TABLE imrec.{name} ALTER COLUMN {name} SET STORAGE PLAIN")
    for name in _HASHES:
        _create_feature_table(name, BIT(64))
        # 16 bytes as a plain value, 13 as a packed one: unpacking every one of them makes a scan take a quarter
        # longer.
        op.execute(f"ALTER TABLE imrec.{name} ALTER COLUMN {name} SET STORAGE PLAIN")
        for chunk in _CHUNKS:
            # With the hash and the id behind the key the index answers alone: 7 times as fast a row.
            op.create_index(
                f"{name}_chunk_{chunk}_idx",
                name,
                [sa.text(f"imrec_internal.hash_chunk({name}, {chunk})"), name, "image_id"],
                schema="imrec",
            )
    op.execute(
        "CREATE TYPE imrec.features AS (embedding vector, histogram vector,"
        " average_hash bit(64), difference_hash bit(64), perceptual_hash bit(64))"
    )


def _create_reductions() -> None:
    op.create_table(
        "reduction",
        sa.Column("feature", sa.Text, nullable=False),
        sa.Column("metrics", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("dims", sa.Integer, nullable=False),
        sa.Column("images", sa.BigInteger, nullable=False),
        sa.Column("candidates", sa.Integer, nullable=False),
        sa.Column("growth", sa.Double, nullable=False),
        sa.Column("passing", sa.Double, nullable=False),
        sa.Column("block_images", sa.Integer, nullable=False),
        sa.Column("exact_images", sa.BigInteger),
        sa.Column("complete", sa.Boolean, nullable=False, server_default="false"),
        _time(),
        sa.PrimaryKeyConstraint("feature", name="reduction_pkey"),
        schema="imrec",
    )
    op.create_table(
        "reduction_axis",
        sa.Column("feature", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("axis", sa.SmallInteger, nullable=False, autoincrement=False),
        sa.Column("direction", VECTOR(512), nullable=False),
        sa.PrimaryKeyConstraint("feature", "kind", "axis", name="reduction_axis_pkey"),
        sa.ForeignKeyConstraint(
            ["feature"],
            ["imrec.reduction.feature"],
            name="reduction_axis_feature_fkey",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint("kind IN ('mean', 'component', 'sum')", name=op.f("reduction_axis_kind_check")),
        schema="imrec",
    )
    op.execute("ALTER TABLE imrec.reduction_axis ALTER COLUMN direction SET STORAGE PLAIN")
    for name in _VECTORS:
        op.create_table(
            f"{name}_reduced",
            _key(),
            sa.Column("reduced", HALFVEC()),
            sa.Column("norm", sa.Double, nullable=False),
            sa.Column("sums", HALFVEC()),
            sa.PrimaryKeyConstraint("image_id", name=f"{name}_reduced_pkey"),
            _foreign_key(f"{name}_reduced", "image_id", "image", "CASCADE"),
            schema="imrec",
        )
        op.create_table(
            f"{name}_block",
            sa.Column("block_id", UUID(), nullable=False, server_default=sa.text("gen_random_uuid()")),
            sa.Column("image_ids", sa.ARRAY(UUID()), nullable=False),
            sa.Column("least_norm", sa.Double, nullable=False),
            sa.Column("largest_norm", sa.Double, nullable=False),
            sa.Column("reduced", HALFVEC(), nullable=False),
            sa.Column("sums", HALFVEC()),
            sa.PrimaryKeyConstraint("block_id", name=f"{name}_block_pkey"),
            schema="imrec",
        )
        # Never out of line, nor compressed: each search reads all of them.
        for table, columns in (("reduced", ("reduced", "sums")), ("block", ("image_ids", "reduced", "sums"))):
            for column in columns:
                op.execute(f"ALTER TABLE imrec.{name}_{table} ALTER COLUMN {column} SET STORAGE PLAIN")


def _create_feature_table(name: str, type_: sa.types.TypeEngine[Any], *checks: sa.CheckConstraint) -> None:
    op.create_table(
        name,
        _key(),
        sa.Column(name, type_, nullable=False),
        _version(),
        *checks,
        sa.PrimaryKeyConstraint("image_id", name=f"{name}_pkey"),
        _foreign_key(name, "image_id", "image", "CASCADE"),
        schema="imrec",
    )


def _create_bookkeeping() -> None:
    op.create_table(
        "model",
        sa.Column("model_id", sa.SmallInteger, nullable=False, server_default="1", autoincrement=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("weights_sha256", sa.Text, nullable=False),
        _time(),
        sa.PrimaryKeyConstraint("model_id", name="model_pkey"),
        sa.CheckConstraint("model_id = 1", name=op.f("model_single_check")),
        schema="imrec",
    )
    op.create_table(
        "tuning",
        sa.Column("feature", sa.Text, nullable=False),
        sa.Column("metric", sa.Text, nullable=False),
        sa.Column("ef_search", sa.Integer, nullable=False),
        sa.Column("k", sa.Integer, nullable=False),
        sa.Column("wanted", sa.Double, nullable=False),
        sa.Column("recall", sa.Double, nullable=False),
        sa.Column("worst_decile", sa.Double, nullable=False),
        sa.Column("self_found", sa.Double, nullable=False),
        sa.Column("p50_ms", sa.Double, nullable=False),
        sa.Column("queries", sa.Integer, nullable=False),
        sa.Column("images", sa.BigInteger, nullable=False),
        _time("measured_at"),
        sa.PrimaryKeyConstraint("feature", "metric", name="tuning_pkey"),
        sa.CheckConstraint("ef_search BETWEEN 1 AND 1000", name=op.f("tuning_ef_search_check")),
        schema="imrec",
    )
    op.create_table(
        "evidence",
        sa.Column("feature", sa.Text, nullable=False),
        sa.Column("metric", sa.Text, nullable=False),
        sa.Column("distances", ARRAY(sa.Double), nullable=False),
        sa.Column("evidence", ARRAY(sa.Double), nullable=False),
        sa.Column("copies", sa.BigInteger, nullable=False),
        sa.Column("pairs", sa.BigInteger, nullable=False),
        _time("fitted_at"),
        sa.PrimaryKeyConstraint("feature", "metric", name="evidence_pkey"),
        sa.CheckConstraint(
            "cardinality(distances) = cardinality(evidence) AND cardinality(distances) > 0",
            name=op.f("evidence_curve_check"),
        ),
        schema="imrec",
    )
    op.create_table(
        "failure",
        _key("file_id"),
        *_path(),
        sa.Column("error_class", sa.Text, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="1"),
        _time(),
        _time("last_attempt_at"),
        sa.PrimaryKeyConstraint("file_id", name="failure_pkey"),
        _foreign_key("failure", "root_id", "root"),
        schema="imrec",
    )
    op.create_table(
        "missing",
        _key("file_id"),
        _time("since"),
        sa.PrimaryKeyConstraint("file_id", name="missing_pkey"),
        schema="imrec",
    )
    op.create_table(
        "worker",
        _key("worker_id"),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("locked", sa.Boolean, nullable=False, server_default="false"),
        _time("started_at"),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("worker_id", name="worker_pkey"),
        schema="imrec",
    )
    op.create_table(
        "claim",
        _key("file_id"),
        _key("root_id"),
        _key("worker_id"),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("file_id", name="claim_pkey"),
        _foreign_key("claim", "worker_id", "worker", "CASCADE"),
        schema="imrec",
    )
    op.create_index("claim_worker_id_idx", "claim", ["worker_id"], schema="imrec")
    op.create_table(
        "applied_sql",
        sa.Column("imrec_version", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        _time("applied_at"),
        sa.PrimaryKeyConstraint("imrec_version", name="applied_sql_pkey"),
        schema="imrec_internal",
    )


def _create_analysis() -> None:
    op.create_table(
        "map",
        _key("map_id"),
        sa.Column("feature", sa.Text, nullable=False),
        sa.Column("dims", sa.SmallInteger, nullable=False),
        sa.Column("neighbours", sa.Integer, nullable=False),
        sa.Column("min_dist", sa.Double, nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("images", sa.BigInteger, nullable=False),
        sa.Column("landmarks", sa.BigInteger, nullable=False),
        sa.Column("trustworthiness", sa.Double),
        sa.Column("neighbour_preservation", sa.Double),
        sa.Column("agreement", sa.Double),
        _time(),
        sa.PrimaryKeyConstraint("map_id", name="map_pkey"),
        sa.UniqueConstraint("feature", "dims", name="map_feature_key"),
        sa.CheckConstraint("dims IN (2, 3)", name=op.f("map_dims_check")),
        schema="imrec",
    )
    op.create_table(
        "map_point",
        _key(),
        _key("map_id"),
        sa.Column("x", sa.REAL, nullable=False),
        sa.Column("y", sa.REAL, nullable=False),
        sa.Column("z", sa.REAL),
        sa.Column("landmark", sa.Boolean, nullable=False),
        sa.Column("later", sa.Boolean, nullable=False, server_default="false"),
        sa.PrimaryKeyConstraint("image_id", "map_id", name="map_point_pkey"),
        _foreign_key("map_point", "image_id", "image", "CASCADE"),
        _foreign_key("map_point", "map_id", "map", "CASCADE"),
        schema="imrec",
    )
    op.create_index("map_point_map_id_idx", "map_point", ["map_id", "x", "y"], schema="imrec")
    op.create_table(
        "map_projection",
        _key("map_id"),
        *(sa.Column(name, sa.LargeBinary, nullable=False) for name in ("mean", "components", "centres")),
        sa.PrimaryKeyConstraint("map_id", name="map_projection_pkey"),
        _foreign_key("map_projection", "map_id", "map", "CASCADE"),
        schema="imrec",
    )
    op.create_table(
        "map_cell",
        _key("map_id"),
        sa.Column("cell", sa.Integer, nullable=False, autoincrement=False),
        *(sa.Column(name, sa.LargeBinary, nullable=False) for name in ("landmarks", "points")),
        sa.PrimaryKeyConstraint("map_id", "cell", name="map_cell_pkey"),
        _foreign_key("map_cell", "map_id", "map", "CASCADE"),
        schema="imrec",
    )
    op.create_table(
        "clustering",
        _key("clustering_id"),
        sa.Column("feature", sa.Text, nullable=False),
        sa.Column("space", sa.Text, nullable=False),
        sa.Column("map_id", UUID()),
        sa.Column("k", sa.Integer, nullable=False),
        sa.Column("k_chosen", sa.Text, nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("images", sa.BigInteger, nullable=False),
        sa.Column("silhouette", sa.Double),
        sa.Column("curve", JSONB),
        _time(),
        sa.PrimaryKeyConstraint("clustering_id", name="clustering_pkey"),
        sa.UniqueConstraint("map_id", name="clustering_map_id_key"),
        _foreign_key("clustering", "map_id", "map", "CASCADE"),
        sa.CheckConstraint(
            "space IN ('feature', 'map') AND (space = 'map') = (map_id IS NOT NULL)",
            name=op.f("clustering_space_check"),
        ),
        sa.CheckConstraint("k_chosen IN ('auto', 'given')", name=op.f("clustering_k_chosen_check")),
        schema="imrec",
    )
    op.create_index(
        "clustering_feature_idx",
        "clustering",
        ["feature"],
        unique=True,
        schema="imrec",
        postgresql_where=sa.text("map_id IS NULL"),
    )
    op.create_table(
        "cluster",
        _key("clustering_id"),
        sa.Column("cluster", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("centre", VECTOR(), nullable=False),
        _key("medoid"),
        sa.Column("spread", sa.Double, nullable=False),
        sa.Column("folder", sa.Text),
        sa.Column("year", sa.Integer),
        sa.Column("camera", sa.Text),
        sa.PrimaryKeyConstraint("clustering_id", "cluster", name="cluster_pkey"),
        _foreign_key("cluster", "clustering_id", "clustering", "CASCADE"),
        schema="imrec",
    )
    op.create_table(
        "cluster_member",
        _key(),
        _key("clustering_id"),
        sa.Column("cluster", sa.Integer, nullable=False),
        sa.Column("distance", sa.Double, nullable=False),
        sa.Column("later", sa.Boolean, nullable=False, server_default="false"),
        sa.PrimaryKeyConstraint("image_id", "clustering_id", name="cluster_member_pkey"),
        _foreign_key("cluster_member", "image_id", "image", "CASCADE"),
        _foreign_key("cluster_member", "clustering_id", "clustering", "CASCADE"),
        schema="imrec",
    )
    op.create_index(
        "cluster_member_clustering_id_idx", "cluster_member", ["clustering_id", "cluster"], schema="imrec"
    )


def _create_duplicates() -> None:
    # No foreign keys: ids are contents, of which all this stays true whether a file holds them just now or not.
    op.create_table(
        "duplicate_pair",
        _key(),
        _key("other_id"),
        *(sa.Column(f"{name}_bits", sa.SmallInteger) for name in ("average", "difference", "perceptual")),
        sa.Column("embedding", sa.Double),
        sa.Column("histogram", sa.Double),
        sa.Column("kind", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("image_id", "other_id", name="duplicate_pair_pkey"),
        sa.CheckConstraint("image_id < other_id", name=op.f("duplicate_pair_order_check")),
        sa.CheckConstraint("kind IN ('copy', 'burst', 'raw')", name=op.f("duplicate_pair_kind_check")),
        schema="imrec",
    )
    op.create_index("duplicate_pair_other_id_idx", "duplicate_pair", ["other_id"], schema="imrec")
    op.create_table(
        "duplicate_member",
        _key(),
        sa.Column("kind", sa.Text, nullable=False),
        _key("group_id"),
        sa.Column("keeper", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("image_id", "kind", name="duplicate_member_pkey"),
        sa.CheckConstraint("kind IN ('copy', 'burst')", name=op.f("duplicate_member_kind_check")),
        schema="imrec",
    )
    op.create_index("duplicate_member_group_id_idx", "duplicate_member", ["group_id"], schema="imrec")
    op.create_table(
        "duplicate_verdict",
        _key(),
        _key("other_id"),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        _time("at"),
        sa.PrimaryKeyConstraint("image_id", "other_id", name="duplicate_verdict_pkey"),
        sa.CheckConstraint("image_id < other_id", name=op.f("duplicate_verdict_order_check")),
        sa.CheckConstraint(
            "verdict IN ('same', 'alternate', 'different')", name=op.f("duplicate_verdict_verdict_check")
        ),
        schema="imrec",
    )
    op.create_index("duplicate_verdict_other_id_idx", "duplicate_verdict", ["other_id"], schema="imrec")
    op.create_table(
        "duplicate_tuning",
        sa.Column("tuning_id", sa.SmallInteger, nullable=False, server_default="1", autoincrement=False),
        sa.Column("strictness", sa.Text, nullable=False),
        *(sa.Column(name, sa.Double, nullable=False) for name in ("precision", "recall")),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("copies", "pairs")),
        _time("measured_at"),
        sa.PrimaryKeyConstraint("tuning_id", name="duplicate_tuning_pkey"),
        sa.CheckConstraint("tuning_id = 1", name=op.f("duplicate_tuning_single_check")),
        schema="imrec",
    )
    op.create_table(
        "duplicate_search",
        sa.Column("search_id", sa.SmallInteger, nullable=False, server_default="1", autoincrement=False),
        sa.Column("strictness", sa.Text, nullable=False),
        sa.Column("crops", sa.Boolean, nullable=False),
        _time("found_at"),
        sa.PrimaryKeyConstraint("search_id", name="duplicate_search_pkey"),
        sa.CheckConstraint("search_id = 1", name=op.f("duplicate_search_single_check")),
        schema="imrec",
    )
    # A row of its own, so that nothing that is wide is written again.
    op.create_table(
        "duplicate_seen",
        _key(),
        sa.PrimaryKeyConstraint("image_id", name="duplicate_seen_pkey"),
        _foreign_key("duplicate_seen", "image_id", "image", "CASCADE"),
        schema="imrec",
    )


def _create_access() -> None:
    op.create_table(
        "access",
        sa.Column("role", RegRole, nullable=False),
        sa.PrimaryKeyConstraint("role", name="access_pkey"),
        schema="imrec_internal",
    )
    op.create_table(
        "access_root",
        sa.Column("role", RegRole, nullable=False),
        _key("root_id"),
        sa.PrimaryKeyConstraint("role", "root_id", name="access_root_pkey"),
        sa.ForeignKeyConstraint(
            ["role"], ["imrec_internal.access.role"], name="access_root_role_fkey", ondelete="CASCADE"
        ),
        _foreign_key("access_root", "root_id", "root", "CASCADE"),
        schema="imrec_internal",
    )
    # Removing a root looks its readers up.
    op.create_index("access_root_root_id_idx", "access_root", ["root_id"], schema="imrec_internal")


def _create_flips() -> None:
    flip = op.create_table(
        "hamming_flip",
        sa.Column("bits", sa.SmallInteger, nullable=False, autoincrement=False),
        sa.Column("flip", sa.BigInteger, nullable=False, autoincrement=False),
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
