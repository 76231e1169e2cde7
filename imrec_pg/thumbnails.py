"""Small square pictures of photos, decoded in other processes, a few ahead."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from PIL import Image, ImageDraw

from imrec_pg.decoding import Decoders, Thumbnail
from imrec_pg.errors import DecodeError
from imrec_pg.images import content
from imrec_pg.paths import display_path

_THREADS = 4  # that read files ahead of the decoders
_AHEAD = 64  # thumbnails waited for: 30 kB each
GREY, DARKER = (213, 217, 222), (178, 184, 192)


def squares(paths: Iterable[bytes], decoders: Decoders, side: int) -> Iterator[Image.Image | None]:
    """Yield the middle of each photo, turned as EXIF says, side pixels high and wide; None for what cannot be read.

    Ended early, by Ctrl-C for example, it closes the decoders: else it would wait for pictures that take long.
    """
    waiting: deque[Future[Thumbnail | None]] = deque()
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="imrec-thumbnails")

    def next_one() -> Image.Image | None:
        found = waiting.popleft().result()
        return None if found is None else Image.frombytes("RGB", (side, side), found.pixels)

    try:
        for path in paths:
            if len(waiting) >= _AHEAD:
                yield next_one()
            waiting.append(pool.submit(_thumbnail, path, decoders, side))
        while waiting:
            yield next_one()
    except BaseException:
        decoders.close()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def placeholder(side: int) -> Image.Image:
    """Return what stands for a photo that cannot be read: a grey square."""
    picture = Image.new("RGB", (side, side), GREY)
    ImageDraw.Draw(picture).rectangle((0, 0, side - 1, side - 1), outline=DARKER)
    return picture


def _thumbnail(path: bytes, decoders: Decoders, side: int) -> Thumbnail | None:
    try:
        return decoders.square(content.read(path), display_path(path), side)()
    except DecodeError:
        return None
