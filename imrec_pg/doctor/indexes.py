"""HNSW indexes: absent, incomplete, misnamed, built by a faulty pgvector, or too large to build in memory."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from psycopg.sql import SQL, Identifier

from imrec_pg.catalogue.index import index_name
from imrec_pg.catalogue.tuning import Tuning
from imrec_pg.db.connection import MIN_PGVECTOR, version_tuple
from imrec_pg.doctor.examined import WORTH_AN_INDEX, Examined, Index
from imrec_pg.doctor.finding import Finding, megabytes, notice, ok, warning
from imrec_pg.records import Feature, Metric

USUAL = (Feature.EMBEDDING, Metric.COSINE)
"""The pair that ingest builds an index for."""

# NULL for builds by others, if the role may not see them.
_BUILDING = """
SELECT index_relid::bigint FROM pg_catalog.pg_stat_progress_create_index WHERE datname = current_database()
"""
# Memory to build an HNSW index of 512 floats.
_BYTES_PER_ROW = 2_800
_MIB = 1024 * 1024
_TUNINGS = "SELECT * FROM imrec.tuning ORDER BY feature, metric"
_MOST_EQUAL = SQL(
    "SELECT coalesce(max(n), 0) AS most FROM "
    "(SELECT count(*) AS n FROM {table} TABLESAMPLE SYSTEM (%s) GROUP BY {column}) AS g"
)
# Beside 1,000 equal ones of 7,000, recall@10 was 0.97.
_MANY_EQUAL = 1_000
# Rows of larger tables that are looked at, and how many of them have to be equal to be no chance.
_SAMPLE, _LEAST_EQUAL = 20_000, 10
_VERSION = "SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'vector'"


@dataclass(frozen=True, slots=True)
class _Equal:
    most: int


def indexes(examined: Examined) -> Iterator[Finding]:
    """Yield whether the default feature and metric have an index, and which indexes are useless."""
    if "embedding" not in examined.tables:
        return
    yield from _invalid(examined)
    yield from _misnamed(examined)
    name = index_name(*USUAL)
    rows = examined.tables["embedding"].rows
    named = [index for index in examined.indexes if index.name == name]
    if rows < WORTH_AN_INDEX:
        yield ok(f"about {rows:,} embeddings: comparing all takes milliseconds")
    elif not named and not any(index.pair == USUAL for index in examined.hnsw):
        yield warning(
            f"embedding and cosine have no HNSW index, at about {rows:,} embeddings",
            "Every search compares with all of them.",
            "imrec-pg index build embedding cosine",
        )
    for index in examined.hnsw:
        yield ok(f"the HNSW index {index.name} takes {megabytes(index.bytes)}")


def builder(examined: Examined) -> Iterator[Finding]:
    """Yield which HNSW indexes may come from a pgvector whose VACUUM corrupted them.

    `imrec-pg index build` notes the version in the comment of the index. Without that, the ages of catalogue
    rows tell whether the extension was updated after the index was built.
    """
    version = next(iter(examined.values(_VERSION)), None)
    if version is None or version_tuple(version) < MIN_PGVECTOR:
        return  # the pgvector check says what to do
    for index in examined.hnsw:
        noted = re.search(r"pgvector (\d+(?:\.\d+)+)", index.comment or "")
        if noted and version_tuple(noted[1]) < MIN_PGVECTOR:
            yield warning(
                f"{index.name} was built by pgvector {noted[1]}",
                "Up to 0.8.3, VACUUM could corrupt HNSW indexes: searches may miss near photos.",
                _rebuild(examined, index, version),
            )
        elif noted:
            yield ok(f"{index.name} was built by pgvector {noted[1]}")
        elif index.older_than_extension:
            yield notice(
                f"it is not known which pgvector built {index.name}; the extension was updated since",
                "If it was 0.8.3 or older, VACUUM may have corrupted the index. Rebuilding it is safe.",
                _rebuild(examined, index, version),
            )
        else:
            yield ok(f"{index.name} was built after pgvector {version} was installed here")


def recall(examined: Examined) -> Iterator[Finding]:
    """Yield which indexes were measured to find fewer of the nearest photos than was asked for."""
    if "tuning" not in examined.tables:
        return
    pairs = {index.pair for index in examined.hnsw}
    tunings = [t for t in examined.records(Tuning, _TUNINGS) if (t.feature, t.metric) in pairs]
    if not tunings:
        yield ok("no index was measured (imrec-pg tune)")
    for tuning in tunings:
        measured = (
            f"the index of {tuning.feature} and {tuning.metric} finds {tuning.recall:.3f} of the {tuning.k} nearest, "
            f"and {tuning.self_found:.1%} of the photos find themselves, "
            f"measured on {tuning.queries:,} images on {tuning.measured_at:%Y-%m-%d}"
        )
        if min(tuning.recall, tuning.self_found) >= tuning.wanted:
            yield ok(measured)
        else:
            yield warning(
                f"{measured}; {tuning.wanted:g} was asked for",
                f"Looking further (ef_search {tuning.ef_search}) did not help.",
                f"imrec-pg tune {tuning.feature} {tuning.metric} measures it again; where it matters, search with "
                "--exact (in SQL: method => 'exact')",
            )


def equal_vectors(examined: Examined) -> Iterator[Finding]:
    """Yield which indexed features are the same vector in thousands of rows."""
    for name in sorted({index.table for index in examined.hnsw} & set(Feature) & examined.tables.keys()):
        table = examined.tables[name]
        share = 100.0 if examined.full or table.rows <= _SAMPLE else 100.0 * _SAMPLE / table.rows
        statement = _MOST_EQUAL.format(table=Identifier("imrec", name), column=Identifier(name))
        (sample,) = examined.records(_Equal, statement, (share,))
        rows = round(sample.most * 100 / share)
        if rows < _MANY_EQUAL or sample.most < _LEAST_EQUAL:
            yield ok(f"no thousand rows of imrec.{name} are equal")
            continue
        yield warning(
            f"{'' if share == 100 else 'about '}{rows:,} rows of imrec.{name} are equal",  # noqa: PLR2004
            "An HNSW index links them to each other, and misses other photos: beside 6,500 equal ones of 7,000 it "
            "found none of the others.",
            "search with --exact (in SQL: method => 'exact'), or keep one of the photos that look the same; "
            "imrec-pg tune measures how many the index finds",
        )


def memory(examined: Examined) -> Iterator[Finding]:
    """Yield whether an index build has the memory that it needs."""
    size = examined.setting_bytes("maintenance_work_mem")
    indexed = {index.table for index in examined.hnsw} | {"embedding"}
    rows = max((table.rows for table in examined.tables.values() if table.name in indexed), default=0)
    needed = rows * _BYTES_PER_ROW
    found = f"maintenance_work_mem ({megabytes(size)})"
    if needed <= size:
        yield ok(f"{found} is enough to build an index of about {rows:,} rows")
        return
    wanted, machine = math.ceil(1.1 * needed / _MIB), examined.machine
    if machine is not None:
        wanted = min(wanted, machine.memory // 2)
    found += f" is too small to build an index of about {rows:,} rows ({megabytes(needed)})"
    why = "The part that does not fit is built several times more slowly."
    if wanted * _MIB <= size:
        yield notice(found, f"{why} It is already half of this machine's memory.", "more memory")
    elif _due(examined):
        build = f"imrec-pg index build {USUAL[0]} {USUAL[1]}"
        yield warning(found, why, f"PGOPTIONS='-c maintenance_work_mem={wanted}MB' {build}")
    else:
        fix = examined.set_database("maintenance_work_mem", f"{wanted}MB")
        yield notice(found, f"{why} It matters when an index is rebuilt.", fix)


def _rebuild(examined: Examined, index: Index, version: str) -> str:
    statement = SQL("REINDEX INDEX CONCURRENTLY {index}; COMMENT ON INDEX {index} IS {comment};")
    names = {"index": Identifier("imrec", index.name), "comment": f"Built by pgvector {version}."}
    return examined.sql(statement.format(**names))


def _invalid(examined: Examined) -> Iterator[Finding]:
    broken = [index for index in examined.indexes if not index.valid]
    running = set(examined.values(_BUILDING)) if broken else set()
    for index in broken:
        if index.oid in running:
            yield notice(f"{index.name} is being built", "Until it is done, searches do not use it.")
        elif None in running:
            yield notice(
                f"{index.name} is being built, or its build was aborted; this role may not see which",
                "Until it is complete, searches do not use it.",
                "run imrec-pg doctor as the owner",
            )
        else:
            yield warning(
                f"{index.name} is invalid: its build was aborted",
                "Searches never use it, but each new photo is still added to it.",
                _rebuilt(examined, index),
            )


def _rebuilt(examined: Examined, index: Index) -> str:
    if index.pair is not None and index.name == index_name(*index.pair):
        feature, metric = index.pair
        return f"imrec-pg index build {feature} {metric}"
    # The names of what an aborted REINDEX CONCURRENTLY leaves behind.
    left_behind = re.search(r"_cc(?:new|old)\d*$", index.name)
    statement = "DROP INDEX CONCURRENTLY {};" if left_behind else "REINDEX INDEX CONCURRENTLY {};"
    return examined.sql(SQL(statement).format(Identifier("imrec", index.name)))


def _misnamed(examined: Examined) -> Iterator[Finding]:
    names = {index.name for index in examined.indexes}
    for index in examined.hnsw:
        if index.pair is None or index_name(*index.pair) in names:
            continue
        feature, metric = index.pair
        statement = SQL("ALTER INDEX {} RENAME TO {};")
        tell = warning if index.pair == USUAL else notice
        yield tell(
            f"the index of {feature} and {metric} is called {index.name}",
            f"imrec-pg looks for {index_name(*index.pair)}, so its searches compare with all photos.",
            examined.sql(
                statement.format(Identifier("imrec", index.name), Identifier(index_name(*index.pair)))
            ),
        )


def _due(examined: Examined) -> bool:
    table, name = examined.tables.get("embedding"), index_name(*USUAL)
    built = any(index.name == name for index in examined.hnsw)
    return table is not None and table.rows >= WORTH_AN_INDEX and not built
