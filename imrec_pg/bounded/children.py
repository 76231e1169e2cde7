"""Child processes that run calls within limits, one at a time each.

They are plain subprocesses: multiprocessing would import the script of whoever searches, which then needs a main
guard, and refuses daemonic processes. A child starts in 0.2 s, and is kept for the next call.
"""

import os
import pickle
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.spawn import get_executable
from typing import Any, TypeVar

from imrec_pg.bounded.limits import ProcessLimits
from imrec_pg.bounded.unpickling import read_result

T = TypeVar("T")
# -P: the current folder may hold a numpy.py. The parent's path follows, by which it found what it runs.
_CODE = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from imrec_pg.bounded.child import main; main()"
)
# Threads of BLAS cost 10 ms and 30 MB at the start, and of LibRaw compete with the other children.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

# How long a child may take to end that has closed its pipes.
_END_S = 5


class DiedError(Exception):
    """A child ended before it had a result.

    Attributes:
        exit_code: as subprocess gives it: negative for a signal.
        timed_out: whether it was over its time, and stopped for that.
    """

    def __init__(self, exit_code: int, *, timed_out: bool) -> None:
        super().__init__(f"the process ended with {exit_code}")
        self.exit_code = exit_code
        self.timed_out = timed_out

    @property
    def computed_too_long(self) -> bool:
        """Whether it was over its computing time."""
        return sys.platform != "win32" and self.exit_code == -signal.SIGXCPU

    @property
    def killed(self) -> bool:
        """Whether something outside ended it, as the system does when memory runs out."""
        return sys.platform != "win32" and self.exit_code == -signal.SIGKILL and not self.timed_out


class Children:
    """Up to so many children, each started when the others are busy; close() ends them.

    Threads may share it. After a fork it belongs to the parent alone. A child of root calls prepare, which imports
    what the calls need, and then gives up root; any other one imports it when it is needed.
    """

    def __init__(self, number: int, prepare: Callable[[], None]) -> None:
        self._prepare = pickle.dumps(prepare, pickle.HIGHEST_PROTOCOL)
        # Each thread of the pool has a child of its own.
        self._threads = ThreadPoolExecutor(number, thread_name_prefix="imrec-child")
        self._mine = threading.local()
        self._all: set[_Child] = set()
        self._closed = threading.Event()
        # Whoever forgets to close it leaves no processes behind.
        self._end = weakref.finalize(self, _end, self._all, os.getpid())

    def submit(
        self, limits: ProcessLimits, timeout: float, function: Callable[..., T], *arguments: object
    ) -> Future[T]:
        """Return the future result of function(*arguments) in a child; both must be picklable.

        The future raises DiedError if the child has ended. If something outside killed it, the call gets
        another child once: when memory runs out, the system may end a child that used little of it.
        """
        # Pickled in the caller's thread, where a mistake has its traceback.
        call = pickle.dumps((limits, function, arguments), pickle.HIGHEST_PROTOCOL)
        return self._threads.submit(self._call, call, timeout)

    def close(self) -> None:
        """End the children, and drop the calls that wait."""
        self._closed.set()
        self._end()
        self._threads.shutdown(wait=True, cancel_futures=True)
        _end(self._all, os.getpid())

    def _call(self, call: bytes, timeout: float) -> Any:  # noqa: ANN401 - what the function returns
        try:
            return self._child().call(call, timeout)
        except DiedError as error:
            if not error.killed or self._closed.is_set():
                raise
        return self._child().call(call, timeout)

    def _child(self) -> "_Child":
        child: _Child | None = getattr(self._mine, "child", None)
        if child is None or child.ended:
            if child is not None:
                child.end()
                self._all.discard(child)
            child = self._mine.child = _Child(self._prepare)
            self._all.add(child)
        return child


class _Child:
    def __init__(self, prepare: bytes) -> None:
        self._process = subprocess.Popen(
            [os.fsdecode(get_executable()), "-P", "-c", _CODE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **_ENVIRONMENT},
            # Ctrl-C, and SIGTERM from a service manager, reach a whole process group: the parent decides.
            process_group=None if sys.platform == "win32" else 0,
        )
        self._timed_out = False
        path = [path for path in sys.path if isinstance(path, str)]
        self._first: bytes | None = pickle.dumps(path) + prepare

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def call(self, call: bytes, timeout: float) -> Any:  # noqa: ANN401 - what the function returns
        """Return the result of a pickled call.

        Raises:
            DiedError: there will be none.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        watchdog = threading.Timer(timeout, self._stop)
        watchdog.start()
        try:
            if self._first is not None:
                self._process.stdin.write(self._first)
                self._first = None
            self._process.stdin.write(call)
            self._process.stdin.flush()
            return read_result(self._process.stdout)
        except (OSError, EOFError, ValueError) as error:
            # It closes its pipes a moment before it has ended, and should end as it wants to: the exit code tells.
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_S)
            self.end()
            raise DiedError(self._process.returncode, timed_out=self._timed_out) from error
        finally:
            watchdog.cancel()

    def end(self) -> None:
        """End the process; what it was doing is lost."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            # What was not sent yet cannot be sent any more.
            with suppress(OSError):
                assert pipe is not None
                pipe.close()

    def _stop(self) -> None:
        self._timed_out = True
        self._process.kill()


def _end(children: "set[_Child]", owner: int) -> None:
    # A fork runs this at its end too, and the children are not its own.
    if os.getpid() == owner:
        while children:
            children.pop().end()
