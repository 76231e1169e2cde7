"""The user's own features instead of generated ones."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg.sql import SQL, Identifier

from benchmarks.dataset import Dataset, write
from benchmarks.feature_rows import FeatureRows
from benchmarks.generated import BLOCK, HELD_OUT
from imrec_pg.db.connection import Connection, translated
from imrec_pg.db.session import open_session
from imrec_pg.errors import UsageError
from imrec_pg.records import Feature
from imrec_pg.settings import Settings

_LEAST = 1_000
# An image_id is made from a hash of the content, so the order of rows is random.
_FEATURES = SQL("SELECT {columns} FROM imrec.image {joins} ORDER BY image_id").format(
    columns=SQL(", ").join(map(Identifier, Feature)),
    joins=SQL(" ").join(SQL("INNER JOIN imrec.{} USING (image_id)").format(Identifier(f)) for f in Feature),
)


def copy_of(settings: Settings, folder: Path, rows: int) -> Dataset:
    """Return at most so many rows of a library, one image in a hundred held out as a query.

    The library is only read.

    Raises:
        UsageError: it holds fewer than 1,000 images with all features.
    """
    with open_session(settings) as conn, translated():
        conn.execute("SET default_transaction_read_only = on")
        counted = conn.execute(SQL("SELECT count(*) FROM ({}) AS f").format(_FEATURES)).fetchone()
        images = int(str(counted[0])) if counted else 0
        if images < _LEAST:
            raise UsageError(
                f"the library has {images} images with all features, too few to measure searches on "
                f"({_LEAST:,} needed): leave out --from-library for generated ones"
            )
        # A last block that is not full gives its first photos as queries, and may give nothing else.
        full, rest = divmod(images, BLOCK + HELD_OUT)
        stored = full * BLOCK + max(0, rest - HELD_OUT)
        return write(folder, min(rows, stored), _blocks(conn))


def _blocks(conn: Connection) -> Iterator[tuple[FeatureRows, FeatureRows]]:
    with conn.transaction(), conn.cursor(name="imrec_bench") as cursor:
        cursor.execute(_FEATURES)
        while rows := cursor.fetchmany(BLOCK + HELD_OUT):
            columns = zip(Feature, zip(*rows, strict=True), strict=True)
            block = FeatureRows(
                {feature: (_hashes if feature.is_hash else _vectors)(values) for feature, values in columns}
            )
            yield block.rows(HELD_OUT, len(rows)), block.rows(0, HELD_OUT)


def _vectors(values: Sequence[Any]) -> NDArray[np.generic]:
    return np.stack([value.to_numpy() for value in values])


def _hashes(values: Sequence[Any]) -> NDArray[np.generic]:
    joined = b"".join(int(value, 2).to_bytes(8) for value in values)
    return np.frombuffer(joined, dtype=np.uint8).reshape(-1, 8)
