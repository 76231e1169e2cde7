"""From what a decoder raised to the kind and the reason of a DecodeError."""

import mmap
import sys

from PIL import Image, UnidentifiedImageError

from imrec_pg.images import formats

_MAX_REASON = 500
# libheif and libavif say so instead of raising MemoryError.
_NO_MEMORY = ("memory allocation error", "out of memory")
# The hungriest decoder, WebP's, holds four canvases of 4 bytes a pixel.
_BYTES_PER_PIXEL = 16


def explain(error: Exception, data: bytes, pixels: int) -> tuple[str, str]:
    """Return the kind and the reason.

    Args:
        error: what the decoder raised.
        data: what was decoded.
        pixels: of the largest picture in it.
    """
    kind, reason = _explain(error, data)
    # libjpeg, libwebp and dav1d report broken data when an allocation fails.
    if kind in {"Corrupt", "Truncated"} and memory_is_short(pixels):
        return "OutOfMemory", f"not enough memory to decode the image ({reason})"
    return kind, reason


def _explain(error: Exception, data: bytes) -> tuple[str, str]:
    text = one_line(str(error)) or type(error).__name__
    if isinstance(error, Image.DecompressionBombError):
        return "TooManyPixels", text
    if isinstance(error, MemoryError) or text.lower().startswith(_NO_MEMORY):
        return "OutOfMemory", "not enough memory to decode the image"
    if isinstance(error, ImportError):
        return "DecoderMissing", f"its decoder does not load: {text}"
    if isinstance(error, UnidentifiedImageError):
        found = formats.identify(data[: formats.HEAD_SIZE])
        if found is None:
            return "NotAnImage", "the content is not an image"
        text = f"it begins like {found}, but its header is broken or of an unknown variant"
    if isinstance(error, NotImplementedError) or text.startswith("Unsupported"):
        return "UnsupportedFormat", text
    if text.startswith("decoder error"):
        text = f"the data are broken ({text})"
    return "Truncated" if "truncated" in text.lower() or formats.cut_short(data) else "Corrupt", text


def memory_is_short(pixels: int) -> bool:
    """Return whether a picture of this many pixels may have failed for lack of memory; allocates none."""
    if sys.platform == "win32":
        return False
    try:
        # Private, else no limit of the process would count it; never touched, so that it costs nothing.
        probe = mmap.mmap(-1, max(1, pixels * _BYTES_PER_PIXEL), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, OverflowError, MemoryError):
        return True
    probe.close()
    return False


def one_line(text: str) -> str:
    """Return text that Postgres stores and a log shows on one line."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_MAX_REASON]
