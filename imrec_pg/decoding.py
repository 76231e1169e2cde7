"""Decode and extract in other processes, so that a file costs the main one neither memory, time nor its life.

An ingest has a pool of workers for many files (ingest.extract); a query, which is one file or a few, gets a child
that starts in a fifth of a second and stays for the next (Decoders). Both run the same function within the same
limits.
"""

import os
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from imrec_pg.bounded import Children, DiedError, ProcessLimits
from imrec_pg.errors import DecodeError
from imrec_pg.images.content import DEFAULT_LIMITS, FileContent, Limits
from imrec_pg.images.decode_errors import one_line
from imrec_pg.records import Feature

if TYPE_CHECKING:
    # Loads NumPy and Pillow's plugins; OpenCV, imagehash and SciPy follow with the first image.
    from imrec_pg.extraction import Extracted

T = TypeVar("T")

# The hungriest picture within the size limits takes 3.2 GB (a lossless WebP of 196 megapixels).
MEMORY = 4 * 1024**3
# The slowest picture takes some seconds of a fast core; a decoder that computes this long hangs.
CPU_S = 60
# Longer, since a core may be shared: by then the decoder waits for something that never comes.
TIMEOUT_S = 180

_MAX_CHILDREN = 8


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small picture, RGB, 8 bits a channel, row by row."""

    width: int
    height: int
    pixels: bytes


class Decoders:
    """Decodes queries and pictures of plots; close() ends its processes. Threads may share it.

    Args:
        number: of processes at most; each starts when the others are busy, in 0.2 s.
    """

    def __init__(self, number: int = _MAX_CHILDREN) -> None:
        self._children = Children(max(1, min(number, os.cpu_count() or 1, _MAX_CHILDREN)), load_libraries)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the processes."""
        self._children.close()

    def extract(
        self, content: FileContent, path: str, features: frozenset[Feature]
    ) -> "Callable[[], Extracted]":
        """Start to extract features; what comes back waits for them, or raises a DecodeError."""
        return self._start(path, extract_or_error, content, path, features, DEFAULT_LIMITS)

    def copies(self, content: FileContent, path: str) -> "Callable[[], tuple[Extracted, ...]]":
        """Start to make altered copies and extract all their features; see extract()."""
        return self._start(path, copies_or_error, content, path)

    def thumbnail(self, content: FileContent, path: str, side: int) -> Callable[[], Thumbnail]:
        """Start to reduce a picture to a square of that side; what comes back waits, or raises a DecodeError."""
        return self._start(path, thumbnail_or_error, content, path, side)

    def webp(self, content: FileContent, path: str, side: int) -> Callable[[], bytes]:
        """Start to reduce a picture as thumbnail() does; what comes back is a WebP file."""
        return self._start(path, webp_or_error, content, path, side)

    def square(self, content: FileContent, path: str, side: int) -> Callable[[], Thumbnail]:
        """Start to reduce the middle of a picture to a square of exactly that side; see thumbnail()."""
        return self._start(path, square_or_error, content, path, side)

    def _start(
        self, path: str, function: Callable[..., T | DecodeError], *arguments: object
    ) -> Callable[[], T]:
        future = self._children.submit(ProcessLimits(MEMORY, CPU_S), TIMEOUT_S, function, *arguments)
        return lambda: _result(future, path)


def load_libraries() -> None:
    """Import all that the functions below need: what a child of root's has not loaded, it may be unable to read."""
    from PIL import Image, ImageOps  # noqa: F401

    from imrec_pg import extraction
    from imrec_pg.images.alterations import ALTERATIONS

    extraction.load_libraries()
    for alteration in ALTERATIONS:  # such as the font of one
        alteration.copy(Image.new("RGB", (32, 32)), seed=0)


def extract_or_error(
    content: FileContent, path: str, features: frozenset[Feature], limits: Limits
) -> "Extracted | DecodeError":
    """Return the features asked for, or why there are none."""
    from imrec_pg.extraction import extract

    try:
        return extract(content, path, features, limits)
    except DecodeError as error:
        # Without its traceback, which would hold the picture until the next file's result.
        return DecodeError(error.path, error.kind, error.reason)
    except MemoryError:
        return DecodeError(path, "OutOfMemory", "not enough memory to compute its features")
    except ImportError:
        raise  # nothing could be extracted of any file
    except Exception as error:  # noqa: BLE001 - a picture that a library chokes on must cost one file
        reason = one_line(f"its features could not be computed: {type(error).__name__}: {error}")
        return DecodeError(path, "DecoderCrashed", reason)


