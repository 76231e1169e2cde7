"""The tables, as SQLAlchemy Core describes them; `alembic check` holds the migrations against this.

What SQLAlchemy cannot say stands in the migrations: vectors are STORAGE PLAIN, since 2,056 bytes lie just
over the TOAST threshold and a scan would follow a pointer per row (2.8 times slower).

Sharding rules kept from the start (the distribution column would be image_id): each key of a table that
grows with the images contains image_id, but for file_id's own unique key, which may be dropped; keys of
child tables begin with it; no triggers; no identity columns.
"""

from pgvector.sqlalchemy import HALFVEC, VECTOR
from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, BIT, JSONB, UUID
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import UserDefinedType

from imrec_pg.records import Feature

SCHEMA = "imrec"
INTERNAL = "imrec_internal"
DIMENSIONS = 512
HASH_BITS = 64


class RegRole(UserDefinedType[str]):
    """A role of PostgreSQL: it keeps its id when renamed, and another one of its name has another id."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """Return the type's name in SQL."""
        return "regrole"


# As pgvector does for its types: SQLAlchemy has no way that is documented to teach it one.
ischema_names["regrole"] = RegRole

metadata = MetaData(
    schema=SCHEMA,
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_name)s_idx",
    },
)


def _created_at() -> Column[object]:
    return Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now())


def _version() -> Column[object]:
    return Column(
        "version",
        SmallInteger,
        nullable=False,
        server_default="1",
        comment="Of the extraction that computed the row; imrec-pg ingest --refresh redoes earlier ones.",
    )


def _image_id() -> Column[object]:
    """Return the key of a child table of image: one row an image, gone when the image goes."""
    return Column(
        "image_id", UUID(), ForeignKey("imrec.image.image_id", ondelete="CASCADE"), primary_key=True
    )


root = Table(
    "root",
    metadata,
    Column("root_id", UUID(), primary_key=True, comment="Made from its first name."),
    Column("name", Text, nullable=False, unique=True, comment="The folder's path, unless it was named."),
    Column(
        "raw_path",
        LargeBinary,
        nullable=False,
        comment="The canonical path, that of imrec.file: as the file system spells it.",
    ),
    _created_at(),
    comment="A folder of photos, by whatever path; files are known by their path below it.",
)

mount = Table(
    "mount",
    metadata,
    Column("root_id", UUID(), ForeignKey("imrec.root.root_id", ondelete="CASCADE"), primary_key=True),
    Column("host", Text, primary_key=True, comment="A computer, as it calls itself, or as IMREC_HOST does."),
    Column(
        "raw_path",
        LargeBinary,
        nullable=False,
        comment="The folder as the file system of that host spells it.",
    ),
    _created_at(),
    comment="Where a root lies on a host; on a host that is not named here, at its canonical path.",
)

image = Table(
    "image",
    metadata,
    Column("image_id", UUID(), primary_key=True, comment="The first 128 bits of the SHA-256 of the content."),
    Column("size", BigInteger, nullable=False, comment="In bytes."),
    Column("width", Integer, nullable=False, comment="As shown, after EXIF rotation."),
    Column("height", Integer, nullable=False, comment="As shown, after EXIF rotation."),
    Column(
        "format",
        Text,
        nullable=False,
        comment="JPEG, PNG, WEBP, GIF, BMP, TIFF, MPO, AVIF, HEIF, JPEG2000 and the like, "
        "or that of a camera raw, such as DNG.",
    ),
    Column("taken_at", DateTime, comment="The camera's local time, from EXIF; no time zone is known."),
    Column("camera_make", Text),
    Column("camera_model", Text),
    Column(
        "truncated",
        Boolean,
        nullable=False,
        server_default="false",
        comment="The end of the file is missing, and with it a part of the picture.",
    ),
    _version(),
    _created_at(),
    CheckConstraint("size > 0 AND width > 0 AND height > 0", name="size"),
    comment="An image is its bytes: the same photo in ten folders is one row.",
)

