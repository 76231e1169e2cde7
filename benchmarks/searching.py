"""The search section: exact for each feature and metric, then approximate for the indexed pair."""

from collections.abc import Iterator

from benchmarks.approximate import approximate_lines
from benchmarks.exact import exact_lines
from benchmarks.ground import Ground
from benchmarks.results import Line, Section, Value
from benchmarks.rivals.plain_pgvector import PlainPgvector
from imrec_pg.db.connection import Connection


def search_lines(ground: Ground, conn: Connection) -> Iterator[Line]:
    """Yield all lines; conn is of a library that is loaded and indexed."""
    plain = None
    if "pgvector" not in ground.without:
        plain = PlainPgvector(ground.place.database("plain"), "items")
        plain.load(block.embedding for _, block in ground.dataset.blocks())
    yield from exact_lines(ground, conn, plain)
    if "approximate" not in ground.without:
        indexed = None if "pgvector-hnsw" in ground.without else plain
        if indexed is not None:
            seconds = Value(indexed.build_index())
            yield Line(Section.SEARCH, "pgvector, plain table: default HNSW built in", "s", seconds)
        yield from approximate_lines(ground, conn, indexed)
    if plain is not None:
        plain.close()
