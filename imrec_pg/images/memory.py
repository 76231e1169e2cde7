"""Whether memory is short: libjpeg, libwebp and dav1d call it broken data when an allocation fails."""

import mmap
import sys

# The greediest decoder, WebP's, holds four canvases of 4 bytes a pixel.
_BYTES_A_PIXEL = 16


def is_short(pixels: int) -> bool:
    """Return whether a picture of so many pixels may have failed for want of memory; allocates none."""
    if sys.platform == "win32":
        return False
    try:
        # Private, else no limit of the process would count it; never touched, so that it costs nothing.
        probe = mmap.mmap(-1, max(1, pixels * _BYTES_A_PIXEL), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, OverflowError, MemoryError):
        return True
    probe.close()
    return False
