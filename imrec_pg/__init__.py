"""An image recommender that lives in PostgreSQL.

with imrec_pg.open() as library:
    library.ingest("/photos")
    answer = library.search("a.jpg", k=20, feature="histogram", under="/photos/2024")
"""

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from imrec_pg._version import __version__
from imrec_pg.errors import (
    ConflictError,
    DatabaseUnreachableError,
    DecodeError,
    EmbeddedServerError,
    ExportFileError,
    ImageNotFoundError,
    ImrecError,
    InvalidQueryError,
    LibraryInUseError,
    ModelMismatchError,
    NoWorkersError,
    PermissionDeniedError,
    SchemaError,
    StoreError,
    UsageError,
    WeightsError,
)

if TYPE_CHECKING:
    from imrec_pg.analysis.records import Cluster, Clustering, MapInfo, MapPoints
    from imrec_pg.ingest.pipeline import IngestResult
    from imrec_pg.library import Library
    from imrec_pg.records import Certainty, Combine, Feature, Features, Filter, Fusion, Metric
    from imrec_pg.search.results import Answer, FeatureRank, FusedAnswer, FusedNeighbour, Neighbour

__all__ = [
    "Answer",
    "Certainty",
    "Cluster",
    "Clustering",
    "Combine",
    "ConflictError",
    "DatabaseUnreachableError",
    "DecodeError",
    "EmbeddedServerError",
    "ExportFileError",
    "Feature",
    "FeatureRank",
    "Features",
    "Filter",
    "FusedAnswer",
    "FusedNeighbour",
    "Fusion",
    "ImageNotFoundError",
    "ImrecError",
    "IngestResult",
    "InvalidQueryError",
    "Library",
    "LibraryInUseError",
    "MapInfo",
    "MapPoints",
    "Metric",
    "ModelMismatchError",
    "Neighbour",
    "NoWorkersError",
    "PermissionDeniedError",
    "SchemaError",
    "StoreError",
    "UsageError",
    "WeightsError",
    "__version__",
    "open",
    "restore",
    "upgrade",
]

# Imported when they are first used: psycopg and NumPy take 0.2 s, and the command line imports this package
# first of all.
_PLACES = {
    **dict.fromkeys(
        ("Answer", "FeatureRank", "FusedAnswer", "FusedNeighbour", "Neighbour"), "search.results"
    ),
    **dict.fromkeys(("Cluster", "Clustering", "MapInfo", "MapPoints"), "analysis.records"),
    **dict.fromkeys(("Certainty", "Combine", "Feature", "Features", "Filter", "Fusion", "Metric"), "records"),
    "IngestResult": "ingest.pipeline",
    "Library": "library",
}


def __getattr__(name: str) -> object:
    """Import what is asked for."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


def open(  # noqa: A001 - as gzip.open, meant to be called by its module's name
    dsn: str | None = None,
    *,
    data: str | os.PathLike[str] | None = None,
    weights: str | os.PathLike[str] | None = None,
    device: str = "auto",
) -> "Library":
    """Return the photo library in a database.

    Args:
        dsn: a PostgreSQL connection string; None for IMREC_DATABASE_URL, DATABASE_URL or libpq's variables,
            and without those the embedded server, which is started when needed.
        data: the embedded server's folder.
        weights: a file with the model's weights; None for the usual search.
        device: of the model: "auto", "cpu", "cuda", "cuda:N" or "mps".

    Raises:
        DatabaseUnreachableError: no server, wrong DSN or password.
        SchemaError: pgvector or the schema is missing or has another version.
    """
    from imrec_pg import settings
    from imrec_pg.library import Library

    used = settings.load(
        dsn=dsn,
        data=_path(data),
        weights=_path(weights),
    )
    return Library(used, device=device)


def upgrade(dsn: str | None = None, *, data: str | os.PathLike[str] | None = None) -> None:
    """Create or update the schema of a database, named as for open(); safe to run twice at once.

    Raises:
        DatabaseUnreachableError: no server, wrong DSN or password.
        SchemaError: the server is too old or has no pgvector, or the role may not create that.
    """
    from imrec_pg import settings
    from imrec_pg.db.migrate import upgrade as migrate

    migrate(settings.load(dsn=dsn, data=_path(data)))


def restore(
    file: str | os.PathLike[str], dsn: str | None = None, *, data: str | os.PathLike[str] | None = None
) -> None:
    """Fill a database without photos, named as for open(), from what Library.dump() wrote, all or nothing.

    Raises:
        UsageError: the database holds photos, or other tables in our schemas.
        ImrecError: the file is no dump of a library, there is no pg_restore for this server, or it failed.
    """
    from imrec_pg import settings
    from imrec_pg.backup.dump import restore as pour

    pour(settings.load(dsn=dsn, data=_path(data)), Path(file))


def _path(given: str | os.PathLike[str] | None) -> Path | None:
    # Path("") is the working folder.
    if given == "":
        raise UsageError("a path is empty: name a file or folder, or give none")
    return None if given is None else Path(given)
