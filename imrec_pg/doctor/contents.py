"""What is stored: is it complete, can it be found, and does one model explain all embeddings?"""

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from psycopg.sql import SQL, Composed, Identifier, Literal

from imrec_pg.db.connection import vector_schema
from imrec_pg.doctor.examined import Examined, Table
from imrec_pg.doctor.finding import Finding, error, notice, ok, warning
from imrec_pg.paths import display_path
from imrec_pg.records import Feature
from imrec_pg.settings import this_host

# Rows read from larger tables, in whole pages from all over: some 40 ms for vectors.
_SAMPLE = 20_000
# Looking up 100,000 rows through an index on the other table takes less than a second.
_SAMPLE_LOOKED_UP = 100_000

_COUNT = SQL("SELECT count(*) FROM {}")
_FILELESS = SQL(
    "SELECT count(*) AS seen, count(*) FILTER (WHERE NOT EXISTS ("
    "SELECT FROM imrec.file AS f WHERE f.image_id = i.image_id)) AS wrong "
    "FROM imrec.image AS i TABLESAMPLE SYSTEM (%s)"
)
# NaN sorts above all numbers: it is greater than 0, and not less than infinity.
_ODD = SQL(
    "SELECT count(*) AS seen, count(*) FILTER (WHERE NOT ("
    "{vector}.vector_norm({column}) > 0 AND {vector}.vector_norm({column}) < 'infinity'::double precision"
    ")) AS wrong "
    "FROM {table} TABLESAMPLE SYSTEM (%s)"
)
_UNREDUCED = SQL(
    "SELECT count(*) AS seen, "
    "count(*) FILTER (WHERE {vector}.vector_norm(f.{column}) BETWEEN r.least AND r.largest IS NOT TRUE) AS wrong "
    "FROM {table} AS f TABLESAMPLE SYSTEM (%s) LEFT JOIN ("
    # Of a block, where an image has no row of its own: that one would tell.
    "SELECT n.image_id, coalesce(min(n.norm), min(n.least)) AS least, coalesce(min(n.norm), max(n.largest)) AS largest "
    "FROM ("
    "SELECT image_id, norm, NULL::double precision AS least, NULL::double precision AS largest FROM {reduced} "
    "UNION ALL SELECT unnest(image_ids), NULL, least_norm, largest_norm FROM {block}"
    ") AS n GROUP BY n.image_id"
    ") AS r ON r.image_id = f.image_id"
)
_REDUCED_FEATURES = "SELECT feature FROM imrec.reduction WHERE complete"
_REDUCE_AGAIN = "DELETE FROM imrec.reduction WHERE feature = {}; then imrec-pg index build embedding cosine"
_DELETE_ODD = SQL(
    "DELETE FROM {table} WHERE NOT "
    "({vector}.vector_norm({column}) > 0 AND {vector}.vector_norm({column}) < 'infinity');"
)
_DELETE_FILELESS = (
    "DELETE FROM imrec.image AS i WHERE NOT EXISTS "
    "(SELECT FROM imrec.file AS f WHERE f.image_id = i.image_id); (while no ingest runs)"
)
_MODEL = "SELECT name FROM imrec.model"


_ROOTS = """
SELECT r.name, m.raw_path AS folder, (SELECT count(*) FROM imrec.file AS f WHERE f.root_id = r.root_id) AS files
FROM imrec.root AS r INNER JOIN imrec.mount AS m ON m.root_id = r.root_id AND m.host = %s
ORDER BY r.name
"""


@dataclass(frozen=True, slots=True)
class _Root:
    name: str
    folder: bytes
    files: int


@dataclass(frozen=True, slots=True)
class _Model:
    name: str


@dataclass(frozen=True, slots=True)
class _Sample:
    seen: int
    wrong: int


def features(examined: Examined) -> Iterator[Finding]:
    """Yield how many images lack each feature."""
    if "image" not in examined.tables:
        return
    images = _count(examined, "image")
    for table in Feature:
        stored = _count(examined, table) if table in examined.tables else 0
        if stored == images:
            yield ok(f"all {images:,} images have their {table}")
            continue
        why = f"Searches by {table} do not find them, and the view imrec.photo does not show them."
        fix = f"imrec-pg ingest ROOT --features {table}, for each root in imrec-pg root list"
        if stored:
            yield warning(f"{images - stored:,} of {images:,} images lack their {table}", why, fix)
        else:
            yield notice(f"none of {images:,} images has its {table}", why, fix)


def files(examined: Examined) -> Iterator[Finding]:
    """Yield how many images have lost all their files."""
    table = examined.tables.get("image")
    if table is None or "file" not in examined.tables:
        return
    sample, which = _sampled(examined, _FILELESS, table, _SAMPLE_LOOKED_UP)
    if sample.wrong:
        yield warning(
            f"{sample.wrong:,} of {which} have no file",
            "Searches rank them but cannot show them, and so return fewer photos than asked for.",
            _DELETE_FILELESS,
        )
    elif sample.seen:
        yield ok(f"{which} have files")


