"""Counts, sizes and versions of the database in use."""

from collections.abc import Sequence
from dataclasses import dataclass

from imrec_pg.catalogue.claims import Running, running
from imrec_pg.catalogue.index import IndexState, index_states
from imrec_pg.catalogue.model import recorded_model
from imrec_pg.catalogue.roots import RootState, states
from imrec_pg.catalogue.tuning import Tuning, tunings
from imrec_pg.db.connection import Connection, schema_version, translated
from imrec_pg.records import ModelIdentity

_COUNTS = """
SELECT
    (SELECT count(*) FROM imrec.image) AS images,
    (SELECT count(*) FROM imrec.file) AS files,
    (SELECT count(*) FROM imrec.missing) AS missing_files,
    (SELECT count(*) FROM imrec.embedding) AS embeddings,
    (SELECT count(*) FROM imrec.histogram) AS histograms,
    (SELECT count(*) FROM imrec.hash) AS hashes,
    (SELECT coalesce(sum(bytes), 0)::bigint FROM imrec.file) AS photo_size,
    pg_database_size(current_database()) AS database_size
"""
_VERSIONS = """
SELECT current_setting('server_version'), extversion
FROM pg_catalog.pg_extension WHERE extname = 'vector'
"""


@dataclass(frozen=True, slots=True)
class Status:
    """The state of the catalogue.

    Attributes:
        images: distinct contents.
        files: places they were seen at.
        failures: files that could not be read.
        missing_files: files that were not there any more when ingest last looked.
        missing: how many images lack each feature.
        running: the ingests at work now.
        failure_classes: how many files failed for each kind of reason, the most frequent first.
        photo_size: of the files.
        database_size: of the whole database.
    """

    images: int
    files: int
    failures: int
    missing_files: int
    missing: dict[str, int]
    photo_size: int
    database_size: int
    running: Sequence[Running]
    failure_classes: dict[str, int]
    roots: Sequence[RootState]
    model: ModelIdentity | None
    indexes: Sequence[IndexState]
    tunings: Sequence[Tuning]
    postgres_version: str
    pgvector_version: str
    schema_version: str


def status(conn: Connection, host: str) -> Status:
    """Return counts, sizes and versions; the roots as a host sees them."""
    with translated():
        counts = conn.execute(_COUNTS).fetchone()
        versions = conn.execute(_VERSIONS).fetchone()
        classes = conn.execute(
            "SELECT error_class, count(*) FROM imrec.failure GROUP BY 1 ORDER BY 2 DESC, 1"
        ).fetchall()
        schema = schema_version(conn)
    assert counts is not None
    assert versions is not None
    images, files, missing_files, embeddings, histograms, hashes, photo_size, database_size = (
        int(str(value)) for value in counts
    )
    failure_classes = {str(name): int(str(number)) for name, number in classes}
    return Status(
        images=images,
        files=files,
        failures=sum(failure_classes.values()),
        missing_files=missing_files,
        missing={
            "embedding": images - embeddings,
            "histogram": images - histograms,
            "hash": images - hashes,
        },
        photo_size=photo_size,
        running=running(conn),
        failure_classes=failure_classes,
        database_size=database_size,
        roots=states(conn, host),
        model=recorded_model(conn),
        indexes=index_states(conn),
        tunings=tunings(conn),
        postgres_version=str(versions[0]),
        pgvector_version=str(versions[1]),
        schema_version=str(schema),
    )


def has_embeddings(conn: Connection) -> bool:
    """Return whether any embedding is stored; unlike a count, this does not read the table."""
    with translated():
        row = conn.execute("SELECT EXISTS (SELECT FROM imrec.embedding)").fetchone()
    return bool(row and row[0])
