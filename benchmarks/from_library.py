"""The user's own features instead of generated ones."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.dataset import Dataset, write
from benchmarks.generated import BLOCK, HELD_OUT, Block
from imrec_pg.db.connection import Connection, translated
from imrec_pg.db.session import open_session
from imrec_pg.errors import UsageError
from imrec_pg.settings import Settings

_LEAST = 1_000
# Ids are made from the content's hash, so their order is a random one.
_FEATURES = """
SELECT e.embedding, h.histogram, b.average_hash, b.difference_hash
FROM imrec.embedding AS e
INNER JOIN imrec.histogram AS h ON h.image_id = e.image_id
INNER JOIN imrec.hash AS b ON b.image_id = e.image_id
ORDER BY e.image_id
"""


def copy_of(settings: Settings, folder: Path, rows: int) -> Dataset:
    """Return at most so many rows of a library, one image in a hundred held out as a query.

    The library is only read.

    Raises:
        UsageError: it holds fewer than 1,000 images with all features.
    """
    with open_session(settings) as conn, translated():
        conn.execute("SET default_transaction_read_only = on")
        counted = conn.execute(f"SELECT count(*) FROM ({_FEATURES}) AS f").fetchone()  # noqa: S608 - ours
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


def _blocks(conn: Connection) -> Iterator[tuple[Block, Block]]:
    with conn.transaction(), conn.cursor(name="imrec_bench") as cursor:
        cursor.execute(_FEATURES)
        while rows := cursor.fetchmany(BLOCK + HELD_OUT):
            block = Block(
                _vectors([row[0] for row in rows]),
                _vectors([row[1] for row in rows]),
                _hashes([row[2] for row in rows]),
                _hashes([row[3] for row in rows]),
            )
            yield block.rows(HELD_OUT, len(rows)), block.rows(0, HELD_OUT)


def _vectors(values: list[Any]) -> NDArray[np.float32]:
    return np.stack([value.to_numpy() for value in values])


def _hashes(values: list[Any]) -> NDArray[np.uint8]:
    joined = b"".join(int(value, 2).to_bytes(8) for value in values)
    return np.frombuffer(joined, dtype=np.uint8).reshape(-1, 8)
