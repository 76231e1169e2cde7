"""What is stored: complete, findable, and of one model."""

from collections.abc import Iterator
from dataclasses import dataclass

from psycopg.sql import SQL, Composed, Identifier

from imrec_pg.doctor.examined import Examined, Table
from imrec_pg.doctor.finding import Finding, error, notice, ok, warning
from imrec_pg.records import Feature, ModelIdentity

# Of larger tables so many rows are looked at, in whole pages from all over: some 40 ms for vectors.
_SAMPLE = 20_000
# With an index on the other side 100,000 rows are looked up within a second.
_SAMPLE_LOOKED_UP = 100_000

_COUNT = SQL("SELECT count(*) FROM {}")
_FILELESS = SQL(
    "SELECT count(*) AS seen, count(*) FILTER (WHERE NOT EXISTS ("
    "SELECT FROM imrec.file AS f WHERE f.image_id = i.image_id)) AS wrong "
    "FROM imrec.image AS i TABLESAMPLE SYSTEM (%s)"
)
# NaN counts as greater than all numbers, so that it is greater than 0 and not less than infinity.
_ODD = SQL(
    "SELECT count(*) AS seen, count(*) FILTER (WHERE NOT ("
    "vector_norm({column}) > 0 AND vector_norm({column}) < 'infinity'::double precision)) AS wrong "
    "FROM {table} TABLESAMPLE SYSTEM (%s)"
)
_DELETE_ODD = SQL(
    "DELETE FROM {table} WHERE NOT (vector_norm({column}) > 0 AND vector_norm({column}) < 'infinity');"
)
_DELETE_FILELESS = (
    "DELETE FROM imrec.image AS i WHERE NOT EXISTS "
    "(SELECT FROM imrec.file AS f WHERE f.image_id = i.image_id); (while no ingest runs)"
)


@dataclass(frozen=True, slots=True)
class _Counted:
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
        why = f"A search by {table} does not find them, and they are not in the view imrec.photo."
        mend = f"imrec-pg ingest FOLDER --features {table}, for each of the roots in imrec-pg status"
        if stored:
            yield warning(f"{images - stored:,} of {images:,} images lack their {table}", why, mend)
        else:
            yield notice(f"no image of {images:,} has its {table}", why, mend)


def files(examined: Examined) -> Iterator[Finding]:
    """Yield how many images are in no file any more."""
    table = examined.tables.get("image")
    if table is None or "file" not in examined.tables:
        return
    seen, fileless, which = _sampled(examined, _FILELESS, table, _SAMPLE_LOOKED_UP)
    if fileless:
        yield warning(
            f"{fileless:,} of {which} are in no file any more",
            "A search ranks them too, cannot name them, and shows fewer photos than were asked for.",
            _DELETE_FILELESS,
        )
    elif seen:
        yield ok(f"{which} are in files")


def model(examined: Examined) -> Iterator[Finding]:
    """Yield whether it is known which model made the embeddings."""
    if not {"embedding", "model"} <= examined.tables.keys():
        return
    for recorded in examined.records(ModelIdentity, "SELECT name, weights_sha256 FROM imrec.model"):
        yield ok(f"the embeddings are of {recorded.name}, weights {recorded.weights_sha256[:12]}")
        return
    if examined.value("SELECT EXISTS (SELECT FROM imrec.embedding)"):
        yield warning(
            "no model is recorded, though embeddings are stored",
            "Nothing keeps embeddings of two models apart, whose distances mean nothing together.",
            "TRUNCATE imrec.embedding; and imrec-pg ingest the folders again. Or, if torchvision's weights "
            "made them all: imrec-pg ingest a new photo, which records that model",
        )
    else:
        yield ok("no embeddings yet, and no model")


def vectors(examined: Examined) -> Iterator[Finding]:
    """Yield how many vectors no search can find, or no cosine index can hold."""
    for name in (Feature.EMBEDDING, Feature.HISTOGRAM):
        table = examined.tables.get(name)
        if table is None:
            continue
        parts = {"table": Identifier("imrec", name), "column": Identifier(name)}
        seen, odd, which = _sampled(examined, _ODD.format(**parts), table, _SAMPLE)
        if odd:
            yield error(
                f"{odd:,} of {which} have no length, or none that is finite",
                "Their cosine distance is no number, and no index on it holds them.",
                f"{examined.sql(_DELETE_ODD.format(**parts))} then imrec-pg ingest the folders again",
            )
        elif seen:
            yield ok(f"{which} have a length")


def failures(examined: Examined) -> Iterator[Finding]:
    """Yield how many files could not be read."""
    if "failure" not in examined.tables:
        return
    count = _count(examined, "failure")
    if count:
        yield notice(
            f"{count:,} files could not be read",
            "They are in no answer. They are tried again when they change.",
            "imrec-pg errors, and imrec-pg ingest --retry",
        )
    else:
        yield ok("every file could be read")


def _count(examined: Examined, table: str) -> int:
    return examined.number(_COUNT.format(Identifier("imrec", table)))


def _sampled(
    examined: Examined, statement: SQL | Composed, table: Table, sample: int
) -> tuple[int, int, str]:
    """Return how many rows were looked at, how many of them are wrong, and which they were, for people."""
    whole = examined.full or table.rows <= sample
    share = 100.0 if whole else 100.0 * sample / table.rows
    (counted,) = examined.records(_Counted, statement, (share,))
    seen = f"{counted.seen:,} rows of imrec.{table.name}"
    return counted.seen, counted.wrong, f"all {seen}" if whole else f"{seen}, a sample (--full: all),"
