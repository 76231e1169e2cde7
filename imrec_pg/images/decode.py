"""Read and decode image files: whatever a file holds, the outcome is a picture or a DecodeError.

The kinds of DecodeError:
    Vanished, Unreadable, ChangedWhileRead, OutOfMemory: of the moment; the same file may decode next time.
    Empty, TooLarge, TooManyPixels, Truncated, Corrupt, NotAnImage, UnsupportedFormat: of the content.
"""

import hashlib
import io
import os
import stat
import time
from dataclasses import dataclass, field
from typing import IO
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

# The plugins are imported by name, else the first WebP or TIFF makes Pillow load all 47 of them.
from PIL import ExifTags, Image, ImageOps, TiffImagePlugin, UnidentifiedImageError
from PIL import WebPImagePlugin as _WebPImagePlugin  # noqa: F401

from imrec_pg.errors import DecodeError
from imrec_pg.images import formats
from imrec_pg.images.exif import photo_data
from imrec_pg.images.silence import silence
from imrec_pg.images.walk import VANISHED
from imrec_pg.paths import display_path
from imrec_pg.records import ImageInfo

MAX_PIXELS = 200_000_000
"""The largest phone cameras make 199.8 million; one such picture takes 0.8 GB decoded."""

# Pillow's own limit is one global of the process, and its error comes at twice that: set once, here, since to
# change it around each decode would race between threads. Its default, 89 million, refuses those phones.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2

CONTENT_KINDS = frozenset(
    {"Empty", "TooLarge", "TooManyPixels", "Truncated", "Corrupt", "NotAnImage", "UnsupportedFormat"}
)
"""Kinds of DecodeError that come from what the file holds, so that it no longer holds what it did before."""

_MAX_REASON = 500
# File systems give times from a clock that ticks up to 100 times a second.
_TICK_NS = 20_000_000
_LOOKS = 25
_REDUCED = 1  # a bit of TIFF's NewSubfileType
_SCALES = (8, 4, 2)  # what libjpeg computes from fewer coefficients
_SIDEWAYS = {5, 6, 7, 8}  # EXIF orientations


@dataclass(frozen=True, slots=True)
class Limits:
    """What is refused.

    Attributes:
        max_bytes: the largest file.
        max_pixels: width times height, checked before the pixels are decoded; beyond MAX_PIXELS Pillow
            refuses whatever is said here.
    """

    max_bytes: int = 512 * 1024 * 1024
    max_pixels: int = MAX_PIXELS


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class FileContent:
    """A whole file, as it was at one moment.

    Attributes:
        image_id: made from the content alone.
    """

    data: bytes = field(repr=False)
    size: int
    mtime_ns: int
    image_id: UUID


@dataclass(frozen=True, slots=True, eq=False)
class DecodedImage:
    """A picture as a person sees it.

    Attributes:
        pixels: mode RGB, EXIF orientation applied, the first frame of several; smaller than info says where
            the caller asked for less.
    """

    info: ImageInfo
    pixels: Image.Image


def image_id_of(data: bytes) -> UUID:
    """Return the first 128 bits of the content's SHA-256."""
    return UUID(bytes=hashlib.sha256(data).digest()[:16])


def read(path: bytes, limits: Limits = DEFAULT_LIMITS) -> FileContent:
    """Return a file's content, read once; links are followed.

    Raises:
        DecodeError: it cannot be read, changed meanwhile, is empty or too large, or begins like a format
            that is not read (a folder of camera raws would else be read in full, 30 MB a file, for nothing).
    """
    name = display_path(path)
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            return _read(file, path, name, limits)
    except OSError as error:
        kind = "Vanished" if error.errno in VANISHED else "Unreadable"
        raise DecodeError(name, kind, _one_line(error.strerror or str(error))) from error
    except ValueError as error:  # a NUL in the path
        raise DecodeError(name, "Unreadable", _one_line(str(error))) from error
    except MemoryError as error:
        raise DecodeError(name, "OutOfMemory", "not enough memory to read the file") from error


