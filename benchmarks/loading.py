"""Bulk load: ours beside COPY into bare tables and CREATE INDEX, which no way of loading can beat."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from psycopg.sql import SQL, Identifier

from benchmarks.bulk import Loaded, copy_rows, hash_rows, vector_rows
from benchmarks.ground import INDEXED, Ground
from benchmarks.results import Line, Section, Value, ratio_at_most
from benchmarks.scratch import open_plain
from imrec_pg.catalogue.index import index_name
from imrec_pg.db.connection import Connection
from imrec_pg.db.session import open_session
from imrec_pg.settings import Settings

_RIVAL = "COPY into bare tables, CREATE INDEX"
_GOAL = 1.2
_RAW_BYTES = 2 * 512 * 4 + 2 * 8
_BARE_TABLES = (
    "CREATE TABLE public.embedding (image_id uuid, embedding vector(512))",
    "CREATE TABLE public.histogram (image_id uuid, histogram vector(512))",
    "CREATE TABLE public.hash (image_id uuid, average_hash bit(64), difference_hash bit(64))",
    # As ours: else every vector goes out of line, and loading takes longer.
    "ALTER TABLE public.embedding ALTER COLUMN embedding SET STORAGE PLAIN",
    "ALTER TABLE public.histogram ALTER COLUMN histogram SET STORAGE PLAIN",
)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes on disk.

    Attributes:
        index: of the HNSW index.
        features: of the tables that hold features, with their keys, without that index.
        database: of everything.
    """

    index: int
    features: int
    database: int


def load_lines(ground: Ground, settings: Settings, ours: Loaded) -> Iterator[Line]:
    """Yield lines on the load that filled the library of these settings, beside one into bare tables."""
    rows = len(ground.dataset)
    with open_session(settings) as conn:
        definition = _index_definition(conn)
        sizes = _sizes(conn)
    bare = _bare_load(ground, definition)
    our_rate, bare_rate = Value(rows / ours.copy_seconds), Value(rows / bare.copy_seconds)
    note = "ours has keys, foreign keys and the catalogue as well; VACUUM ANALYZE on both sides"
    yield Line(Section.LOAD, "COPY of all features", "rows/s", our_rate, _RIVAL, bare_rate, note=note)
    built, bare_built = Value(ours.index_seconds), Value(bare.index_seconds)
    yield Line(Section.LOAD, "embedding cosine index", "s", built, _RIVAL, bare_built)
    total = Value(ours.copy_seconds + ours.index_seconds)
    bare_total = Value(bare.copy_seconds + bare.index_seconds)
    goal = ratio_at_most(_GOAL, total, bare_total)
    yield Line(Section.LOAD, f"load and index {rows:,} rows", "s", total, _RIVAL, bare_total, goal)
    raw = Value(_RAW_BYTES)
    per_image = Value(sizes.features / rows)
    yield Line(Section.LOAD, "features, bytes an image", "bytes", per_image, "float32 values alone", raw)
    yield Line(Section.LOAD, "index, bytes an image", "bytes", Value(sizes.index / rows))
    yield Line(Section.LOAD, "whole database, bytes an image", "bytes", Value(sizes.database / rows))


def _bare_load(ground: Ground, definition: str) -> Loaded:
    with open_plain(ground.place.database("bare")) as conn:
        for statement in _BARE_TABLES:
            conn.execute(statement.encode())
        seconds = 0.0
        for ids, block in ground.dataset.blocks():
            embeddings, histograms = vector_rows(ids, block.embedding), vector_rows(ids, block.histogram)
            hashes = hash_rows(ids, block.average_hash, block.difference_hash)
            started = time.perf_counter()
            copy_rows(conn, Identifier("public", "embedding"), ("image_id", "embedding"), embeddings)
            copy_rows(conn, Identifier("public", "histogram"), ("image_id", "histogram"), histograms)
            columns = ("image_id", "average_hash", "difference_hash")
            copy_rows(conn, Identifier("public", "hash"), columns, hashes)
            seconds += time.perf_counter() - started
        started = time.perf_counter()
        for table in ("embedding", "histogram", "hash"):
            conn.execute(SQL("VACUUM (ANALYZE) {}").format(Identifier("public", table)))
        copied = time.perf_counter()
        conn.execute(definition.encode())
        return Loaded(len(ground.dataset), seconds + copied - started, time.perf_counter() - copied)


def _index_definition(conn: Connection) -> str:
    """Return the statement that makes the same index on the bare table."""
    row = conn.execute(
        "SELECT pg_get_indexdef(to_regclass(%s))", (f"imrec.{index_name(*INDEXED)}",)
    ).fetchone()
    assert row is not None
    return str(row[0]).replace("imrec.embedding", "public.embedding")


def _sizes(conn: Connection) -> Sizes:
    row = conn.execute(
        "SELECT pg_relation_size(to_regclass(%(index)s)), "
        "(SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class AS c "
        " WHERE c.relnamespace = 'imrec'::regnamespace AND c.relname IN ('embedding', 'histogram', 'hash')), "
        "pg_database_size(current_database())",
        {"index": f"imrec.{index_name(*INDEXED)}"},
    ).fetchone()
    assert row is not None
    index, features, database = (int(str(value)) for value in row)
    return Sizes(index, features - index, database)