file = Table(
    "file",
    metadata,
    # No ON DELETE CASCADE: deleting an image that another session has just given a file must fail, not win.
    Column("image_id", UUID(), ForeignKey("imrec.image.image_id"), nullable=False),
    Column("file_id", UUID(), nullable=False, comment="Made from root_id and relative_path."),
    Column("root_id", UUID(), ForeignKey("imrec.root.root_id"), nullable=False),
    Column(
        "relative_path", LargeBinary, nullable=False, comment="Below the root, as the file system spells it."
    ),
    Column(
        "path", Text, nullable=False, comment=r"The whole path for people; bytes that are no UTF-8 as \xff."
    ),
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False, comment="Nanoseconds since 1970."),
    _created_at(),
    PrimaryKeyConstraint("image_id", "file_id"),
    UniqueConstraint("file_id"),
    # Hash: a path may be longer than a btree entry (2,704 bytes).
    Index(None, "path", postgresql_using="hash"),
    # For those who may see some roots only: looks each image up, and finds what little there is of a root. On
    # root_id alone it did harm: before the first ANALYZE, each look-up read the whole root.
    Index(None, "root_id", "image_id"),
    comment="A file is where an image was seen.",
)


def _feature_table(feature: Feature) -> Table:
    """Return the table of a feature: named like it, in the column of its name."""
    column: Column[object]
    if feature.is_hash:
        column = Column(feature.value, BIT(HASH_BITS), nullable=False, comment="Row by row, top left first.")
        checks: list[SchemaItem] = [
            # With the hash and the id behind the key the index answers alone: 7 times as fast a row.
            Index(
                f"{feature}_chunk_{chunk}_idx",
                text(f"imrec_internal.hash_chunk({feature}, {chunk})"),
                feature.value,
                "image_id",
            )
            for chunk in range(4)
        ]
    else:
        column = Column(feature.value, VECTOR(DIMENSIONS), nullable=False)
        # A vector of zeros has no cosine distance, and no index would hold it.
        checks = [CheckConstraint(f"vector_norm({feature}) > 0", name="norm")]
    return Table(
        feature.value, metadata, _image_id(), column, _version(), *checks, comment=feature.description
    )


FEATURES = {feature: _feature_table(feature) for feature in Feature}
"""The table of each feature."""

hamming_flip = Table(
    "hamming_flip",
    metadata,
    Column("bits", SmallInteger, primary_key=True, autoincrement=False, comment="How many bits differ."),
    Column(
        "flip",
        BigInteger,
        primary_key=True,
        autoincrement=False,
        comment="The differing bits, to XOR with imrec_internal.hash_chunk().",
    ),
    comment="What turns a chunk of a hash into each chunk that differs in few bits.",
)

model = Table(
    "model",
    metadata,
    Column("model_id", SmallInteger, primary_key=True, autoincrement=False, server_default="1"),
    Column("name", Text, nullable=False),
    Column("weights_sha256", Text, nullable=False, comment="Of the tensors, whatever file held them."),
    _created_at(),
    CheckConstraint("model_id = 1", name="single"),
    comment="The one model that made all embeddings here; features of two models can't be compared.",
)

