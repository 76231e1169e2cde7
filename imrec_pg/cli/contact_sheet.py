"""The picture of a search: the query images beside their neighbours, nearest first, with distances."""

import os
import unicodedata
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import product
from math import ceil
from pathlib import Path
from typing import Any, cast

from PIL import ExifTags, Image, ImageDraw, ImageFont, PngImagePlugin

from imrec_pg import outputs
from imrec_pg.decoding import Decoders, Thumbnail
from imrec_pg.errors import DecodeError, ImrecError, UsageError
from imrec_pg.images import content
from imrec_pg.paths import display_path

# By it an earlier sheet is known, and may be replaced.
_MARK = "imrec-pg contact sheet"
_HEADS = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"RIFF", b"%PDF-")


def _png_mark() -> PngImagePlugin.PngInfo:
    mark = PngImagePlugin.PngInfo()
    mark.add_text("Software", _MARK)
    return mark


def _exif_mark() -> Image.Exif:
    mark = Image.Exif()
    mark[ExifTags.Base.Software] = _MARK
    return mark


FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {"pnginfo": _png_mark()}),
    # Halved colour would blur the small text.
    ".jpg": ("JPEG", {"quality": 90, "subsampling": 0, "exif": _exif_mark()}),
    ".jpeg": ("JPEG", {"quality": 90, "subsampling": 0, "exif": _exif_mark()}),
    ".webp": ("WEBP", {"quality": 90, "exif": _exif_mark()}),
    ".pdf": ("PDF", {"quality": 90, "resolution": 200.0, "producer": _MARK}),
}
MAX_TILES = 500  # up to 190 MB of pixels
_TILES_A_DECODER = 16  # a second decoder takes longer to start than so many photos to decode
_AHEAD = 8  # files in memory while their pictures are decoded

BOX, GAP, MARGIN, _PADDING, _LABEL, TEXT, _RADIUS = 240, 24, 40, 20, 36, 56, 10
_TOP = MARGIN + 56  # below the title
_STEP_X, _STEP_Y = BOX + GAP, BOX + TEXT + GAP
_QUERY_COLUMNS, _MATCH_COLUMNS = range(1, 4), range(4, 7)
_TITLE_SIZES = range(28, 15, -2)

PAPER, _PANEL, TILE, _GREY = "#ffffff", "#e4ecf9", "#f1f3f5", "#d5d9de"
_INK, _MUTED, _ACCENT = "#1b1f24", "#5c6570", "#1f5fbf"

# Pillow's own font has little beyond ASCII: a system font, if there is one, draws the other letters.
_SYSTEM_FONTS = ("DejaVuSans.ttf", "NotoSansCJK-Regular.ttc", "Arial Unicode.ttf", "Arial.ttf")


@dataclass(frozen=True, slots=True)
class Tile:
    """One image of the sheet.

    Attributes:
        path: raw bytes of the absolute path.
        caption: the name below the image, shortened in the middle if too wide.
        detail: more text below the image, such as "cosine 0.0312".
    """

    path: bytes
    caption: str
    detail: str


def check_target(
    target: Path, *, force: bool = False, kept: outputs.Kept = outputs.nothing_kept
) -> os.stat_result | None:
    """Return the status of the file that the sheet may replace, None if there is none; see outputs.check.

    Call it before searching, since it says as far as possible whether the sheet can be written.

    Raises:
        KeptFileError: the target is a query or a stored photo.
        FileInTheWayError: imrec-pg did not write it, and force is False.
        UsageError: the extension is unknown, the folder is missing, or the target is a folder.
    """
    if target.suffix.lower() not in FORMATS:
        raise UsageError(f"{_name(target)}: a plot must end in one of {', '.join(FORMATS)}")
    try:
        return outputs.check(outputs.place(target), "a plot", is_sheet, force=force, kept=kept)
    except OSError as error:  # no right to look there, or too long a name
        raise UsageError(f"{_name(target)}: {error.strerror}: name another file for the plot") from error


def is_sheet(path: Path) -> bool:
    """Return whether a file is a picture of ours."""
    # A PDF holds it in UTF-16.
    return outputs.is_marked(path, _HEADS, _MARK.encode(), _MARK.encode("utf-16-be"))


