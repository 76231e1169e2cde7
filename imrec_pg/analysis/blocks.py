"""Store reduced vectors many in a row: a scan that reads 14,000 rows takes half the time of one that reads 450,000."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from psycopg.sql import SQL, Identifier

from imrec_pg.analysis import reading
from imrec_pg.analysis.reading import Halves, Keys
from imrec_pg.db.connection import Connection
from imrec_pg.db.rows import value
from imrec_pg.records import Feature

# A row has to fit into a page of 8 kB, since what lies out of line takes longer to read.
_ROW = 8_000
_MOST = 32
_ID = 16
# That of pgvector, in single precision, may be another one by less.
_NORM_ERROR = 1e-6
_MERGED_AT_ONCE = 32_768
UNMERGED = 1_000
"""So many rows of one image each are scanned in a tenth of a millisecond."""

_COUNT = SQL("SELECT count(*) FROM {table} WHERE {bounded}")
_TAKE = SQL("""
DELETE FROM {table} WHERE image_id IN (
    SELECT image_id FROM {table} WHERE {bounded} ORDER BY norm, image_id LIMIT {count}
) RETURNING image_id, norm, reduced{sums}
""")


@dataclass(frozen=True, slots=True)
class Reduced:
    """Reduced vectors of some images, as imrec_internal.reduce makes them; all have their bounds.

    Attributes:
        vectors: float16 (n, dims).
        norms: of the whole vectors, float64 (n,).
        sums: float16 (n, groups of bins); none but of histograms.
    """

    keys: Keys
    vectors: Halves
    norms: NDArray[np.float64]
    sums: Halves


def size_for(dims: int, sums: int) -> int:
    """Return how many images fit into a block."""
    return max(1, min(_MOST, _ROW // (_ID + 2 * (dims + sums))))


def write(conn: Connection, feature: Feature, reduced: Reduced, size: int) -> Keys:
    """Store as many blocks as are full; return the ids of the rest.

    Images of about the same length share a block, since it knows the least and the largest alone.
    """
    order = np.argsort(reduced.norms, kind="stable")
    whole = len(order) // size * size
    if not whole:
        return reduced.keys
    kept = order[:whole]
    norms = reduced.norms[kept].reshape(-1, size)
    columns = {
        "image_ids": ("uuid[]", reduced.keys[kept].reshape(-1, size)),
        "least_norm": ("float8", norms[:, 0] * (1 - _NORM_ERROR)),
        "largest_norm": ("float8", norms[:, -1] * (1 + _NORM_ERROR)),
        "reduced": ("halfvec", reduced.vectors[kept].reshape(len(norms), -1)),
    }
    if reduced.sums.shape[1]:
        columns["sums"] = ("halfvec", reduced.sums[kept].reshape(len(norms), -1))
    with conn.cursor() as cur:
        reading.write_columns(cur, ("imrec", f"{feature}_block"), columns)
    return reduced.keys[order[whole:]]


def merge(conn: Connection, feature: Feature, dims: int, sums: int, least: int | None = None) -> None:
    """Make blocks of the rows of one image each, if there are at least so many (UNMERGED).

    The directions must not change meanwhile.
    """
    size = size_for(dims, sums)
    parts = {
        "table": Identifier("imrec", f"{feature}_reduced"),
        "bounded": SQL("reduced IS NOT NULL AND sums IS NOT NULL" if sums else "reduced IS NOT NULL"),
        "sums": SQL(", sums" if sums else ""),
    }
    while True:
        with conn.transaction():
            rows = value(conn, int, _COUNT.format(**parts))
            count = min(rows, _MERGED_AT_ONCE) // size * size
            if rows < (UNMERGED if least is None else least) or not count:
                return
            widths = [dims, sums] if sums else [dims]
            keys, norms, (vectors, *of_bins) = reading.halves(
                conn, _TAKE.format(**parts, count=count), widths
            )
            groups = of_bins[0] if of_bins else np.zeros((len(keys), 0), np.float16)
            left = write(conn, feature, Reduced(keys, vectors, norms, groups), size)
            # Only if an image was deleted in between.
            if len(left):
                ids = [key.tobytes().hex() for key in left]
                conn.execute("SELECT imrec_internal.reduce_images(%s::uuid[])", (ids,))
