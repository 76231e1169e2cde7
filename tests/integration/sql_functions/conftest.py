"""Photos for the SQL functions, which are called as from psql."""

import numpy as np
import pytest
from integration.sql_functions.answers import NUMBER
from numpy.typing import NDArray
from support import AddImage

from imrec_pg.catalogue.index import build_index
from imrec_pg.db.connection import Connection
from imrec_pg.records import Feature, Metric


@pytest.fixture
def photos(add_image: AddImage) -> dict[str, NDArray[np.generic]]:
    """Store images 1 to 90 with random features; return those as float64 or bits (90, …)."""
    rng = np.random.default_rng(3)
    embedding = rng.normal(size=(NUMBER, 512)).astype(np.float32)
    histogram = rng.random((NUMBER, 512)).astype(np.float32)
    average, difference, perceptual = (rng.integers(0, 256, (NUMBER, 8), dtype=np.uint8) for _ in range(3))
    add_image.many(
        {
            "name": f"{'a' if i % 2 else 'b'}/{i + 1:02}.jpg",
            "embedding": embedding[i],
            "histogram": histogram[i],
            "average_hash": average[i].tobytes(),
            "difference_hash": difference[i].tobytes(),
            "perceptual_hash": perceptual[i].tobytes(),
        }
        for i in range(NUMBER)
    )
    return {
        "embedding": embedding.astype(np.float64),
        "histogram": histogram.astype(np.float64),
        "average_hash": np.unpackbits(average, axis=1),
        "difference_hash": np.unpackbits(difference, axis=1),
        "perceptual_hash": np.unpackbits(perceptual, axis=1),
    }


@pytest.fixture
def indexed(conn: Connection, photos: dict[str, NDArray[np.generic]]) -> None:
    del photos
    build_index(conn, Feature.EMBEDDING, Metric.COSINE)
    conn.execute("SET imrec.min_index_rows = 0")