def decode(
    content: FileContent, path_for_messages: str, limits: Limits = DEFAULT_LIMITS, enough: int | None = None
) -> DecodedImage:
    """Return the picture; the extension of path_for_messages tells camera raws from TIFF.

    A JPEG is decoded at a half, a quarter or an eighth of its sides where enough pixels, as many as that
    says, are left: which takes a half of the time or less. Other formats always come whole.

    How colours become RGB: 8-bit modes by Pillow's convert("RGB"), as in the seed; it drops alpha, and
    colour profiles are not applied. 16-bit grey keeps its high byte, as Pillow does with 16-bit colour;
    convert("RGB") would turn all but its darkest 256 levels white. 32-bit integers and floats, which have no
    agreed white, are stretched from their least to their greatest finite value.

    Threads of one process take turns (see silence); processes decode in parallel.

    Raises:
        DecodeError: and nothing else, for any content.
    """
    suffix = formats.extension(path_for_messages.encode("utf-8", "replace"))
    head = content.data[: formats.HEAD_SIZE]
    refusal = formats.refusal(head, suffix)
    if refusal is not None:
        raise DecodeError(path_for_messages, "UnsupportedFormat", refusal)
    try:
        with silence(libtiff=formats.identify(head) == "TIFF"):
            return _decode(content, path_for_messages, limits, enough)
    except DecodeError:
        raise
    except Exception as error:  # Pillow's decoders raise a dozen kinds, and a bug in one must cost one file
        raise DecodeError(path_for_messages, *_explain(error, content.data)) from error


def _open_without_waiting(path: bytes | str, flags: int) -> int:
    # A FIFO that took a file's place since the walk would else block until somebody writes to it.
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _read(file: IO[bytes], path: bytes, name: str, limits: Limits) -> FileContent:
    before = _settled(file.fileno(), name)
    if not stat.S_ISREG(before.st_mode):
        raise DecodeError(name, "Unreadable", "not a regular file")
    if before.st_size == 0:
        raise DecodeError(name, "Empty", "the file is empty")
    if before.st_size > limits.max_bytes:
        reason = f"{before.st_size:,} bytes, more than the limit of {limits.max_bytes:,}"
        raise DecodeError(name, "TooLarge", reason)
    head = os.pread(file.fileno(), formats.HEAD_SIZE, 0)
    refusal = formats.refusal(head, formats.extension(path))
    if refusal is not None:
        raise DecodeError(name, "UnsupportedFormat", refusal)
    data = file.read(before.st_size)
    after = os.fstat(file.fileno())
    if len(data) != before.st_size or _changed(before, after):
        raise DecodeError(name, "ChangedWhileRead", "the file changed while it was read")
    return FileContent(data, len(data), before.st_mtime_ns, image_id_of(data))


def _settled(descriptor: int, name: str) -> os.stat_result:
    """Return the file's status once nobody has written for a tick, so that the next change will show.

    Raises:
        DecodeError: somebody goes on writing.
    """
    for _ in range(_LOOKS):
        status = os.fstat(descriptor)
        # A write sets the time before it copies the bytes, and two in the same tick get the same time.
        if abs(time.time_ns() - status.st_ctime_ns) >= _TICK_NS:
            return status
        time.sleep(_TICK_NS / 1e9)
    raise DecodeError(name, "ChangedWhileRead", "another program is writing the file")


def _changed(before: os.stat_result, after: os.stat_result) -> bool:
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        return True
    # Programs set the modification time back, but not this one; losing its name changes it too.
    return after.st_ctime_ns != before.st_ctime_ns and after.st_nlink == before.st_nlink


