"""Do again what may succeed now: after a lost connection, a conflict, or for another's lock."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from psycopg import errors as pg
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    retry_if_exception_type,
    retry_if_result,
    stop_after_attempt,
    stop_after_delay,
    wait_random,
    wait_random_exponential,
)

from imrec_pg.db.connection import Connection
from imrec_pg.errors import ConflictError, DatabaseUnreachableError, LoginRefusedError, ServerStoppedError

if TYPE_CHECKING:
    from imrec_pg.db.session import Session

logger = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")
Item = TypeVar("Item")

# Two ingesters met: waiting for each other's rows, or one saw the other's half of a change.
_CONFLICTS = (pg.DeadlockDetected, pg.SerializationFailure, pg.UniqueViolation, pg.ForeignKeyViolation)
_ATTEMPTS = 5
# Waits are random, so that a hundred clients don't all come back at the same moment.
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 10
_CHECK_STOPPING_S = 0.2


class RetryingSession:
    """Calls functions on a session's connection, again and again while the database is away.

    Args:
        retry_for_s: for so long after a call's first attempt; 0 to give up at once.
        stopping: when it turns true, nothing is retried.
    """

    def __init__(
        self, session: "Session", retry_for_s: float = 0, stopping: Callable[[], bool] = lambda: False
    ) -> None:
        self._session = session
        self._retry_for_s = retry_for_s
        self._stopping = stopping

    def run(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return function(connection, …), which must be idempotent: the reply may be lost after COMMIT.

        Raises:
            DatabaseUnreachableError: the database was away for longer than retry_for_s.
            ConflictError: another transaction was in the way all the time.
            TypeError: the function returns an iterator, whose queries would run later, outside of all this.
        """

        def once() -> T:
            self._session.restore()
            return function(self._session.conn, *args, **kwargs)

        enough = stop_after_delay(self._retry_for_s)
        result = Retrying(
            retry=retry_if_exception(_may_pass),
            wait=wait_random_exponential(multiplier=_FIRST_WAIT_S, max=_LONGEST_WAIT_S),
            stop=lambda state: self._stopping() or enough(state),
            sleep=self._sleep,
            before_sleep=self._warn,
            reraise=True,
        )(once)
        if isinstance(result, Iterator):
            raise TypeError(f"{function} returns an iterator; return a page of rows (see db.rows.paged)")
        return result

    def another(self) -> Connection:
        """Return a second connection to the same database."""
        return self._session.another()

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._stopping() and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _CHECK_STOPPING_S))

    def _warn(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if state.attempt_number == 1 and isinstance(error, DatabaseUnreachableError):
            logger.warning("%s; trying again for %.0f s", error.problem, self._retry_for_s)


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, (DatabaseUnreachableError, ConflictError)) and not isinstance(
        error, (ServerStoppedError, LoginRefusedError)
    )


def retry_conflicts(action: Callable[[], T]) -> T:
    """Return what the action returns, called up to 5 times while it meets other writers.

    Raises:
        psycopg.Error: it met one each time, or failed for another reason.
    """
    return Retrying(
        retry=retry_if_exception_type(_CONFLICTS),
        wait=wait_random_exponential(multiplier=0.05, max=1),
        stop=stop_after_attempt(_ATTEMPTS),
        reraise=True,
    )(action)


def wait_until(condition: Callable[[], bool], for_s: float = math.inf) -> bool:
    """Ask again and again, a few times a second; return whether the condition came to hold in time."""
    return Retrying(
        retry=retry_if_result(lambda holds: not holds),
        wait=wait_random(0.1, 0.5),
        stop=stop_after_delay(for_s),
        retry_error_callback=lambda _state: False,
    )(condition)


def split_on_timeout(items: Sequence[Item], function: Callable[[Sequence[Item]], T]) -> list[T]:
    """Return [function(items)], or what it returns for each half, quarter …, where the server cancels it.

    A server may limit how long a statement takes (statement_timeout); a statement that an administrator
    cancels looks the same. A single item is not retried.
    """
    try:
        return [function(items)]
    except pg.QueryCanceled:
        if len(items) <= 1:
            raise
    half = len(items) // 2
    logger.debug("the server cancelled a statement over %d rows; trying %d", len(items), half)
    return split_on_timeout(items[:half], function) + split_on_timeout(items[half:], function)