def copies_or_error(content: FileContent, path: str) -> "tuple[Extracted, ...] | DecodeError":
    """Return all features of altered copies of a photo, one of each kind, or why there are none."""
    from imrec_pg.extraction import extract
    from imrec_pg.images.alterations import ALTERATIONS, reduced
    from imrec_pg.images.content import image_id_of
    from imrec_pg.images.decode import decode
    from imrec_pg.records import Feature

    try:
        photo = reduced(decode(content, path).pixels)
        made = [alteration.copy(photo, seed=content.image_id.int) for alteration in ALTERATIONS]
        return tuple(
            extract(FileContent(data, len(data), 0, image_id_of(data)), path, frozenset(Feature))
            for data in made
        )
    except DecodeError as error:
        return DecodeError(error.path, error.kind, error.reason)
    except MemoryError:
        return DecodeError(path, "OutOfMemory", "not enough memory to make altered copies")


def thumbnail_or_error(content: FileContent, path: str, side: int) -> Thumbnail | DecodeError:
    """Return the picture reduced to fit into a square, or why there is none; a smaller one stays as it is."""
    from PIL import Image

    from imrec_pg.images.decode import decode

    try:
        # Four times as much each way makes a sharp one.
        pixels = decode(content, path, enough=(4 * side) ** 2).pixels
        pixels.thumbnail((side, side), Image.Resampling.LANCZOS)
        return Thumbnail(*pixels.size, pixels.tobytes())
    except DecodeError as error:
        return DecodeError(error.path, error.kind, error.reason)
    except MemoryError:
        return DecodeError(path, "OutOfMemory", "not enough memory to reduce the picture")


def webp_or_error(content: FileContent, path: str, side: int) -> bytes | DecodeError:
    """Return the picture as a WebP file that fits into a square, or why there is none; a smaller one stays as it is."""
    import io

    from PIL import Image

    from imrec_pg.images.decode import decode

    try:
        # Four times as much each way, as thumbnail() asks for, takes three times as long, and nobody sees it.
        pixels = decode(content, path, enough=side * side * 9 // 4).pixels
        pixels.thumbnail((side, side), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        pixels.save(buffer, "WEBP", quality=80, method=2)
        return buffer.getvalue()
    except DecodeError as error:
        return DecodeError(error.path, error.kind, error.reason)
    except MemoryError:
        return DecodeError(path, "OutOfMemory", "not enough memory to reduce the picture")


def square_or_error(content: FileContent, path: str, side: int) -> Thumbnail | DecodeError:
    """Return the middle of the picture as a square of that side, or why there is none."""
    from PIL import Image, ImageOps

    from imrec_pg.images.decode import decode

    try:
        # Of a panorama, twice as long as high, this still leaves more pixels than the square has.
        pixels = decode(content, path, enough=(6 * side) ** 2).pixels
        fitted = ImageOps.fit(pixels, (side, side), Image.Resampling.LANCZOS)
        return Thumbnail(*fitted.size, fitted.tobytes())
    except DecodeError as error:
        return DecodeError(error.path, error.kind, error.reason)
    except MemoryError:
        return DecodeError(path, "OutOfMemory", "not enough memory to reduce the picture")


def timed_out(path: str = "") -> DecodeError:
    """Return why a file has no result whose decoder was stopped by the clock."""
    return DecodeError(path, "DecoderTimeout", f"decoding took over {TIMEOUT_S} s and was stopped")


def computed_too_long(path: str = "") -> DecodeError:
    """Return why a file has no result whose decoder was stopped for its computing time."""
    return DecodeError(path, "DecoderTimeout", f"decoding computed for over {CPU_S} s and was stopped")


def killed(path: str = "") -> DecodeError:
    """Return why a file has no result whose decoder something outside ended, twice."""
    reason = "the decoder process was killed twice, as the system does when memory runs out"
    return DecodeError(path, "OutOfMemory", reason)


def crashed(exit_code: int, path: str = "") -> DecodeError:
    """Return why a file has no result whose decoder ended by itself."""
    return DecodeError(path, "DecoderCrashed", f"the decoder process died (exit code {exit_code})")


def _result(future: Future[T | DecodeError], path: str) -> T:
    try:
        result = future.result()
    except DiedError as error:
        if error.timed_out:
            raise timed_out(path) from error
        if error.computed_too_long:
            raise computed_too_long(path) from error
        raise (killed(path) if error.killed else crashed(error.exit_code, path)) from error
    if isinstance(result, DecodeError):
        raise result
    return result
