"""Sessions for any number of threads: each call has one of its own, and a lost one is replaced."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from imrec_pg.db.connection import Connection
from imrec_pg.db.session import Session
from imrec_pg.errors import DatabaseUnreachableError, LibraryInUseError
from imrec_pg.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")

# After a burst of threads the connections that nobody needs any more are closed.
_IDLE_S = 60


class Run(Protocol):
    """Calls functions with a connection, whichever that is; see Sessions.run()."""

    def __call__(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Return function(connection, …)."""
        ...


class Sessions:
    """The sessions of one library: as many as calls run at once; close them.

    Raises:
        DatabaseUnreachableError: no server, wrong DSN or password.
        SchemaError: pgvector or the schema is missing or has another version.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process = os.getpid()
        self._lock = threading.Lock()
        # The last one used is last, and the next one taken.
        self._idle: list[tuple[float, Session]] = []
        self._closed = False
        # What is wrong with the database shows here. An embedded server that somebody stops later stays so.
        self._take_back(Session(settings))

    def run(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return function(connection, …), called once more where the connection turns out to be lost.

        The function must be idempotent: the reply may be lost after COMMIT.

        Raises:
            DatabaseUnreachableError: the database is away.
            LibraryInUseError: this is a fork of the process that opened the sessions.
        """
        with self.lent() as session:
            try:
                return function(session.conn, *args, **kwargs)
            except DatabaseUnreachableError:
                # Full, out of memory …: the connection lives, and the same would be said again.
                if not session.conn.closed:
                    raise
            # The server was restarted, the network cut, the session idle for longer than somebody allows.
            session.restore()
            return function(session.conn, *args, **kwargs)

    @contextmanager
    def lent(self) -> Iterator[Session]:
        """Yield a session that nobody else uses meanwhile.

        Raises:
            LibraryInUseError: this is a fork of the process that opened the sessions.
        """
        if os.getpid() != self._process:
            raise LibraryInUseError(
                "this library was opened by the parent process: open another one after fork()"
            )
        session = self._take() or Session(self._settings, again=True)
        try:
            if session.conn.closed:
                session.restore()
            yield session
        finally:
            self._take_back(session)

    def close(self) -> None:
        """Close the connections; those in use are closed when they are given back."""
        if os.getpid() != self._process:
            return  # they are the parent's, and the server would take leave of it
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for _, session in idle:
            session.close()

    def _take(self) -> Session | None:
        with self._lock:
            return self._idle.pop()[1] if self._idle else None

    def _take_back(self, session: Session) -> None:
        now = time.monotonic()
        with self._lock:
            surplus = [old for since, old in self._idle if now - since > _IDLE_S]
            self._idle = [(since, old) for since, old in self._idle if now - since <= _IDLE_S]
            if self._closed:
                surplus.append(session)
            else:
                self._idle.append((now, session))
        for old in surplus:
            old.close()
