"""Read what worker processes send, without doing what it says.

A pickle is a program. Whoever takes over a decoder, by a photo that a fault in it falls for, would else have the main
process run whatever he sends: giving up root would be worth nothing.
"""

import builtins
import copy
import io
import os
import pickle
import struct
from multiprocessing import connection, reduction
from multiprocessing.context import BaseContext
from typing import IO, TypeVar

C = TypeVar("C", bound=BaseContext)

# A result is the model's crop (150 kB) and the features.
_LARGEST = 16 * 1024 * 1024
_ALLOWED = frozenset(
    {
        ("datetime", "datetime"),
        ("imrec_pg.decoding", "Thumbnail"),
        ("imrec_pg.errors", "DecodeError"),
        ("imrec_pg.extraction", "Extracted"),
        ("imrec_pg.records", "Features"),
        ("imrec_pg.records", "ImageInfo"),
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy.core.multiarray", "_reconstruct"),  # NumPy 1
        ("uuid", "UUID"),
    }
)
# Pebble's own messages, in whichever of its modules a version has them.
_PEBBLE = frozenset(
    {
        "Acknowledgement",
        "RemoteException.rebuild_exception",
        "Result",
        "ResultStatus",
        "TaskProblem",
        "TaskResult",
        "rebuild_exception",
    }
)


class RefusedError(OSError):
    """A worker sent what no worker sends; to Pebble, an OSError is a broken pool."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> object:
        known = getattr(builtins, global_name, None) if module_name == "builtins" else None
        if (
            (module_name, global_name) in _ALLOWED
            or (module_name.partition(".")[0] == "pebble" and global_name in _PEBBLE)
            or (isinstance(known, type) and issubclass(known, Exception))
        ):
            return super().find_class(module_name, global_name)
        raise pickle.UnpicklingError(f"{module_name}.{global_name} is not allowed")


class _Reader(connection.Connection):
    """The end of a pipe at which results arrive."""

    def recv(self) -> object:
        return _loaded(self.recv_bytes(_LARGEST))


def read_result(stream: IO[bytes]) -> object:
    """Return the next result that a child sends.

    Raises:
        EOFError: it has closed the pipe.
        RefusedError: it sent what is no result.
    """
    (size,) = struct.unpack(">Q", _exactly(stream, 8))
    if size > _LARGEST:
        raise RefusedError(f"a decoder process sent {size:,} bytes, which is no result")
    return _loaded(_exactly(stream, size))


def write_frame(stream: IO[bytes], data: bytes) -> None:
    """Send a result as read_result() takes it."""
    stream.write(struct.pack(">Q", len(data)) + data)
    stream.flush()


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError("a decoder process ended in the middle of a result")
    return data


def _loaded(data: bytes) -> object:
    try:
        return _Unpickler(io.BytesIO(data)).load()
    except Exception as error:
        # A broken pickle can raise anything.
        raise RefusedError(f"a decoder process sent what is no result ({error})") from error


# Sent to a worker, which has to close it, or reads its tasks from it, it is a plain connection.
reduction.register(_Reader, connection.reduce_connection)  # type: ignore[attr-defined]


def carefully(context: C) -> C:
    """Return the same context, but the pipes that it makes take results alone in this process."""

    def pipe(duplex: bool = True) -> tuple[connection.Connection, connection.Connection]:
        reader, writer = context.Pipe(duplex)
        careful = _Reader(os.dup(reader.fileno()), writable=duplex)
        reader.close()
        return careful, writer

    careful_context = copy.copy(context)
    careful_context.Pipe = pipe  # type: ignore[method-assign]
    return careful_context
