"""Counts, sizes and versions of the database in use."""

from collections.abc import Sequence
from dataclasses import dataclass

from imrec_pg.catalogue.claims import Running, running
from imrec_pg.catalogue.index import IndexState, index_states
from imrec_pg.catalogue.model import recorded_model
from imrec_pg.catalogue.roots import RootState, states
from imrec_pg.catalogue.tuning import Tuning, tunings
from imrec_pg.db.connection import Connection, schema_version, translated
from imrec_pg.db.privileges import is_restricted
from imrec_pg.db.rows import all_rows, one_row, value
from imrec_pg.records import Feature, ModelIdentity, Wanted

_COUNTS = """
SELECT
    (SELECT count(*) FROM imrec.image) AS images,
    (SELECT count(*) FROM imrec.file) AS files,
    (SELECT count(*) FROM imrec.missing) AS missing_files,
    (SELECT coalesce(sum(size), 0)::bigint FROM imrec.file) AS photo_size,
    pg_database_size(current_database()) AS database_size
"""
# The same for a reader of some roots.
_VISIBLE_COUNTS = """
SELECT
    count(DISTINCT image_id) AS images,
    count(*) AS files,
    count(missing_since) AS missing_files,
    coalesce(sum(size), 0)::bigint AS photo_size,
    pg_database_size(current_database()) AS database_size
FROM imrec.visible_photo
"""
_VISIBLE_STORED = """
SELECT name, stored, outdated FROM imrec_internal.visible_counts(current_user, %s, %s)
"""
_CLASSES = "SELECT error_class, count(*) AS files FROM imrec.failure GROUP BY 1 ORDER BY 2 DESC, 1"
_VISIBLE_CLASSES = (
    "SELECT error_class, count(*) AS files FROM imrec.visible_failure GROUP BY 1 ORDER BY 2 DESC, 1"
)
# Of each feature, and of the metadata: how many are stored, and how many by an earlier version.
_STORED = """
SELECT w.name, count(s.image_id) AS stored, count(s.image_id) FILTER (WHERE s.version < w.version) AS outdated
FROM unnest(%s::text[], %s::integer[]) AS w (name, version)
LEFT JOIN imrec_internal.stored_feature AS s ON s.feature = w.name
GROUP BY w.name
"""
_ANALYSED = """
SELECT kind, feature, dims, images, later, lacking FROM imrec_internal.unplaced ORDER BY kind, feature, dims NULLS FIRST
"""
_VERSIONS = """
SELECT current_setting('server_version') AS postgres, extversion AS pgvector
FROM pg_catalog.pg_extension WHERE extname = 'vector'
"""


@dataclass(frozen=True, slots=True)
class Analysed:
    """Clusters or a map, and how far they lag behind.

    Attributes:
        kind: "clusters" or "map".
        dims: of the map, or of the map that was clustered; None for clusters by the feature.
        images: how many there were when it was made.
        later: how many were placed since.
        lacking: how many have the feature and are not in it.
    """

    kind: str
    feature: str
    dims: int | None
    images: int
    later: int
    lacking: int


@dataclass(frozen=True, slots=True)
class Status:
    """The state of the catalogue.

    Attributes:
        images: distinct contents.
        files: that hold them.
        failures: files that could not be read.
        missing_files: files that were not there any more when ingest last looked.
        lacking: how many images lack each feature.
        outdated: of how many images an earlier version of the extraction made each feature, or the metadata;
            only what there is of it.
        running: the ingests at work now.
        failure_classes: how many files failed for each kind of reason, the most frequent first.
        analysed: the clusters and maps that there are.
        photo_size: of the files, in bytes.
        database_size: of the whole database, in bytes.
    """

    images: int
    files: int
    failures: int
    missing_files: int
    lacking: dict[Feature, int]
    outdated: dict[str, int]
    photo_size: int
    database_size: int
    running: Sequence[Running]
    failure_classes: dict[str, int]
    roots: Sequence[RootState]
    model: ModelIdentity | None
    indexes: Sequence[IndexState]
    tunings: Sequence[Tuning]
    analysed: Sequence[Analysed]
    postgres_version: str
    pgvector_version: str
    schema_version: str


@dataclass(frozen=True, slots=True)
class _Counts:
    images: int
    files: int
    missing_files: int
    photo_size: int
    database_size: int


@dataclass(frozen=True, slots=True)
class _Stored:
    name: str
    stored: int
    outdated: int


@dataclass(frozen=True, slots=True)
class _Versions:
    postgres: str
    pgvector: str


@dataclass(frozen=True, slots=True)
class _FailureClass:
    error_class: str
    files: int


def status(conn: Connection, host: str, wanted: Wanted) -> Status:
    """Return counts, sizes and versions; the roots as a host sees them.

    wanted says the present versions of the extraction.
    """
    some = is_restricted(conn)
    with translated(conn):
        counts = one_row(conn, _Counts, _VISIBLE_COUNTS if some else _COUNTS)
        rows = all_rows(conn, _Stored, _VISIBLE_STORED if some else _STORED, (wanted.names, wanted.numbers))
        versions = one_row(conn, _Versions, _VERSIONS)
        classes = all_rows(conn, _FailureClass, _VISIBLE_CLASSES if some else _CLASSES)
        schema = schema_version(conn)
        analysed = [] if some else all_rows(conn, Analysed, _ANALYSED)  # made of all photos
    stored = {row.name: row.stored for row in rows}
    failure_classes = {row.error_class: row.files for row in classes}
    return Status(
        images=counts.images,
        files=counts.files,
        failures=sum(failure_classes.values()),
        missing_files=counts.missing_files,
        lacking={feature: counts.images - stored[feature] for feature in wanted.versions},
        outdated={row.name: row.outdated for row in rows if row.outdated},
        photo_size=counts.photo_size,
        running=[] if some else running(conn),  # hosts and processes of others
        failure_classes=failure_classes,
        database_size=counts.database_size,
        roots=states(conn, host),
        model=recorded_model(conn),
        indexes=index_states(conn),
        tunings=tunings(conn),
        analysed=analysed,
        postgres_version=versions.postgres,
        pgvector_version=versions.pgvector,
        schema_version=str(schema),
    )


def has_embeddings(conn: Connection) -> bool:
    """Return whether any embedding is stored; unlike a count, this does not read the table."""
    if is_restricted(conn):
        rows = all_rows(conn, _Stored, _VISIBLE_STORED, ([str(Feature.EMBEDDING)], [0]))
        return any(row.stored for row in rows)
    with translated(conn):
        return value(conn, bool, "SELECT EXISTS (SELECT FROM imrec.embedding)")
