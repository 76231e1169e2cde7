"""stdin, stdout and stderr that may be closed, full, or read by nobody."""

import errno
import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class StdoutError(Exception):
    """What was printed did not reach stdout; no OSError, so that nobody takes it for that of another file.

    Attributes:
        reader_gone: whether the reader stopped reading, as in `imrec-pg search … | head`.
    """

    def __init__(self, cause: OSError) -> None:
        super().__init__(f"cannot write to stdout: {cause.strerror}")
        self.reader_gone = cause.errno == errno.EPIPE


class _Results(io.FileIO):
    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise StdoutError(error) from error


class _Messages(io.FileIO):
    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except OSError:  # there is nowhere to say so
            return memoryview(data).nbytes


def guard() -> None:
    """Have stdout raise StdoutError, and stderr nothing, when they are closed or full.

    A closed one is opened first: else the next file or connection would get its number, and what some library
    prints would go there. Python itself has None for it, and prints to stdout what is meant for None.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # stdout is opened for reading, so that writing to it stays an error.
            opened = os.open(os.devnull, os.O_RDONLY if number == 1 else os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, closefd=False)
    # A path with a letter that the terminal's encoding lacks must not stop the program.
    sys.stdout = _text(sys.stdout, io.BufferedWriter(_Results(1, "w", closefd=False)))
    sys.stderr = _text(sys.stderr, io.BufferedWriter(_Messages(2, "w", closefd=False)), line_buffering=True)


def drop_stdout() -> None:
    """Lose what is left to print; else Python complains about it at the end."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)


def _text(
    before: TextIO | None, binary: io.BufferedWriter, *, line_buffering: bool = False
) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        binary,
        encoding=before.encoding if before is not None else "utf-8",
        errors="backslashreplace",
        line_buffering=line_buffering or binary.isatty(),
    )