def roots(examined: Examined) -> Iterator[Finding]:
    """Yield which roots of this host have no folder."""
    if not {"root", "mount", "file"} <= examined.tables.keys():
        return
    gone = [
        root
        for root in examined.records(_Root, _ROOTS, (this_host(),))
        if not os.path.isdir(root.folder)  # noqa: PTH112 - bytes
    ]
    for root in gone:
        name, folder = shlex.quote(root.name), display_path(root.folder)
        yield notice(
            f"the folder of the root {root.name} is not there: {folder}, where {root.files:,} files are known",
            "Answers may name photos in it. Nothing is marked as missing for it, and prune forgets none of it.",
            f"mount the disk; if the folder has moved, imrec-pg root add {name} NEW_FOLDER, or, if it was ingested "
            f"under its new path, imrec-pg root remove {name}; if it is deleted, the same",
        )
    if not gone:
        yield ok("every root of this host has its folder")


def model(examined: Examined) -> Iterator[Finding]:
    """Yield whether the model that made the embeddings is recorded."""
    if not {"embedding", "model"} <= examined.tables.keys():
        return
    recorded = examined.records(_Model, _MODEL)
    if recorded:
        yield ok(f"{recorded[0].name} made the embeddings")
    elif examined.values("SELECT image_id FROM imrec.embedding LIMIT 1"):
        yield warning(
            "no model is recorded, though embeddings are stored",
            "Embeddings of two models could get mixed, and distances between those mean nothing.",
            "TRUNCATE imrec.embedding; and run imrec-pg ingest again. Or, if torchvision's weights made all "
            "of them: ingest a new photo, which records that model",
        )
    else:
        yield ok("no embeddings yet, and no model")


def vectors(examined: Examined) -> Iterator[Finding]:
    """Yield how many vectors no cosine search can find and no cosine index can hold."""
    for name in (feature for feature in Feature if not feature.is_hash):
        table = examined.tables.get(name)
        if table is None:
            continue
        parts = {
            "table": Identifier("imrec", name),
            "column": Identifier(name),
            "vector": SQL(vector_schema(examined.conn)),
        }
        sample, which = _sampled(examined, _ODD.format(**parts), table, _SAMPLE)
        if sample.wrong:
            yield error(
                f"{sample.wrong:,} of {which} have a length of zero, or one that is not finite",
                "Their cosine distance is not a number, and cosine indexes leave them out.",
                f"{examined.sql(_DELETE_ODD.format(**parts))} then run imrec-pg ingest again",
            )
        elif sample.seen:
            yield ok(f"{which} have a finite length above zero")


def reduced_vectors(examined: Examined) -> Iterator[Finding]:
    """Yield how many vectors exact searches would miss, since they were written by other programs than ours."""
    if "reduction" not in examined.tables:
        return
    features = examined.values(_REDUCED_FEATURES)
    if not features:
        yield ok("no vectors are reduced: that begins with the first index of 5,000 photos or more")
    for name in features:
        parts = {
            "table": Identifier("imrec", name),
            "reduced": Identifier("imrec", f"{name}_reduced"),
            "block": Identifier("imrec", f"{name}_block"),
            "column": Identifier(name),
            "vector": SQL(vector_schema(examined.conn)),
        }
        sample, which = _sampled(examined, _UNREDUCED.format(**parts), examined.tables[name], _SAMPLE)
        if sample.wrong:
            yield error(
                f"{sample.wrong:,} of {which} were written without their reduced vector, or with another one",
                "Exact searches look for candidates among reduced vectors, and miss these images.",
                examined.sql(SQL(_REDUCE_AGAIN).format(Literal(name))),
            )
        elif sample.seen:
            yield ok(f"{which} have their reduced vector")


def failures(examined: Examined) -> Iterator[Finding]:
    """Yield how many files could not be read."""
    if "failure" not in examined.tables:
        return
    count = _count(examined, "failure")
    if count:
        yield notice(
            f"{count:,} files could not be read",
            "Searches do not find them. ingest tries them again when they change.",
            "imrec-pg errors, and imrec-pg ingest --retry",
        )
    else:
        yield ok("every file could be read")


def _count(examined: Examined, table: str) -> int:
    return examined.number(_COUNT.format(Identifier("imrec", table)))


def _sampled(examined: Examined, statement: SQL | Composed, table: Table, size: int) -> tuple[_Sample, str]:
    """Return how many rows were read and how many of them are wrong, and, for people, which rows."""
    whole = examined.full or table.rows <= size
    share = 100.0 if whole else 100.0 * size / table.rows
    (sample,) = examined.records(_Sample, statement, (share,))
    which = "all {:,} rows of imrec.{}" if whole else "{:,} rows of imrec.{}, a sample (--full: all),"
    return sample, which.format(sample.seen, table.name)
