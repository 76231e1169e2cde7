"""Exact Hamming search over the stored hashes, through the indexes on their chunks (docs/adr/0009)."""

from collections.abc import Sequence
from uuid import UUID

from pgvector import Bit
from psycopg.rows import tuple_row
from psycopg.sql import SQL, Composable, Composed, Literal

from imrec_pg.db.connection import Connection, translated
from imrec_pg.records import Feature

_NEAREST = SQL(
    "SELECT n.image_id, n.distance FROM imrec.hamming_search({query}, {k}, {feature}, {exclude}::uuid[]) AS n"
)


def nearest_statement(query: Composable, feature: Feature, k: int, exclude: Composable) -> Composed:
    """Return a SELECT of (image_id uuid, distance integer), nearest first, to put into a larger statement.

    query and exclude are placeholders, or other expressions, of a bit(64) and a uuid[].
    """
    return _NEAREST.format(query=query, k=Literal(k), feature=Literal(str(feature)), exclude=exclude)


def nearest_hashes(
    conn: Connection, query: bytes, feature: Feature, k: int, exclude: Sequence[UUID] = ()
) -> list[tuple[UUID, int]]:
    """Return the k images whose hash is nearest to the query (8 bytes), with their distances, 0 to 64.

    Nearest first, ties by image_id; fewer only when fewer are stored. Those in exclude are left out.
    """
    statement = nearest_statement(SQL("%(query)s"), feature, k, SQL("%(exclude)s"))
    with translated(), conn.cursor(row_factory=tuple_row) as cur:
        return cur.execute(statement, {"query": Bit(query), "exclude": list(exclude)}).fetchall()


def hashes_within(conn: Connection, query: bytes, feature: Feature, bits: int) -> list[tuple[UUID, int]]:
    """Return all images whose hash differs from the query (8 bytes) in at most so many bits.

    Each with its distance, 0 to bits, in no particular order.
    """
    statement = SQL("SELECT image_id, distance FROM imrec.hamming_within(%s, %s, %s)")
    with translated(), conn.cursor(row_factory=tuple_row) as cur:
        return cur.execute(statement, (Bit(query), bits, str(feature))).fetchall()
