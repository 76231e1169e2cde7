"""The HNSW indexes: missing, broken off, under another name, built by a faulty pgvector."""

import re
from collections.abc import Iterator

from psycopg.sql import SQL, Identifier

from imrec_pg.catalogue.index import index_name
from imrec_pg.db.connection import MIN_PGVECTOR, version_tuple
from imrec_pg.doctor.examined import WORTH_AN_INDEX, Examined, Index
from imrec_pg.doctor.finding import Finding, megabytes, notice, ok, warning
from imrec_pg.records import Feature, Metric

USUAL = (Feature.EMBEDDING, Metric.COSINE)
"""The pair that ingest builds an index for."""

# Details of others' builds are NULL where the role may not see them.
_BUILDING = """
SELECT index_relid::bigint FROM pg_catalog.pg_stat_progress_create_index WHERE datname = current_database()
"""
_VERSION = "SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'vector'"


def indexes(examined: Examined) -> Iterator[Finding]:
    """Yield whether the pair that is searched by default has an index, and which indexes are of no use."""
    if "embedding" not in examined.tables:
        return
    yield from _invalid(examined)
    yield from _misnamed(examined)
    name = index_name(*USUAL)
    rows = examined.tables["embedding"].rows
    named = [index for index in examined.indexes if index.name == name]
    if rows < WORTH_AN_INDEX:
        yield ok(f"about {rows:,} embeddings: all are compared within milliseconds")
    elif not named and not any(index.pair == USUAL for index in examined.hnsw):
        yield warning(
            f"embedding and cosine have no HNSW index, at about {rows:,} embeddings",
            "Every search compares with all of them.",
            "imrec-pg index build embedding cosine",
        )
    for index in examined.hnsw:
        yield ok(f"the HNSW index {index.name} takes {megabytes(index.bytes)}")


def builder(examined: Examined) -> Iterator[Finding]:
    """Yield which HNSW indexes a pgvector may have built whose VACUUM corrupts them.

    `imrec-pg index build` notes the version in the index's comment. Without that, the ages of the catalogue's
    rows tell whether the extension was updated after the index was built.
    """
    installed = examined.conn.execute(_VERSION).fetchone()
    if installed is None or version_tuple(str(installed[0])) < MIN_PGVECTOR:
        return  # the check of pgvector says what to do
    for index in examined.hnsw:
        noted = re.search(r"pgvector (\d+(?:\.\d+)+)", index.comment or "")
        if noted and version_tuple(noted[1]) < MIN_PGVECTOR:
            yield warning(
                f"{index.name} was built by pgvector {noted[1]}",
                "Up to 0.8.3, VACUUM could corrupt HNSW indexes: near photos may never be found.",
                _rebuild(examined, index, str(installed[0])),
            )
        elif noted:
            yield ok(f"{index.name} was built by pgvector {noted[1]}")
        elif index.older_than_extension:
            yield notice(
                f"which pgvector built {index.name} is not known; the extension was updated since",
                "If that was 0.8.3 or older, VACUUM may have corrupted it. Building it anew is safe.",
                _rebuild(examined, index, str(installed[0])),
            )
        else:
            yield ok(f"{index.name} was built since pgvector {installed[0]} was installed here")


def _rebuild(examined: Examined, index: Index, version: str) -> str:
    statement = SQL("REINDEX INDEX CONCURRENTLY {index}; COMMENT ON INDEX {index} IS {comment};")
    names = {"index": Identifier("imrec", index.name), "comment": f"Built by pgvector {version}."}
    return examined.sql(statement.format(**names))


def _invalid(examined: Examined) -> Iterator[Finding]:
    broken = [index for index in examined.indexes if not index.valid]
    running = {row[0] for row in examined.conn.execute(_BUILDING)} if broken else set()
    for index in broken:
        if index.oid in running:
            yield notice(f"{index.name} is being built", "Until it is done, searches do without it.")
        elif None in running:
            yield notice(
                f"{index.name} is being built, or a build broke off; this role may not see which",
                "Until it is there, searches do without it.",
                "imrec-pg doctor as the owner",
            )
        else:
            yield warning(
                f"{index.name} is invalid: its build broke off",
                "It is never used, and yet everything stored is put into it.",
                _mended(examined, index),
            )


def _mended(examined: Examined, index: Index) -> str:
    if index.pair is not None and index.name == index_name(*index.pair):
        feature, metric = index.pair
        return f"imrec-pg index build {feature} {metric}"
    # REINDEX CONCURRENTLY names what it leaves behind when it breaks off so.
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