def _decode(content: FileContent, name: str, limits: Limits, enough: int | None) -> DecodedImage:
    image = Image.open(io.BytesIO(content.data), formats=formats.PILLOW_FORMATS)
    if image.width * image.height > limits.max_pixels:
        reason = f"{image.width} x {image.height} pixels, more than the limit of {limits.max_pixels:,}"
        raise DecodeError(name, "TooManyPixels", reason)
    if isinstance(image, TiffImagePlugin.TiffImageFile) and _previews_a_raw(image):
        raise DecodeError(name, "UnsupportedFormat", formats.advice("camera raw"))
    whole = _shrink_on_load(image, enough) if enough is not None else None
    image.load()
    photo = photo_data(image)
    lay_on_its_side = _turn_upright(image)
    width, height = image.size if whole is None else whole[::-1] if lay_on_its_side else whole
    info = ImageInfo(
        image_id=content.image_id,
        size=content.size,
        width=width,
        height=height,
        format=image.format or "",
        taken_at=photo.taken_at,
        camera_make=photo.camera_make,
        camera_model=photo.camera_model,
    )
    return DecodedImage(info, _to_rgb(image))


def _previews_a_raw(image: TiffImagePlugin.TiffImageFile) -> bool:
    # A raw under a TIFF's name: its first picture is a thumbnail, the raw data lie in a sub-directory.
    tags = image.tag_v2
    subfile_type = tags.get(ExifTags.Base.NewSubfileType)
    is_thumbnail = isinstance(subfile_type, int) and bool(subfile_type & _REDUCED)
    return ExifTags.Base.DNGVersion in tags or (is_thumbnail and ExifTags.Base.SubIFDs in tags)


def _shrink_on_load(image: Image.Image, enough: int) -> tuple[int, int] | None:
    """Return the whole size when less of it is to be decoded."""
    whole = image.size
    for scale in _SCALES:
        part = (image.width // scale, image.height // scale)
        if part[0] * part[1] >= enough:
            image.draft(None, part)  # does nothing but to JPEG
            break
    return whole if image.size != whole else None


def _turn_upright(image: Image.Image) -> bool:
    """Return whether width and height change places."""
    sideways = False
    try:
        sideways = image.getexif().get(ExifTags.Base.Orientation) in _SIDEWAYS
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise  # here the orientation was known
    except Exception:  # noqa: BLE001, S110 - EXIF too broken to name an orientation must not lose the picture
        pass
    return sideways


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        # A copy costs 33 ms at 12 MP, beside 53 to decode; but WebP's decoder clings to two more canvases.
        return image.copy() if image.format == "WEBP" else image
    if image.mode.startswith("I;16"):
        high_bytes = (np.asarray(image) >> 8).astype(np.uint8)
        return Image.fromarray(high_bytes).convert("RGB")
    if image.mode in {"I", "F"}:
        return Image.fromarray(_stretch(np.asarray(image, dtype=np.float64))).convert("RGB")
    return image.convert("RGB")


def _stretch(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return uint8 (H, W), least finite value 0, greatest 255; all 0 when there are not two; NaN is 0."""
    finite = values[np.isfinite(values)]
    if finite.size == 0 or finite.min() == finite.max():
        return np.zeros(values.shape, dtype=np.uint8)
    low, high = finite.min(), finite.max()
    bounded = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
    levels: NDArray[np.uint8] = np.rint((bounded - low) * (255 / (high - low))).astype(np.uint8)
    return levels


def _explain(error: Exception, data: bytes) -> tuple[str, str]:
    """Return the kind and the reason."""
    text = _one_line(str(error)) or type(error).__name__
    if isinstance(error, Image.DecompressionBombError):
        return "TooManyPixels", text
    if isinstance(error, MemoryError):
        return "OutOfMemory", "not enough memory to decode the image"
    if isinstance(error, UnidentifiedImageError):
        found = formats.identify(data[: formats.HEAD_SIZE])
        if found is None:
            return "NotAnImage", "the content is no image"
        text = f"it begins like {found}, but its header is broken or of an unknown variant"
    if isinstance(error, NotImplementedError) or text.startswith("Unsupported"):
        return "UnsupportedFormat", text
    if text.startswith("decoder error"):
        text = f"the data are broken ({text})"
    return "Truncated" if "truncated" in text.lower() or formats.cut_short(data) else "Corrupt", text


def _one_line(text: str) -> str:
    """Return text that Postgres stores and a log shows on one line."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_MAX_REASON]
