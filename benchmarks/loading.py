"""Bulk load: ours beside COPY into bare tables and CREATE INDEX, which no way of loading can beat."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from psycopg.sql import SQL, Identifier

from benchmarks.bulk import Loaded, copy_feature
from benchmarks.results import Line, Section, Value, ratio_at_most
from benchmarks.scratch import open_plain
from benchmarks.workload import INDEXED, Workload
from imrec_pg.catalogue.index import index_name
from imrec_pg.db.connection import Connection
from imrec_pg.db.metadata import REDUCED
from imrec_pg.db.session import open_session
from imrec_pg.records import Feature
from imrec_pg.settings import Settings

_RIVAL = "COPY into bare tables, CREATE INDEX"
_GOAL = 1.2
_RAW_BYTES = sum(8 if feature.is_hash else 512 * 4 for feature in Feature)
_BARE_TABLE = "CREATE TABLE public.{feature} (image_id uuid, {feature} {type})"
# As ours: else every vector goes out of line, and loading takes longer.
_INLINE = "ALTER TABLE public.{feature} ALTER COLUMN {feature} SET STORAGE PLAIN"
_SAME_TABLES = "a table for each of the five features on both sides, perceptual_hash included"


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


def load_lines(workload: Workload, settings: Settings, ours: Loaded) -> Iterator[Line]:
    """Yield lines on the load that filled the library of these settings, beside one into bare tables."""
    rows = len(workload.dataset)
    with open_session(settings) as conn:
        definition = _index_definition(conn)
        sizes = _sizes(conn)
    bare = _bare_load(workload, definition)
    our_rate, bare_rate = Value(rows / ours.copy_seconds), Value(rows / bare.copy_seconds)
    note = (
        f"{_SAME_TABLES}; ours has keys, foreign keys, the hashes' indexes and the catalogue as well; "
        "VACUUM ANALYZE on both sides"
    )
    yield Line(
        Section.LOAD, f"COPY of all {len(Feature)} features", "rows/s", our_rate, _RIVAL, bare_rate, note=note
    )
    built, bare_built = Value(ours.index_seconds), Value(bare.index_seconds)
    yield Line(Section.LOAD, "embedding cosine index", "s", built, _RIVAL, bare_built)
    yield Line(Section.LOAD, "reduced vectors of both features", "s", Value(ours.reduce_seconds))
    total = Value(ours.copy_seconds + ours.index_seconds)
    bare_total = Value(bare.copy_seconds + bare.index_seconds)
    goal = ratio_at_most(_GOAL, total, bare_total)
    yield Line(
        Section.LOAD, f"load and index {rows:,} rows", "s", total, _RIVAL, bare_total, goal, _SAME_TABLES
    )
    raw = Value(_RAW_BYTES)
    per_image = Value(sizes.features / rows)
    yield Line(Section.LOAD, "features, bytes an image", "bytes", per_image, "float32 values alone", raw)
    yield Line(Section.LOAD, "index, bytes an image", "bytes", Value(sizes.index / rows))
    yield Line(Section.LOAD, "whole database, bytes an image", "bytes", Value(sizes.database / rows))


def _bare_load(workload: Workload, definition: str) -> Loaded:
    with open_plain(workload.scratch.database("bare")) as conn:
        for feature in Feature:
            column_type = SQL("bit(64)") if feature.is_hash else SQL("vector(512)")
            table = {"feature": Identifier(feature), "type": column_type}
            conn.execute(SQL(_BARE_TABLE).format(**table))
            if not feature.is_hash:
                conn.execute(SQL(_INLINE).format(**table))
        seconds = 0.0
        for ids, block in workload.dataset.blocks():
            started = time.perf_counter()
            for feature in Feature:
                copy_feature(conn, "public", feature, ids, block[feature])
            seconds += time.perf_counter() - started
        started = time.perf_counter()
        for feature in Feature:
            conn.execute(SQL("VACUUM (ANALYZE) {}").format(Identifier("public", feature)))
        copied = time.perf_counter()
        conn.execute(definition.encode())
        return Loaded(len(workload.dataset), seconds + copied - started, time.perf_counter() - copied)


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
        " WHERE c.relnamespace = 'imrec'::regnamespace AND c.relname = ANY(%(tables)s)), "
        "pg_database_size(current_database())",
        {
            "index": f"imrec.{index_name(*INDEXED)}",
            "tables": [*Feature, *(table.name for table in REDUCED.values())],
        },
    ).fetchone()
    assert row is not None
    index, features, database = (int(str(value)) for value in row)
    return Sizes(index, features - index, database)
