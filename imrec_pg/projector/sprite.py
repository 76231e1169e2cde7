"""The sprite: thumbnails of all photos side by side in one picture, which the projector draws at their points."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from math import ceil, sqrt
from pathlib import Path

from PIL import Image, ImageDraw

from imrec_pg import outputs
from imrec_pg.decoding import Decoders, Thumbnail
from imrec_pg.errors import DecodeError
from imrec_pg.images import content
from imrec_pg.paths import display_path

# What browsers and graphics cards take as one texture.
_MAX_SIDE = 8192
_MAX_THUMBNAIL = 100
_THREADS = 4  # that read files ahead of the decoders
_AHEAD = 64  # thumbnails waited for: 30 kB each
_GREY, _DARKER = (213, 217, 222), (178, 184, 192)
# The colours of a thumbnail of 25 pixels would blur into each other if halved.
_JPEG = {"quality": 90, "subsampling": 0}


def thumbnail_side(photos: int) -> int:
    """Return the side of each thumbnail in pixels: so many a row as there are rows."""
    return min(_MAX_THUMBNAIL, _MAX_SIDE // ceil(sqrt(photos)))


def write_sprite(
    target: Path, paths: Sequence[bytes], decoders: Decoders, on_photo: Callable[[], None]
) -> int:
    """Write the thumbnails of files, row by row, as a JPEG; return how many could not be read, and are grey."""
    side = thumbnail_side(len(paths))
    a_row = ceil(sqrt(len(paths)))
    sprite = Image.new("RGB", (a_row * side, ceil(len(paths) / a_row) * side), _GREY)
    placeholder = _placeholder(side)
    waiting: deque[Future[Thumbnail | None]] = deque()
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="imrec-sprite")
    unreadable = drawn = 0

    def draw() -> None:
        nonlocal unreadable, drawn
        found = waiting.popleft().result()
        unreadable += found is None
        picture = placeholder if found is None else Image.frombytes("RGB", (side, side), found.pixels)
        sprite.paste(picture, (drawn % a_row * side, drawn // a_row * side))
        drawn += 1
        on_photo()

    try:
        for path in paths:
            if len(waiting) >= _AHEAD:
                draw()
            waiting.append(pool.submit(_thumbnail, path, decoders, side))
        while waiting:
            draw()
    except BaseException:
        decoders.close()  # else Ctrl-C would wait for pictures that take long
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    with outputs.create(target) as file:
        sprite.save(file, "JPEG", **_JPEG)
    return unreadable


def _thumbnail(path: bytes, decoders: Decoders, side: int) -> Thumbnail | None:
    try:
        return decoders.square(content.read(path), display_path(path), side)()
    except DecodeError:
        return None


def _placeholder(side: int) -> Image.Image:
    picture = Image.new("RGB", (side, side), _GREY)
    ImageDraw.Draw(picture).rectangle((0, 0, side - 1, side - 1), outline=_DARKER)
    return picture
