"""Open files without leaving a folder: links may lead about in it, but not out of it."""

import errno
import os
import stat
from io import BufferedReader

from imrec_pg.paths import slashed


class OutsideError(OSError):
    """A path leads out of the folder that it was to stay in."""

    def __init__(self) -> None:
        super().__init__("a link leads out of its root")

    def __str__(self) -> str:
        return "a link leads out of its root"


def open_beneath(folder: bytes, relative: bytes) -> BufferedReader:
    """Return an open file, wherever links within the folder lead.

    The path is resolved first, and then opened folder by folder without following any link: one that takes the
    place of a folder meanwhile is an error. The folder itself may be a link.

    Raises:
        OutsideError: links, or "..", lead out of the folder.
        OSError: as open().
    """
    top = os.path.realpath(folder)
    path = os.path.realpath(slashed(folder) + relative)
    if not path.startswith(slashed(top)):
        raise OutsideError
    *parts, name = path[len(slashed(top)) :].split(b"/")
    at = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = inner
        # A FIFO would block until somebody writes to it.
        found = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY, dir_fd=at)
    finally:
        os.close(at)
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise OSError(errno.EINVAL, "not a regular file")
    return open(found, "rb")  # noqa: PTH123 - a descriptor
