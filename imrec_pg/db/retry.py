"""Go on when the database is away for a while: restarted, out of space, or behind a broken network."""

import logging
import time
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from psycopg import errors as pg
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_delay,
    wait_random_exponential,
)

from imrec_pg.db.connection import Connection
from imrec_pg.db.session import Session
from imrec_pg.errors import ConflictError, DatabaseUnreachableError, ServerStoppedError

# Two ingesters met: waiting for each other's rows, or one saw the other's half of a change.
CONFLICTS = (pg.DeadlockDetected, pg.SerializationFailure, pg.UniqueViolation, pg.ForeignKeyViolation)
ATTEMPTS = 5
logger = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")
# Random, so that a hundred clients don't all come back in the same moment.
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 10
_GLANCE_S = 0.2


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, (DatabaseUnreachableError, ConflictError)) and not isinstance(
        error, ServerStoppedError
    )


class Patient:
    """Calls functions on a session's connection, again and again while the database is away.

    Args:
        patience_s: for so long after a call's first attempt; 0 to give up at once.
        stopping: when it turns true, nothing is tried again.
    """

    def __init__(
        self, session: Session, patience_s: float = 0, stopping: Callable[[], bool] = lambda: False
    ) -> None:
        self._session = session
        self._patience_s = patience_s
        self._stopping = stopping

    def run(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return function(connection, …), which must bear to be done twice: an answer may be lost on its way.

        Raises:
            DatabaseUnreachableError: the database was away for longer than the patience lasts.
            ConflictError: another transaction was in the way all the time.
        """

        def once() -> T:
            self._session.restore()
            return function(self._session.conn, *args, **kwargs)

        enough = stop_after_delay(self._patience_s)
        return Retrying(
            retry=retry_if_exception(_may_pass),
            wait=wait_random_exponential(multiplier=_FIRST_WAIT_S, max=_LONGEST_WAIT_S),
            stop=lambda state: self._stopping() or enough(state),
            sleep=self._sleep,
            before_sleep=self._say,
            reraise=True,
        )(once)

    def another(self) -> Connection:
        """Return a second connection to the same database."""
        return self._session.another()

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._stopping() and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _GLANCE_S))

    def _say(self, state: RetryCallState) -> None:
        assert state.outcome is not None
        error = state.outcome.exception()
        if state.attempt_number == 1 and isinstance(error, DatabaseUnreachableError):
            logger.warning("%s; trying again for %.0f s", str(error).partition(":")[0], self._patience_s)
