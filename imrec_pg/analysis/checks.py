"""What clusters and maps can be made of, and who may make them."""

from imrec_pg.analysis import reading
from imrec_pg.analysis.records import AUTO
from imrec_pg.db.connection import Connection
from imrec_pg.db.rows import value
from imrec_pg.errors import PermissionDeniedError, UsageError
from imrec_pg.records import Feature

_MOST_CLUSTERS = 10_000
_MAY = "SELECT pg_catalog.has_table_privilege('imrec.clustering', 'INSERT, DELETE')"


def nothing(_step: str, _done: int, _total: int | None) -> None:
    """Tell nobody of the progress."""


def check_k(k: int | str) -> None:
    """Return when k is "auto" or a number that makes sense.

    Raises:
        UsageError: it is not.
    """
    if k != AUTO and not (isinstance(k, int) and 1 <= k <= _MOST_CLUSTERS):
        raise UsageError(f"k is how many clusters to make, from 1 to {_MOST_CLUSTERS:,}, or auto, not {k}")


def check_seed(seed: int) -> None:
    """Return when a seed is one that NumPy takes.

    Raises:
        UsageError: it is not.
    """
    if not 0 <= seed < 2**32:
        raise UsageError(f"a seed is a number from 0 to {2**32 - 1:,}, not {seed}")


def check_feature(feature: Feature) -> None:
    """Return when a feature can be averaged, and so have clusters and a map.

    Raises:
        UsageError: it is a hash.
    """
    if feature.is_hash:
        raise UsageError(f"clusters and maps are of embedding and histogram; {feature} has no mean")


def may_build(conn: Connection) -> None:
    """Return when this role may store clusters and maps.

    Raises:
        PermissionDeniedError: it may not.
    """
    if not value(conn, bool, _MAY):
        raise PermissionDeniedError("only the owner of the schema imrec may make clusters and maps")


def how_many(conn: Connection, feature: Feature, k: int | str) -> int:
    """Return how many images there are to be put into clusters, or on a map.

    Raises:
        UsageError: there are none, or fewer than clusters.
    """
    images = reading.count(conn, feature)
    if not images:
        raise UsageError(f"there is no {feature} of any photo yet: imrec-pg ingest FOLDER computes it")
    if isinstance(k, int) and k > images:
        raise UsageError(f"{k:,} clusters cannot be made of {images:,} photos: ask for fewer, or for auto")
    return images
