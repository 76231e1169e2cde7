"""Worker processes: signals to the process group don't reach them, and they end with the main process."""

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

from imrec_pg.ingest.process_limits import ProcessLimits, harden, limited

T = TypeVar("T")
# They take a second; one that takes this long has died of something.
_START_S = 10


class Workers:
    """A started pool of processes; stop() it."""

    def __init__(self, number: int) -> None:
        # Not "fork": a fork of a process with threads and a loaded model can deadlock.
        method = "spawn" if sys.platform == "darwin" else "forkserver"
        context = multiprocessing.get_context(method)
        if method == "forkserver":
            context.set_forkserver_preload(
                ["imrec_pg.extraction", "imrec_pg.features.hashes", "imrec_pg.features.histogram"]
            )
        self._number = number
        self._started = context.Semaphore(0)
        self._pool = ProcessPool(number, context=context, initializer=_start, initargs=(self._started,))
        # Its own start unblocks the signals again (CPython 3.11), so it must come before.
        resource_tracker.ensure_running()
        # Ctrl-C, and SIGTERM from a service manager, reach the whole process group: the main process decides
        # what becomes of the work. The mask is inherited; a handler would come too late for a signal during
        # the start. The workers end when their pipe closes, and by SIGKILL when they hang.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
        try:
            assert self._pool.active  # asking starts it
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def schedule(
        self, function: Callable[..., T], arguments: tuple[object, ...], limits: ProcessLimits, timeout: float
    ) -> Future[T]:
        """Return the future result of function(*arguments) in one of the processes, within the limits.

        Raises:
            BrokenExecutor: all processes died with nothing to do, so that none was replaced.
        """
        try:
            future: Future[T] = self._pool.schedule(
                limited, args=(limits, function, arguments), timeout=timeout
            )
        except RuntimeError as error:
            raise BrokenExecutor from error
        return future

    def stop(self) -> None:
        """Return when all have ended; what waits for a worker is given up."""
        try:
            # One still starting would miss the semaphores of a pool that is gone, and say so in a traceback.
            latest = time.monotonic() + _START_S
            for _ in range(self._number):
                self._started.acquire(timeout=max(0, latest - time.monotonic()))
        finally:
            self._pool.stop()  # type: ignore[no-untyped-call]
            self._pool.join()


def _start(started: Semaphore) -> None:
    started.release()
    harden()
    # Read when LibRaw loads its OpenMP: one core a worker.
    os.environ["OMP_NUM_THREADS"] = "1"
    import cv2

    from imrec_pg import extraction

    # Else the first file's time limit pays for it.
    extraction.load_libraries()
    # One core a worker; OpenCV's own threads would fight the other workers for it.
    cv2.setNumThreads(1)
