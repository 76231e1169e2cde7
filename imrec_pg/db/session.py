"""A connection on which everything else may rely: the right schema, the right pgvector."""

from pgvector.psycopg import register_vector

from imrec_pg.db.connection import Connection, check_pgvector, connect, schema_version, translated
from imrec_pg.errors import SchemaError
from imrec_pg.settings import Settings

HEAD = "0008"
"""The newest migration; a constant, since asking Alembic costs 0.3 s at every start (a test compares)."""


class Session:
    """A connection to an up-to-date database that can be opened anew; close it.

    Raises:
        DatabaseUnreachableError: no server, wrong DSN or password.
        SchemaError: pgvector or the schema is missing or has another version.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.conn = open_session(settings)

    def restore(self) -> None:
        """Open the connection anew when it was lost; the embedded server is started again if need be."""
        if self.conn.closed:
            self.conn = open_session(self._settings, again=True)

    def another(self) -> Connection:
        """Return a second connection to the same database, on which nothing is checked."""
        return connect(self._settings, again=True)

    def close(self) -> None:
        """Close the connection; an embedded server goes on running."""
        self.conn.close()


def open_session(settings: Settings, *, again: bool = False) -> Connection:
    """Return a connection to an up-to-date database, on which vectors travel as NumPy arrays.

    An embedded database is brought up to date here, another one only by `imrec-pg db upgrade`. With again, an
    embedded server that somebody has stopped meanwhile is not started.

    Raises:
        DatabaseUnreachableError: no server, wrong DSN or password.
        SchemaError: pgvector or the schema is missing or has another version.
    """
    conn = connect(settings, again=again)
    try:
        with translated():
            version = schema_version(conn)
            if settings.embedded and (version is None or version < HEAD):
                from imrec_pg.db.migrate import upgrade

                upgrade(settings)
                version = schema_version(conn)
            _check_version(version, settings)
            check_pgvector(conn)
            register_vector(conn)
    except BaseException:
        conn.close()
        raise
    return conn


def _check_version(version: str | None, settings: Settings) -> None:
    command = f"imrec-pg db upgrade{' --dsn …' if settings.dsn_source == '--dsn' else ''}"
    if version is None:
        raise SchemaError(f"this database has no imrec schema yet: run {command}")
    if version < HEAD:
        raise SchemaError(f"the imrec schema is at {version}, this imrec-pg needs {HEAD}: run {command}")
    if version > HEAD:
        raise SchemaError(
            f"the imrec schema is at {version}, newer than this imrec-pg knows ({HEAD}): "
            "update it with pip install --upgrade imrec-pg"
        )
