"""The one model that made the embeddings of a database."""

from imrec_pg.db.connection import Connection, translated
from imrec_pg.db.rows import all_rows
from imrec_pg.errors import ModelMismatchError
from imrec_pg.records import ModelIdentity


def claim_model(conn: Connection, model: ModelIdentity) -> None:
    """Record the model as this database's one, or hold it against the one recorded.

    Raises:
        ModelMismatchError: the embeddings here were made by another one.
    """
    with translated(conn):
        conn.execute(
            "INSERT INTO imrec.model (name, weights_sha256) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            (model.name, model.weights_sha256),
        )
    check_model(conn, model)


def recorded_model(conn: Connection) -> ModelIdentity | None:
    """Return the model that made the embeddings here, or None when there are none yet."""
    with translated(conn):
        rows = all_rows(conn, ModelIdentity, "SELECT name, weights_sha256 FROM imrec.model")
    return next(iter(rows), None)


def check_model(conn: Connection, model: ModelIdentity) -> None:
    """Return when the model is this database's one, or none is recorded.

    Raises:
        ModelMismatchError: the embeddings here were made by another one.
    """
    recorded = recorded_model(conn)
    if recorded is not None and recorded != model:
        raise ModelMismatchError(
            f"this database's embeddings come from {_describe(recorded)}, and now it is {_describe(model)}: "
            "their distances mean nothing together; use the same weights, or another database"
        )


def _describe(model: ModelIdentity) -> str:
    return f"{model.name} {model.weights_sha256[:12]}"
