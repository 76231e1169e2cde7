"""Worker processes, which signals to the process group do not reach, and which end with the main process."""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from multiprocessing import resource_tracker
from multiprocessing.synchronize import Semaphore
from typing import TypeVar

from pebble import ProcessPool

from imrec_pg.bounded.limits import ProcessLimits, give_up_root, harden, limited
from imrec_pg.bounded.unpickling import carefully
from imrec_pg.paths import working_folder

T = TypeVar("T")
# Starting takes a second; a worker that takes this long has died.
_START_S = 10


class Workers:
    """A running pool of processes; the caller must stop() it.

    Args:
        number: how many processes.
        function: what they will run. Its module is loaded at the start, while it can be read: a worker of root's
            then becomes nobody.
    """

    def __init__(self, number: int, function: Callable[..., object]) -> None:
        # Not "fork": a fork of a process with threads and a loaded model can deadlock.
        method = "spawn" if sys.platform == "darwin" else "forkserver"
        context = multiprocessing.get_context(method)
        if method == "forkserver":
            context.set_forkserver_preload(
                ["imrec_pg.extraction", "imrec_pg.features.hashes", "imrec_pg.features.histogram"]
            )
        working_folder()  # which the processes inherit: without one none starts, and none says why
        self._number = number
        self._started = context.Semaphore(0)
        self._pool = ProcessPool(
            number, context=carefully(context), initializer=_start, initargs=(self._started, function)
        )
        # Starting the tracker unblocks the signals (CPython 3.11), so it must come first.
        resource_tracker.ensure_running()
        # Ctrl-C, and SIGTERM from a service manager, reach the whole process group, but only the main process
        # should react. Workers inherit the mask; a handler would be too late for a signal during the start.
        # They end when their pipe closes, or by SIGKILL if they hang.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
        try:
            assert self._pool.active  # starts it
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def schedule(
        self, function: Callable[..., T], arguments: tuple[object, ...], limits: ProcessLimits, timeout: float
    ) -> Future[T]:
        """Return the future result of function(*arguments) in one of the processes, within the limits.

        Raises:
            BrokenExecutor: all processes died while idle, so none was replaced.
        """
        try:
            future: Future[T] = self._pool.schedule(
                limited, args=(limits, function, arguments), timeout=timeout
            )
        except RuntimeError as error:
            raise BrokenExecutor from error
        return future

    def stop(self) -> None:
        """Return once all have ended; drop the work that waits."""
        try:
            # A worker still starting would not find the semaphores of a stopped pool, and print a traceback.
            latest = time.monotonic() + _START_S
            for _ in range(self._number):
                self._started.acquire(timeout=max(0, latest - time.monotonic()))
        finally:
            self._pool.stop()  # type: ignore[no-untyped-call]
            self._pool.join()


def _start(started: Semaphore, _function: Callable[..., object]) -> None:
    started.release()
    harden()
    # OpenMP reads it when LibRaw loads: one core per worker.
    os.environ["OMP_NUM_THREADS"] = "1"
    import cv2

    from imrec_pg import extraction

    # Else loading them counts against the first file's time limit, and nobody may be unable to read them.
    extraction.load_libraries()
    # One core per worker; OpenCV's own threads would compete with the other workers.
    cv2.setNumThreads(1)
    # From here on it reads no file: contents come by a pipe. Nothing of a photo has been seen yet.
    give_up_root()
