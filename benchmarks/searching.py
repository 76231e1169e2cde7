"""The search section: exact for each feature and metric, then approximate for the indexed pair."""

from collections.abc import Iterator

from benchmarks.approximate import approximate_lines
from benchmarks.exact import exact_lines
from benchmarks.results import Line, Section, Value
from benchmarks.rivals.plain_pgvector import PlainPgvector
from benchmarks.workload import Workload
from imrec_pg.db.connection import Connection
from imrec_pg.records import Feature


def search_lines(workload: Workload, conn: Connection) -> Iterator[Line]:
    """Yield all lines; conn is of a library that is loaded and indexed."""
    plain = None
    if "pgvector" not in workload.without:
        plain = PlainPgvector(workload.scratch.database("plain"), "items")
        plain.load(block.vectors(Feature.EMBEDDING) for _, block in workload.dataset.blocks())
    yield from exact_lines(workload, conn, plain)
    if "approximate" not in workload.without:
        indexed = None if "pgvector-hnsw" in workload.without else plain
        if indexed is not None:
            seconds = Value(indexed.build_index())
            yield Line(Section.SEARCH, "pgvector, plain table: default HNSW built in", "s", seconds)
        yield from approximate_lines(workload, conn, indexed)
    if plain is not None:
        plain.close()
