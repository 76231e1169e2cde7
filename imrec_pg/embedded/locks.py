"""Locks between processes, on files that are never deleted.

flock() belongs to the open file: the server's processes inherit it, and it becomes free when the last of them
ends. A process id proves less: it may belong to a zombie, another program, or another container.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imrec_pg.errors import EmbeddedServerError

_POLL_SECONDS = 0.05


@contextmanager
def exclusive(path: Path, timeout: float) -> Iterator[None]:
    """Hold the lock for the block.

    Raises:
        EmbeddedServerError: another process kept it for longer than the timeout.
    """
    import fcntl

    lock = acquire(path, timeout)
    try:
        yield
    finally:
        # Closing alone would leave it with a child that another thread is just starting.
        fcntl.flock(lock, fcntl.LOCK_UN)
        os.close(lock)


def acquire(path: Path, timeout: float) -> int:
    """Return a descriptor that holds the lock until all its copies are closed.

    Raises:
        EmbeddedServerError: another process kept it for longer than the timeout.
    """
    import fcntl

    deadline = time.monotonic() + timeout
    # For root the folder belongs to another user: do not follow a link planted there.
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise EmbeddedServerError(
                        f"another process has held {path} for {timeout:.0f} s: end it, then try again"
                    ) from None
                time.sleep(_POLL_SECONDS)
            else:
                return lock
    except BaseException:
        os.close(lock)
        raise


def is_held(path: Path) -> bool:
    """Return whether a process holds the lock."""
    import fcntl

    try:
        lock = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two processes checking at the same time don't mistake each other for a server.
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        fcntl.flock(lock, fcntl.LOCK_UN)
        return False
    finally:
        os.close(lock)