def write_contact_sheet(
    target: Path,
    title: str,
    queries: Sequence[Tile],
    matches: Sequence[Tile],
    *,
    labels: tuple[str, str] | None = None,
    force: bool = False,
    kept: outputs.Kept = outputs.nothing_kept,
) -> None:
    """Write the sheet, completely or not at all; images that can no longer be read become grey boxes.

    labels stand above the queries and the matches.

    Raises:
        UsageError: see check_target; or more images than a sheet can show.
        ImrecError: the file cannot be written.
    """
    replaced = check_target(target, force=force, kept=kept)
    if len(queries) + len(matches) > MAX_TILES:
        raise UsageError(f"a plot shows at most {MAX_TILES} images: ask for fewer neighbours")
    with Decoders((len(queries) + len(matches)) // _TILES_A_DECODER) as decoders:
        sheet = _draw_sheet(title, queries, matches, decoders, labels)
    save_picture(sheet, target, replaced)


def save_picture(picture: Image.Image, target: Path, replaced: os.stat_result | None) -> None:
    """Write a picture of ours, completely or not at all; replaced is what check_target() returned.

    Raises:
        ImrecError: the file cannot be written.
    """
    format_name, options = FORMATS[target.suffix.lower()]
    try:
        with outputs.new_file(outputs.place(target), replaced) as file:
            picture.save(file, format_name, **options)
    except (OSError, ValueError) as error:  # ValueError: higher than the format allows (WebP: 16,383 pixels)
        reason = getattr(error, "strerror", None) or str(error)
        advice = "name a file you can write, .png if it is large"
        raise ImrecError(f"cannot write the plot {_name(target)}: {reason}: {advice}") from error


def _name(path: Path) -> str:
    return _printable(display_path(bytes(path)))


def _arrange(queries: int, matches: int) -> tuple[int, int]:
    """Return the columns of queries and of matches that leave the fewest cells empty."""

    def empty(columns: tuple[int, int]) -> int:
        query_rows, match_rows = ceil(queries / columns[0]), ceil(matches / columns[1])
        ragged = match_rows * columns[1] - matches
        # A ragged last row of matches looks worse than empty cells elsewhere, so it counts double.
        return max(query_rows, match_rows) * sum(columns) - queries - matches + 2 * ragged

    query_columns = {max(1, min(columns, queries)) for columns in _QUERY_COLUMNS}
    match_columns = {max(1, min(columns, matches)) for columns in _MATCH_COLUMNS}
    return min(product(sorted(query_columns), sorted(match_columns)), key=empty)


def _draw_sheet(
    title: str,
    queries: Sequence[Tile],
    matches: Sequence[Tile],
    decoders: Decoders,
    labels: tuple[str, str] | None = None,
) -> Image.Image:
    query_columns, match_columns = _arrange(len(queries), len(matches))
    query_rows = max(1, ceil(len(queries) / query_columns))
    rows = max(query_rows, ceil(len(matches) / match_columns))
    panel_width = query_columns * _STEP_X - GAP + 2 * _PADDING
    matches_left = MARGIN + panel_width + GAP + _PADDING
    width = matches_left + match_columns * _STEP_X - GAP + MARGIN
    height = _TOP + _block_height(rows) + MARGIN
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    write_title(draw, title, width - 2 * MARGIN)
    panel = (MARGIN, _TOP, MARGIN + panel_width, _TOP + _block_height(query_rows))
    draw.rounded_rectangle(panel, radius=_RADIUS + _PADDING // 2, fill=_PANEL)
    above, beside = labels or (
        "Query" if len(queries) == 1 else "Queries",
        "Matches, nearest first" if matches else "No matches",
    )
    pictures = Pictures(decoders)
    _draw_block(sheet, MARGIN + _PADDING, above, queries, query_columns, pictures, ranked=False)
    _draw_block(sheet, matches_left, beside, matches, match_columns, pictures, ranked=True)
    return sheet


def _block_height(rows: int) -> int:
    return _LABEL + rows * _STEP_Y - GAP + 2 * _PADDING


def write_title(draw: ImageDraw.ImageDraw, title: str, width: int) -> None:
    """Write the title above all, smaller or shortened if it is too wide."""
    title = _printable(title)
    fonts = [_font(title, size) for size in _TITLE_SIZES]
    font = next((font for font in fonts if font.getlength(title) <= width), fonts[-1])
    draw.text((MARGIN, MARGIN + 16), _fit(title, font, width), _INK, font, anchor="lm")


def _draw_block(
    sheet: Image.Image,
    left: int,
    label: str,
    tiles: Sequence[Tile],
    columns: int,
    pictures: "Pictures",
    *,
    ranked: bool,
) -> None:
    draw = ImageDraw.Draw(sheet)
    draw.text((left, _TOP + _PADDING + 8), label, _ACCENT, _own_font(20), anchor="lm")
    for index, (tile, thumbnail) in enumerate(zip(tiles, pictures.of(tiles), strict=True)):
        row, column = divmod(index, columns)
        place = (left + column * _STEP_X, _TOP + _PADDING + _LABEL + row * _STEP_Y)
        sheet.paste(boxed(thumbnail, TILE if ranked else PAPER), place, rounded_mask())
        write_beneath(draw, place, tile, str(index + 1) if ranked else "")


class Pictures:
    """The pictures of tiles, reduced in other processes."""

    def __init__(self, decoders: Decoders) -> None:
        self._decoders = decoders

    def of(self, tiles: Sequence[Tile]) -> Iterator[Thumbnail | None]:
        """Yield one for each tile, None for what cannot be read; a few are decoded ahead, not all held at once."""
        started: deque[Callable[[], Thumbnail] | None] = deque()
        for tile in tiles:
            started.append(self._start(tile.path))
            if len(started) > _AHEAD:
                yield self._finish(started.popleft())
        while started:
            yield self._finish(started.popleft())

    def _start(self, path: bytes) -> Callable[[], Thumbnail] | None:
        try:
            return self._decoders.thumbnail(content.read(path), display_path(path), BOX)
        except DecodeError:
            return None

    def _finish(self, finish: Callable[[], Thumbnail] | None) -> Thumbnail | None:
        try:
            return finish() if finish is not None else None
        except DecodeError:
            return None


def boxed(thumbnail: Thumbnail | None, ground: str) -> Image.Image:
    """Return a box with the image in its middle; small images are not enlarged."""
    if thumbnail is None:
        box = Image.new("RGB", (BOX, BOX), _GREY)
        middle = (BOX // 2, BOX // 2)
        ImageDraw.Draw(box).text(middle, "not readable", _MUTED, _own_font(18), anchor="mm")
        return box
    pixels = Image.frombytes("RGB", (thumbnail.width, thumbnail.height), thumbnail.pixels)
    box = Image.new("RGB", (BOX, BOX), ground)
    box.paste(pixels, ((BOX - pixels.width) // 2, (BOX - pixels.height) // 2))
    return box


@cache
def rounded_mask() -> Image.Image:
    """Return by what a box is pasted to have round corners."""
    # Drawn larger and reduced: Pillow draws round corners without smoothing.
    mask = Image.new("L", (4 * BOX, 4 * BOX), 0)
    corners = (0, 0, 4 * BOX - 1, 4 * BOX - 1)
    ImageDraw.Draw(mask).rounded_rectangle(corners, radius=4 * _RADIUS, fill=255)
    return mask.reduce(4)


def write_beneath(draw: ImageDraw.ImageDraw, place: tuple[int, int], tile: Tile, rank: str) -> None:
    """Write the rank and the detail, if any, and the caption on the line below."""
    left, middle = place[0], place[1] + BOX + 20
    caption, detail = _printable(tile.caption), _printable(tile.detail)
    if rank or detail:
        font = _own_font(22)
        draw.text((left, middle), rank, _ACCENT, font, anchor="lm", stroke_width=0.4)
        indent = int(font.getlength(rank)) + 10 if rank else 0
        font = _font(detail, 17)
        draw.text((left + indent, middle), _fit(detail, font, BOX - indent), _INK, font, anchor="lm")
        middle += 22
    font = _font(caption, 15)
    draw.text((left, middle), _fit(caption, font, BOX), _MUTED, font, anchor="lm")


def _printable(text: str) -> str:
    # Line breaks would make Pillow refuse to measure; lone surrogates and controls have no glyph. macOS
    # spells names decomposed, and without Raqm Pillow would set the accents beside the letters.
    composed = unicodedata.normalize("NFC", text)
    return "".join(character if character.isprintable() else "\ufffd" for character in composed)


def _fit(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """Return the text, shortened in the middle if necessary: the end often tells names apart."""
    if font.getlength(text) <= width:
        return text
    low, high = 0, len(text) - 1  # characters kept
    while low < high:
        kept = (low + high + 1) // 2
        low, high = (kept, high) if font.getlength(_shorten(text, kept)) <= width else (low, kept - 1)
    return _shorten(text, low)


def _shorten(text: str, kept: int) -> str:
    tail = kept // 2
    return f"{text[: kept - tail]}…{text[len(text) - tail :]}"


@cache
def _own_font(size: int) -> ImageFont.FreeTypeFont:
    return cast("ImageFont.FreeTypeFont", ImageFont.load_default(size))


@cache
def _system_fonts(size: int) -> tuple[ImageFont.FreeTypeFont, ...]:
    fonts = []
    for name in _SYSTEM_FONTS:
        with suppress(OSError):  # not installed
            fonts.append(ImageFont.truetype(name, size))
    return tuple(fonts)


def _font(text: str, size: int) -> ImageFont.FreeTypeFont:
    """Return the font that has most letters of the text, Pillow's own if several are equal."""
    own = _own_font(size)
    if text.isascii():
        return own
    fonts = (own, *_system_fonts(size))
    return max(fonts, key=lambda font: sum(_has_glyph(font, character) for character in set(text)))


@cache
def _has_glyph(font: ImageFont.FreeTypeFont, character: str) -> bool:
    # A font draws each character that it lacks as the same box, also this one, which no font has.
    return character == " " or bytes(font.getmask(character)) != bytes(font.getmask("\U0010fffe"))
