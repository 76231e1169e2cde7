"""The picture of duplicates: the photo to keep, each that is alike, and between them what is different."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw

from imrec_pg.cli.contact_sheet import (
    BOX,
    GAP,
    MARGIN,
    PAPER,
    TEXT,
    TILE,
    Pictures,
    Tile,
    boxed,
    rounded_mask,
    save_picture,
    write_beneath,
    write_title,
)
from imrec_pg.decoding import Decoders, Thumbnail

MAX_PAIRS = 150  # up to 120 MB of pixels
_PAIRS_A_DECODER = 8
_TOP = MARGIN + 56
_WIDTH, _HEIGHT = 3 * (BOX + GAP) + GAP, BOX + TEXT + GAP
_ONE_COLUMN = 3  # pairs
_STRENGTH = 4  # by which differences are multiplied: a fourth of the range is the full colour
_CHANGED = (200, 30, 30)


@dataclass(frozen=True, slots=True)
class Pair:
    """A photo to keep, and one that is alike."""

    keep: Tile
    other: Tile


def write_difference_sheet(
    target: Path, title: str, pairs: Sequence[Pair], replaced: os.stat_result | None
) -> None:
    """Write the sheet, completely or not at all; replaced is what contact_sheet.check_target() returned.

    Raises:
        ImrecError: the file cannot be written.
    """
    with Decoders(len(pairs) // _PAIRS_A_DECODER) as decoders:
        sheet = _draw(title, pairs, decoders)
    save_picture(sheet, target, replaced)


def _draw(title: str, pairs: Sequence[Pair], decoders: Decoders) -> Image.Image:
    columns = 1 if len(pairs) <= _ONE_COLUMN else 2
    rows = -(-len(pairs) // columns)
    width = 2 * MARGIN + columns * _WIDTH - 2 * GAP
    sheet = Image.new("RGB", (width, _TOP + rows * _HEIGHT - GAP + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    write_title(draw, title, width - 2 * MARGIN)
    pictures = Pictures(decoders).of([tile for pair in pairs for tile in (pair.keep, pair.other)])
    for number, pair in enumerate(pairs):
        keep, other = next(pictures), next(pictures)
        row, column = divmod(number, columns)
        left, top = MARGIN + column * _WIDTH, _TOP + row * _HEIGHT
        middle = Tile(b"", "what is different", "")
        boxes = (boxed(keep, TILE), boxed(other, TILE), difference_of(keep, other))
        for place, (tile, box) in enumerate(zip((pair.keep, pair.other, middle), boxes, strict=True)):
            at = (left + place * (BOX + GAP), top)
            sheet.paste(box, at, rounded_mask())
            write_beneath(draw, at, tile, "")
    return sheet


def strip_of(keep: bytes, other: bytes, decoders: Decoders) -> Image.Image:
    """Return two photos side by side and what is different; paths as the file system spells them."""
    tiles = [Tile(path, "", "") for path in (keep, other)]
    one, two = Pictures(decoders).of(tiles)
    strip = Image.new("RGB", (3 * BOX + 2 * GAP, BOX), PAPER)
    for place, box in enumerate((boxed(one, TILE), boxed(two, TILE), difference_of(one, two))):
        strip.paste(box, (place * (BOX + GAP), 0))
    return strip


def difference_of(one: Thumbnail | None, other: Thumbnail | None) -> Image.Image:
    """Return a box with the first picture in pale grey, and in red where the other differs.

    Both are compared at the size of the smaller one: that one has less detail is no difference.
    """
    if one is None or other is None:
        return boxed(None, TILE)
    first, size = _image(one), min((one.width, one.height), (other.width, other.height))
    compared = (_image(each).resize(size, Image.Resampling.LANCZOS) for each in (one, other))
    bands = ImageChops.difference(*compared).resize(first.size).split()
    most = ImageChops.lighter(ImageChops.lighter(bands[0], bands[1]), bands[2])
    mask = most.point([min(255, _STRENGTH * level) for level in range(256)])
    pale = first.convert("L").point([160 + 3 * level // 8 for level in range(256)]).convert("RGB")
    shown = Image.composite(Image.new("RGB", first.size, _CHANGED), pale, mask)
    return boxed(Thumbnail(*shown.size, shown.tobytes()), TILE)


def _image(thumbnail: Thumbnail) -> Image.Image:
    return Image.frombytes("RGB", (thumbnail.width, thumbnail.height), thumbnail.pixels)
