"""What tests share and is no fixture."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import psycopg
import pytest
from numpy.typing import NDArray
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Identifier

from imrec_pg.catalogue.roots import add_root
from imrec_pg.db.connection import Connection
from imrec_pg.db.session import Session, open_session
from imrec_pg.db.sessions import Run
from imrec_pg.features.model import EmbedderSource
from imrec_pg.ingest.find import root_of
from imrec_pg.ingest.pipeline import IngestOptions, IngestResult, ingest
from imrec_pg.ingest.write import write_batch
from imrec_pg.paths import file_id
from imrec_pg.records import Features, FoundFile, ImageInfo, StoredImage
from imrec_pg.settings import Settings


def needs(*modules: str) -> pytest.MarkDecorator:
    """Return the mark of tests that are skipped without the libraries of an extra.

    Unlike importorskip it imports none: umap compiles for ten seconds, in each of the processes that look for tests.
    """
    absent = [module for module in modules if find_spec(module) is None]
    return pytest.mark.skipif(bool(absent), reason=f"not installed: {', '.join(absent)}")


def settings_for(dsn: str) -> Settings:
    return Settings(dsn=dsn, data_dir=Path("/nonexistent"), weights=None, dsn_source="the test")


@contextmanager
def new_database(server_dsn: str, template: str) -> Iterator[str]:
    """Yield the dsn of a copy of a database, which is dropped afterwards."""
    name = f"t_{uuid4().hex}"
    with psycopg.connect(server_dsn, autocommit=True) as admin:
        admin.execute(SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), Identifier(template)))
        yield make_conninfo(server_dsn, dbname=name)
        admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


@contextmanager
def copied_database(dsn: str) -> Iterator[str]:
    """Yield the dsn of a copy of a database that nobody is connected to, which is dropped afterwards."""
    with new_database(make_conninfo(dsn, dbname="postgres"), str(conninfo_to_dict(dsn)["dbname"])) as made:
        yield made


@contextmanager
def bare_session(settings: Settings) -> Iterator[Connection]:
    """Yield a session in which tests write bare names, as psql users do; ours are pinned to pg_catalog."""
    with open_session(settings) as conn:
        conn.execute("SET search_path TO DEFAULT")
        yield conn


@dataclass(frozen=True)
class Stored:
    """What was stored."""

    image_id: UUID
    path: str


def ingest_into(
    conn: Connection,
    paths: Sequence[bytes],
    embedders: EmbedderSource,
    options: IngestOptions,
    stopping: Callable[[], bool] = lambda: False,
) -> IngestResult:
    """Ingest into the connection's database, on a session of its own."""
    with closing(Session(settings_for(conn.info.dsn))) as session:
        return ingest(session, paths, embedders, options, stopping=stopping)


def running_on(conn: Connection) -> Run:
    """Return what calls functions with this connection."""

    def run(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return function(conn, *args, **kwargs)

    return run


class AddImage:
    """Stores images below /photos, or another root, with the features given, and random ones for the rest.

    Keywords: the features, image_id (else 1, 2, …).
    """

    def __init__(self, conn: Connection, root: bytes = b"/photos") -> None:
        self._conn = conn
        self._rng = np.random.default_rng(0)
        self._numbers = count(1)
        self._root = root_of(root)
        add_root(conn, self._root)

    def __call__(self, name: str, **features: Any) -> Stored:
        (stored,) = self.many([{"name": name} | features])
        return stored

    def many(self, images: Iterable[Mapping[str, Any]]) -> list[Stored]:
        """Store all in one batch."""
        made = [self._make(**image) for image in images]
        write_batch(self._conn, made)
        return [Stored(image.image_id, os.fsdecode(image.files[0].path)) for image in made]

    def _make(
        self,
        name: str,
        embedding: object = None,
        histogram: object = None,
        average_hash: bytes | None = None,
        difference_hash: bytes | None = None,
        perceptual_hash: bytes | None = None,
        image_id: UUID | None = None,
    ) -> StoredImage:
        number = next(self._numbers)
        key = image_id or UUID(int=number)
        relative = os.fsencode(name)
        root = self._root.root_id
        file = FoundFile(
            root, file_id(root, relative), relative, self._root.raw_path + b"/" + relative, 9, number
        )
        features = Features(
            embedding=self._row(embedding),
            histogram=self._row(histogram),
            average_hash=average_hash or self._rng.bytes(8),
            difference_hash=difference_hash or self._rng.bytes(8),
            perceptual_hash=perceptual_hash or self._rng.bytes(8),
        )
        return StoredImage(key, ImageInfo(key, 9, 4, 3, "JPEG", None, None, None), (file,), features)

    def _row(self, value: object) -> NDArray[np.float32]:
        return (self._rng.random(512) if value is None else np.asarray(value)).astype(np.float32)


def at_angle(degrees: float) -> NDArray[np.float64]:
    """Return a unit vector in the plane of the first two axes: cosine distances can be had by hand."""
    row = np.zeros(512)
    row[:2] = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return row


def add_analysis(conn: Connection) -> None:
    """Put all images on a flat map, by number n at (n / 10, n % 10), and into clusters without making any.

    By the embedding, the first ten are in cluster 1 and the others in 2; on the map those of even n are in 1.
    """
    by_feature, on_map, map_id = uuid4(), uuid4(), uuid4()
    conn.execute(
        "INSERT INTO imrec.map (map_id, feature, dims, neighbours, min_dist, seed, images, landmarks) "
        "VALUES (%s, 'embedding', 2, 15, 0.1, 42, 0, 0)",
        (map_id,),
    )
    numbered = "(SELECT image_id, row_number() OVER (ORDER BY image_id) - 1 AS n FROM imrec.image) AS i"
    conn.execute(
        "INSERT INTO imrec.map_point (image_id, map_id, x, y, landmark) "
        f"SELECT image_id, %s, n / 10, n %% 10, true FROM {numbered}",
        (map_id,),
    )
    for key, of_map, cluster in ((by_feature, None, "n < 10"), (on_map, map_id, "n %% 2 = 0")):
        conn.execute(
            "INSERT INTO imrec.clustering (clustering_id, feature, space, map_id, k, k_chosen, seed, images) "
            "VALUES (%s, 'embedding', CASE WHEN %s::uuid IS NULL THEN 'feature' ELSE 'map' END, %s, 2, 'given', 42, 0)",
            (key, of_map, of_map),
        )
        conn.execute(
            "INSERT INTO imrec.cluster_member (image_id, clustering_id, cluster, distance) "
            f"SELECT image_id, %s, CASE WHEN {cluster} THEN 1 ELSE 2 END, n FROM {numbered}".encode(),
            (key,),
        )
        conn.execute(
            "INSERT INTO imrec.cluster (clustering_id, cluster, size, centre, medoid, spread) "
            "SELECT clustering_id, cluster, count(*), '[0,0]', (array_agg(image_id ORDER BY distance))[1], 1 "
            "FROM imrec.cluster_member WHERE clustering_id = %s GROUP BY 1, 2",
            (key,),
        )
