"""The sprite: thumbnails of all photos side by side in one picture, which the projector draws at their points."""

from collections.abc import Callable, Sequence
from math import ceil, sqrt
from pathlib import Path

from PIL import Image

from imrec_pg import outputs
from imrec_pg.decoding import Decoders
from imrec_pg.thumbnails import GREY, placeholder, squares

# What browsers and graphics cards take as one texture.
_MAX_SIDE = 8192
_MAX_THUMBNAIL = 100
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
    sprite = Image.new("RGB", (a_row * side, ceil(len(paths) / a_row) * side), GREY)
    unreadable = 0
    for drawn, found in enumerate(squares(paths, decoders, side)):
        unreadable += found is None
        sprite.paste(found or placeholder(side), (drawn % a_row * side, drawn // a_row * side))
        on_photo()
    with outputs.create(target) as file:
        sprite.save(file, "JPEG", **_JPEG)
    return unreadable
