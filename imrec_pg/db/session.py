"""A connection on which everything else may rely: the right schema, the right pgvector."""

from dataclasses import dataclass

from pgvector.psycopg.bit import register_bit_info
from pgvector.psycopg.vector import register_vector_info
from psycopg.types import TypeInfo

from imrec_pg._version import __version__
from imrec_pg.db.apply_sql import digest
from imrec_pg.db.connection import (
    Connection,
    another,
    check_pgvector,
    connect,
    refuse_development_schema,
    schema_version,
    translated,
    vector_schema,
    version_tuple,
)
from imrec_pg.db.pooler import set_for_session
from imrec_pg.db.rows import all_rows
from imrec_pg.errors import SchemaError
from imrec_pg.settings import Settings, this_host

HEAD = "0001"
"""The newest migration; a constant, since asking Alembic costs 0.3 s at every start (a test compares)."""


class Session:
    """A connection to an up-to-date database that can be opened anew; close it.

    Raises:
        DatabaseUnreachableError: no server, wrong DSN or password.
        SchemaError: pgvector or the schema is missing or has another version.
    """

    def __init__(self, settings: Settings, *, again: bool = False) -> None:
        self._settings = settings
        self.conn = open_session(settings, again=again)

    def restore(self) -> None:
        """Open the connection anew when it was lost; the embedded server is started again if need be."""
        if self.conn.closed:
            self.conn = open_session(self._settings, again=True)

    def another(self) -> Connection:
        """Return a second connection to the same database, on which nothing is checked."""
        return another(self.conn)

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
            refuse_development_schema(conn)
            state = state_of(conn)
            if settings.embedded and state.outdated:
                from imrec_pg.db.migrate import upgrade

                upgrade(settings)
                state = state_of(conn)
            _check(state, settings)
            check_pgvector(conn)
            _register_types(conn)
            # By which an image is shown that several hosts know (imrec_internal.image_file).
            set_for_session(conn, "imrec.host", this_host())
            if settings.statement_timeout_s is not None:
                set_for_session(conn, "statement_timeout", f"{settings.statement_timeout_s * 1000:.0f}ms")
    except BaseException:
        conn.close()
        raise
    return conn


def _register_types(conn: Connection) -> None:
    """Let vectors and bits travel as NumPy arrays and Bit."""
    # Not pgvector's register_vector(): that finds the type by the search_path.
    register_vector_info(conn, TypeInfo.fetch(conn, f"{vector_schema(conn)}.vector"))
    register_bit_info(conn, TypeInfo.fetch(conn, "pg_catalog.bit"))


@dataclass(frozen=True, slots=True)
class State:
    """What a database stands at.

    Attributes:
        schema: the newest migration, None where there is none.
        imrec_version: of the imrec-pg that applied the functions and views.
        digest: of those.
    """

    schema: str | None
    imrec_version: str = "0"
    digest: str | None = None

    @property
    def newer(self) -> bool:
        """Whether a later imrec-pg than this one has been here."""
        mine, theirs = version_tuple(__version__), version_tuple(self.imrec_version)
        return (self.schema or "") > HEAD or theirs > mine

    @property
    def outdated(self) -> bool:
        """Whether an upgrade by this imrec-pg would change something for the better."""
        return not self.newer and (self.schema is None or self.schema < HEAD or self.digest != digest())


@dataclass(frozen=True, slots=True)
class _Applied:
    imrec_version: str
    digest: str


def state_of(conn: Connection) -> State:
    """Return what a database stands at."""
    schema = schema_version(conn)
    if schema is None:
        return State(None)
    applied = all_rows(conn, _Applied, "SELECT imrec_version, digest FROM imrec_internal.applied_sql")
    return State(schema, applied[0].imrec_version, applied[0].digest) if applied else State(schema)


def _check(state: State, settings: Settings) -> None:
    command = f"imrec-pg db upgrade{' --dsn …' if settings.dsn_source == '--dsn' else ''}"
    if state.schema is None:
        raise SchemaError(f"this database has no imrec schema yet: run {command}")
    if state.newer:
        raise SchemaError(
            f"imrec-pg {state.imrec_version} has been here (schema {state.schema}), newer than this one "
            f"({__version__}, schema {HEAD}): update it with pip install --upgrade imrec-pg"
        )
    if state.outdated:
        raise SchemaError(
            f"the schema (at {state.schema}) or its functions are older than this imrec-pg "
            f"({__version__}, schema {HEAD}): run {command}"
        )
