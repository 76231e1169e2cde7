"""What one call may cost the process that runs it: memory and computing time."""

import ctypes
import logging
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

if sys.platform != "win32":  # where searches work, without these limits
    import resource

logger = logging.getLogger(__name__)

T = TypeVar("T")

_PR_SET_NO_NEW_PRIVS = 38
# Where no user has that name; Linux itself gives this number to owners that it does not know.
_NOBODY = 65534


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """The most that one call may take, such as the decoding of a file.

    Attributes:
        memory: bytes beyond what the process holds before; beyond that, allocations fail.
        cpu_s: seconds of computing; beyond that, SIGXCPU ends the process.
    """

    memory: int
    cpu_s: int


def harden() -> None:
    """Prepare a worker process: no core dumps, and the first one to go when the machine's memory runs out."""
    # A crash costs one file; a core of some 100 MB for each hostile one would fill the disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Else the kernel might end PostgreSQL or the main process; a worker is replaced, and its file recorded.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def give_up_root() -> None:
    """Make this process the user nobody's if it is root's; on Linux, no program that it starts can gain rights.

    For good, and for all of its threads. Whoever calls it has loaded all libraries that it needs: nobody may not
    be able to read them, such as those in a virtual environment below /root.
    """
    if sys.platform == "win32":
        return
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.geteuid() != 0:
        return
    uid, gid = _nobody()
    try:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    except OSError as error:
        # In a container whose root may not change its user. Decoding goes on: it is no worse than elsewhere,
        # where the decoders are of the user who started them.
        logger.warning("the decoders stay root's, which may not become another user here: %s", error)


def limited(limits: ProcessLimits, function: Callable[..., T], arguments: tuple[object, ...]) -> T:
    """Return function(*arguments), computed within the limits; in a process that does nothing else."""
    if sys.platform == "win32":
        return function(*arguments)
    # Only the soft limits move, so that they can be raised again: receiving the next file and sending the
    # result are not limited, as a failure there would lose more than the file.
    with (
        _soft_limit(resource.RLIMIT_DATA, _memory_limit(limits.memory)),
        _soft_limit(resource.RLIMIT_CPU, math.ceil(_cpu_used()) + limits.cpu_s),
    ):
        return function(*arguments)


@contextmanager
def _soft_limit(kind: int, limit: int | None) -> Iterator[None]:
    if limit is None:
        yield
        return
    soft, hard = resource.getrlimit(kind)
    lowest = min((one for one in (limit, soft, hard) if one != resource.RLIM_INFINITY), default=limit)
    resource.setrlimit(kind, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(kind, (soft, hard))


def _memory_limit(more: int) -> int | None:
    """Return what RLIMIT_DATA has to be for so many bytes more; None where the system has no such limit.

    RLIMIT_DATA, not RLIMIT_AS: the address space also counts libraries and what allocators reserve and never
    touch, 230 MB here and gigabytes on a machine of many cores. Linux counts every private writable page
    since 4.7; macOS takes either limit and ignores both.
    """
    if sys.platform != "linux":
        return None
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
    except OSError:  # no /proc
        return None
    return pages * resource.getpagesize() + more


def _cpu_used() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _nobody() -> tuple[int, int]:
    import pwd

    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return _NOBODY, _NOBODY
    return entry.pw_uid, entry.pw_gid
