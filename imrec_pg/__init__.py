"""An image recommender that lives in PostgreSQL.

with imrec_pg.open() as library:
library.ingest(["/photos"])
answer = library.search(["a.jpg"])
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imrec_pg.library import Library


def open(  # noqa: A001 - as gzip.open, meant to be called by its module's name
    dsn: str | None = None,
    *,
    data: str | os.PathLike[str] | None = None,
    weights: str | os.PathLike[str] | None = None,
    device: str = "auto",
) -> "Library":
    """Return the photo library in a database.

    Args:
        dsn: a PostgreSQL connection string; None for IMREC_DATABASE_URL, DATABASE_URL or libpq's variables,
            and without those the embedded server, which is started when needed.
        data: the embedded server's folder.
        weights: a file with the model's weights; None for the usual search.
        device: of the model: "auto", "cpu", "cuda", "cuda:N" or "mps".

    Raises:
        DatabaseUnreachableError: no server, wrong DSN or password.
        SchemaError: pgvector or the schema is missing or has another version.
    """
    # psycopg and NumPy take 0.2 s to import, and the command line imports this package first of all.
    from imrec_pg import settings
    from imrec_pg.library import Library

    used = settings.load(
        dsn=dsn,
        data=None if data is None else Path(data),
        weights=None if weights is None else Path(weights),
    )
    return Library(used, device=device)
