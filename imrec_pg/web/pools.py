"""Threads for what blocks: as many as the machine can use, with a bounded queue before each pool."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class BusyError(Exception):
    """So many requests wait already that another one would only make all of them late."""


class Pool:
    """Runs calls in so many threads at most, while so many others wait; more are refused at once.

    Args:
        name: of the threads.
        threads: how many; each may hold a connection to the database.
        most: calls that run or wait.
    """

    def __init__(self, name: str, threads: int, most: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=f"imrec-{name}")
        self._most = most
        self._running = 0

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return function(…).

        Cancelled, it waits no longer; a call that has begun goes on in its thread, which stays taken until then.

        Raises:
            BusyError: too many calls wait.
        """
        if self._running >= self._most:
            raise BusyError
        self._running += 1
        try:
            future = self._executor.submit(partial(function, *args, **kwargs))
        except BaseException:
            self._running -= 1
            raise
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._ended))
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Drop the calls that wait; those that run end by themselves."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _ended(self) -> None:
        self._running -= 1


class Remembered(Generic[T]):
    """The result of a call that takes long, kept for some seconds; whoever asks meanwhile waits for the same call."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = asyncio.Lock()
        self._found: tuple[float, object, T] | None = None
        self._forgotten = 0

    async def get(self, key: object, pool: Pool, function: Callable[[], T]) -> T:
        """Return the result of function() for this key; only the last key's is kept."""
        async with self._lock:
            if self._found is not None:
                until, known, result = self._found
                if known == key and time.monotonic() < until:
                    return result
            forgotten = self._forgotten
            made = await pool.run(function)
            if forgotten == self._forgotten:  # else it may be older than what has changed
                self._found = (time.monotonic() + self._seconds, key, made)
            return made

    def forget(self) -> None:
        """Have the next one ask anew."""
        self._found = None
        self._forgotten += 1