tuning = Table(
    "tuning",
    metadata,
    Column("feature", Text, primary_key=True),
    Column("metric", Text, primary_key=True),
    Column(
        "ef_search",
        Integer,
        nullable=False,
        comment="The smallest hnsw.ef_search that reached the recall wanted.",
    ),
    Column("k", Integer, nullable=False),
    Column("wanted", Double, nullable=False, comment="The recall@k asked for."),
    Column("recall", Double, nullable=False, comment="The recall@k measured against exact search."),
    Column("worst_decile", Double, nullable=False, comment="The same, of the tenth answered worst."),
    Column("self_found", Double, nullable=False, comment="The share of images that find themselves."),
    Column("p50_ms", Double, nullable=False, comment="The median time of a search in the database."),
    Column("queries", Integer, nullable=False, comment="On so many of the stored images."),
    Column("images", BigInteger, nullable=False, comment="How many images there were then."),
    Column("measured_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("ef_search BETWEEN 1 AND 1000", name="ef_search"),
    comment="How far imrec-pg tune found that each HNSW index has to search.",
)

reduction = Table(
    "reduction",
    metadata,
    Column("feature", Text, primary_key=True),
    Column("metrics", ARRAY(Text), nullable=False, comment="Those with lower bounds."),
    Column("dims", Integer, nullable=False, comment="Of a reduced vector."),
    Column("images", BigInteger, nullable=False, comment="How many images there were then."),
    Column(
        "candidates",
        Integer,
        nullable=False,
        comment="How many images are looked at first, where 10 are wanted.",
    ),
    Column("growth", Double, nullable=False, comment="Where k are wanted, (k / 10) ^ growth times as many."),
    Column(
        "passing",
        Double,
        nullable=False,
        comment="Which share of the images is compared by the whole vector, measured.",
    ),
    Column("block_images", Integer, nullable=False, comment="How many images a block has."),
    Column("exact_images", BigInteger, comment="How many images are compared in 60 ms, as measured here."),
    Column(
        "complete",
        Boolean,
        nullable=False,
        server_default="false",
        comment="Whether every vector is reduced, so that searches may rely on it.",
    ),
    _created_at(),
    comment="How the vectors of a feature are reduced to fewer dimensions, whose distances are lower bounds.",
)

reduction_axis = Table(
    "reduction_axis",
    metadata,
    Column("feature", Text, ForeignKey("imrec.reduction.feature", ondelete="CASCADE"), primary_key=True),
    Column("kind", Text, primary_key=True, comment="mean, component, or sum (of bins of a histogram)."),
    Column("axis", SmallInteger, primary_key=True, autoincrement=False),
    Column("direction", VECTOR(DIMENSIONS), nullable=False),
    CheckConstraint("kind IN ('mean', 'component', 'sum')", name="kind"),
    comment="The mean of the vectors at length 1, and the directions that they are projected on.",
)


def _reduced_table(feature: Feature) -> Table:
    return Table(
        f"{feature}_reduced",
        metadata,
        _image_id(),
        Column("reduced", HALFVEC(), comment="NULL where the vector has no lower bound."),
        Column("norm", Double, nullable=False, comment="The length of the vector."),
        Column("sums", HALFVEC(), comment="Of a histogram: of groups of bins."),
        comment="The vectors of a feature in few dimensions (imrec_internal.reduce).",
    )


def _block_table(feature: Feature) -> Table:
    return Table(
        f"{feature}_block",
        metadata,
        Column("block_id", UUID, primary_key=True, server_default=text("gen_random_uuid()")),
        Column("image_ids", ARRAY(UUID), nullable=False, comment="Some may be gone, or have a row by now."),
        Column("least_norm", Double, nullable=False, comment="Of the vectors' lengths."),
        Column("largest_norm", Double, nullable=False),
        Column("reduced", HALFVEC(), nullable=False, comment="Of each image, one after the other."),
        Column("sums", HALFVEC(), comment="Of each histogram, one after the other."),
        comment="Rows of the table of reduced vectors, many in one.",
    )


REDUCED = {feature: _reduced_table(feature) for feature in Feature if not feature.is_hash}
"""The table of the reduced vectors of a feature, a row each."""

BLOCKS = {feature: _block_table(feature) for feature in REDUCED}
"""The table of the reduced vectors of a feature, many in a row."""

evidence = Table(
    "evidence",
    metadata,
    Column("feature", Text, primary_key=True),
    Column("metric", Text, primary_key=True),
    Column(
        "distances",
        ARRAY(Double),
        nullable=False,
        comment="Breakpoints, ascending; between them evidence lies on a line.",
    ),
    Column(
        "evidence",
        ARRAY(Double),
        nullable=False,
        comment="At each of them, in decibans: 10 times the log10 of the likelihood ratio; never rising.",
    ),
    Column("copies", BigInteger, nullable=False, comment="On so many altered copies."),
    Column("pairs", BigInteger, nullable=False, comment="On so many pairs of unrelated photos."),
    Column("fitted_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint(
        "cardinality(distances) = cardinality(evidence) AND cardinality(distances) > 0", name="curve"
    ),
    comment="What imrec-pg tune fuse fitted: how much a distance speaks for an altered copy.",
)

map_ = Table(
    "map",
    metadata,
    Column("map_id", UUID(), primary_key=True),
    Column("feature", Text, nullable=False),
    Column("dims", SmallInteger, nullable=False),
    Column("neighbours", Integer, nullable=False, comment="UMAP's n_neighbors: how local the map is."),
    Column("min_dist", Double, nullable=False, comment="UMAP's: how close points may lie."),
    Column("seed", BigInteger, nullable=False, comment="The same photos and seed give the same map."),
    Column(
        "images", BigInteger, nullable=False, comment="How many images there were on it when it was made."
    ),
    Column("landmarks", BigInteger, nullable=False, comment="How many of them UMAP itself laid out."),
    Column(
        "trustworthiness",
        Double,
        comment="Of the 15 nearest on the map, how near by the feature (Venna, Kaski 2001).",
    ),
    Column(
        "neighbour_preservation",
        Double,
        comment="Which share of the 15 nearest by the feature are so on the map.",
    ),
    Column(
        "agreement",
        Double,
        comment="The adjusted Rand index of clusters by the feature and on the map; 1 is the same.",
    ),
    _created_at(),
    UniqueConstraint("feature", "dims"),
    CheckConstraint("dims IN (2, 3)", name="dims"),
    comment="A map of all images that have a feature: alike ones lie together.",
)

map_point = Table(
    "map_point",
    metadata,
    _image_id(),
    Column("map_id", UUID(), ForeignKey("imrec.map.map_id", ondelete="CASCADE"), primary_key=True),
    Column("x", REAL, nullable=False),
    Column("y", REAL, nullable=False),
    Column("z", REAL, comment="NULL on a map of two dimensions."),
    Column(
        "landmark",
        Boolean,
        nullable=False,
        comment="Laid out by UMAP; others lie by their nearest landmarks.",
    ),
    Column(
        "later", Boolean, nullable=False, server_default="false", comment="Placed after the map was made."
    ),
    Index(None, "map_id", "x", "y"),
    comment="Where an image lies on a map.",
)

map_projection = Table(
    "map_projection",
    metadata,
    Column("map_id", UUID(), ForeignKey("imrec.map.map_id", ondelete="CASCADE"), primary_key=True),
    Column("mean", LargeBinary, nullable=False, comment="Of the features at unit length: float32."),
    Column(
        "components", LargeBinary, nullable=False, comment="The principal components: float32, row by row."
    ),
    Column("centres", LargeBinary, nullable=False, comment="Of the cells, by these components: float32."),
    comment="What places a new image on a map: its cell is that of the nearest centre.",
)

map_cell = Table(
    "map_cell",
    metadata,
    Column("map_id", UUID(), ForeignKey("imrec.map.map_id", ondelete="CASCADE"), primary_key=True),
    Column("cell", Integer, primary_key=True, autoincrement=False),
    Column("landmarks", LargeBinary, nullable=False, comment="By the principal components: float16."),
    Column("points", LargeBinary, nullable=False, comment="Where they lie on the map: float32."),
    comment="The landmarks of a map, next to each other in memory as in space.",
)

clustering = Table(
    "clustering",
    metadata,
    Column("clustering_id", UUID(), primary_key=True),
    Column("feature", Text, nullable=False),
    Column(
        "space", Text, nullable=False, comment="Where clusters were looked for: by the feature, or on a map."
    ),
    Column("map_id", UUID(), ForeignKey("imrec.map.map_id", ondelete="CASCADE"), unique=True),
    Column("k", Integer, nullable=False, comment="How many clusters there are."),
    Column("k_chosen", Text, nullable=False, comment="auto: at the elbow of the curve; given: by the user."),
    Column("seed", BigInteger, nullable=False),
    Column(
        "images", BigInteger, nullable=False, comment="How many images there were in it when it was made."
    ),
    Column("silhouette", Double, comment="On a sample: -1 to 1, larger is clearer (Rousseeuw 1987)."),
    Column(
        "curve", JSONB, comment="Where k was chosen: [[k, inertia], ...], the inertia an image on a sample."
    ),
    _created_at(),
    CheckConstraint("space IN ('feature', 'map') AND (space = 'map') = (map_id IS NOT NULL)", name="space"),
    CheckConstraint("k_chosen IN ('auto', 'given')", name="k_chosen"),
    Index(None, "feature", unique=True, postgresql_where=text("map_id IS NULL")),
    comment="All images that have a feature, in clusters; one by the feature, one a map.",
)

cluster = Table(
    "cluster",
    metadata,
    Column(
        "clustering_id",
        UUID(),
        ForeignKey("imrec.clustering.clustering_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("cluster", Integer, primary_key=True, autoincrement=False, comment="From 1, the largest first."),
    Column("size", BigInteger, nullable=False, comment="How many images were in it when it was made."),
    Column("centre", VECTOR(), nullable=False, comment="The mean: of features at unit length, or of points."),
    Column("medoid", UUID(), nullable=False, comment="The image nearest to the centre, when it was made."),
    Column("spread", Double, nullable=False, comment="The mean distance to the centre."),
    Column("folder", Text, comment="That holds nine in ten of its photos, the deepest."),
    Column("year", Integer, comment="In which nine in ten of its photos were taken."),
    Column("camera", Text, comment="That took nine in ten of its photos."),
    comment="Images that are alike.",
)

cluster_member = Table(
    "cluster_member",
    metadata,
    _image_id(),
    Column(
        "clustering_id",
        UUID(),
        ForeignKey("imrec.clustering.clustering_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("cluster", Integer, nullable=False),
    Column("distance", Double, nullable=False, comment="Euclidean, to the centre."),
    Column(
        "later",
        Boolean,
        nullable=False,
        server_default="false",
        comment="Assigned after the clusters were made.",
    ),
    Index(None, "clustering_id", "cluster"),
    comment="In which cluster an image is.",
)

duplicate_pair = Table(
    "duplicate_pair",
    metadata,
    # No foreign keys here: ids are contents, of which all this stays true whether a file holds them or not.
    Column("image_id", UUID(), primary_key=True),
    Column("other_id", UUID(), primary_key=True),
    Column(
        "average_bits",
        SmallInteger,
        comment="In how many bits the hashes differ; NULL where one lacks it.",
    ),
    Column("difference_bits", SmallInteger),
    Column("perceptual_bits", SmallInteger),
    Column("embedding", Double, comment="Cosine distance."),
    Column("histogram", Double, comment="Cosine distance."),
    Column(
        "kind",
        Text,
        nullable=False,
        comment="copy; burst: of the same camera, seconds apart; raw: a camera raw and its picture, side by side.",
    ),
    CheckConstraint("image_id < other_id", name="order"),
    CheckConstraint("kind IN ('copy', 'burst', 'raw')", name="kind"),
    Index(None, "other_id"),
    comment="Two images that two signals agree to be alike; image_id < other_id. What it says follows from contents.",
)

duplicate_member = Table(
    "duplicate_member",
    metadata,
    Column("image_id", UUID(), primary_key=True),
    Column("kind", Text, primary_key=True, comment="copy or burst: what the group is of."),
    Column("group_id", UUID(), nullable=False),
    Column("keeper", Boolean, nullable=False, comment="The best image of the group."),
    CheckConstraint("kind IN ('copy', 'burst')", name="kind"),
    Index(None, "group_id"),
    comment="Groups of duplicates: stars, in which each image is near to the keeper.",
)

duplicate_verdict = Table(
    "duplicate_verdict",
    metadata,
    Column("image_id", UUID(), primary_key=True),
    Column("other_id", UUID(), primary_key=True),
    Column("verdict", Text, nullable=False, comment="same, alternate (an edit worth keeping) or different."),
    Column("by", Text, nullable=False, comment="The PostgreSQL role."),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("image_id < other_id", name="order"),
    CheckConstraint("verdict IN ('same', 'alternate', 'different')", name="verdict"),
    Index(None, "other_id"),
    comment="What a person said of two images; image_id < other_id. It outlives them: ids are contents.",
)

duplicate_search = Table(
    "duplicate_search",
    metadata,
    Column("search_id", SmallInteger, primary_key=True, autoincrement=False, server_default="1"),
    Column("strictness", Text, nullable=False),
    Column("crops", Boolean, nullable=False, comment="Whether the nearest by embedding were looked at too."),
    Column("found_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("search_id = 1", name="single"),
    comment="The last search for duplicates, one row: ingest looks for those of new photos as it did.",
)

duplicate_tuning = Table(
    "duplicate_tuning",
    metadata,
    Column("tuning_id", SmallInteger, primary_key=True, autoincrement=False, server_default="1"),
    Column("strictness", Text, nullable=False, comment="What searches go by that name no other."),
    Column("precision", Double, nullable=False, comment="Of what it found, the share that was right."),
    Column("recall", Double, nullable=False, comment="The share of the altered copies that it found."),
    Column("copies", BigInteger, nullable=False),
    Column("pairs", BigInteger, nullable=False, comment="Of copies and unrelated photos."),
    Column("measured_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("tuning_id = 1", name="single"),
    comment="The strictness that imrec-pg duplicates tune chose, one row, and what it measured.",
)

duplicate_seen = Table(
    "duplicate_seen",
    metadata,
    _image_id(),
    comment="Images whose near copies were looked for since the last search of the library.",
)

worker = Table(
    "worker",
    metadata,
    Column("worker_id", UUID(), primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column(
        "locked",
        Boolean,
        nullable=False,
        server_default="false",
        comment="Whether a session holds the advisory lock imrec_internal.worker_lock() for it.",
    ),
    Column("started_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column(
        "expires_at",
        DateTime(timezone=True),
        nullable=False,
        comment="By the clock of the database; the ingest puts it off while it lives.",
    ),
    comment="Every ingest that is running, or that died and was not noticed yet.",
)

claim = Table(
    "claim",
    metadata,
    Column("file_id", UUID(), primary_key=True),
    Column("root_id", UUID(), nullable=False),
    Column("worker_id", UUID(), ForeignKey("imrec.worker.worker_id", ondelete="CASCADE"), nullable=False),
    Column(
        "token",
        BigInteger,
        nullable=False,
        comment="Of this claim alone, and larger than all before; a write must show it.",
    ),
    Index(None, "worker_id"),
    comment="Files that an ingest is working on; no other one does meanwhile.",
)

missing = Table(
    "missing",
    metadata,
    Column("file_id", UUID(), primary_key=True, comment="Of imrec.file."),
    Column(
        "since",
        DateTime(timezone=True),
        nullable=False,
        server_default=func.now(),
        comment="When that was first seen.",
    ),
    comment="Files of imrec.file that were not there any more when ingest looked.",
)

failure = Table(
    "failure",
    metadata,
    Column("file_id", UUID(), primary_key=True, comment="As the file would have in imrec.file."),
    Column("root_id", UUID(), ForeignKey("imrec.root.root_id"), nullable=False),
    Column("relative_path", LargeBinary, nullable=False),
    Column("path", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("error_class", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="1"),
    _created_at(),
    Column("last_attempt_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    comment="Files that could not be read; tried again when they change, or on request.",
)

applied_sql = Table(
    "applied_sql",
    metadata,
    Column("imrec_version", Text, primary_key=True, comment="The imrec-pg that applied them."),
    Column("digest", Text, nullable=False, comment="SHA-256 of all files below sql/."),
    Column("applied_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    schema=INTERNAL,
    comment="Which functions and views are live: one row.",
)

lock = Table(
    "lock",
    metadata,
    Column("name", Text, primary_key=True),
    schema=INTERNAL,
    comment="A row for each thing that one session at a time may do: it locks the row.",
)

access = Table(
    "access",
    metadata,
    Column("role", RegRole, primary_key=True),
    schema=INTERNAL,
    comment="The readers who are restricted to some roots.",
)

access_root = Table(
    "access_root",
    metadata,
    Column("role", RegRole, ForeignKey("imrec_internal.access.role", ondelete="CASCADE"), primary_key=True),
    Column("root_id", UUID(), ForeignKey("imrec.root.root_id", ondelete="CASCADE"), primary_key=True),
    Index(None, "root_id"),
    schema=INTERNAL,
    comment="Whose photos a restricted reader sees; gone with the root.",
)
