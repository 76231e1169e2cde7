"""Read and decode image files: whatever a file holds, the outcome is a picture or a DecodeError.

The kinds of DecodeError:
    Vanished, Unreadable, ChangedWhileRead, OutOfMemory, DecoderMissing: of the moment; the same file may
        decode next time.
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

# The plugins are imported by name, else the first WebP or TIFF makes Pillow load all 47 of them.
from PIL import ExifTags, Image, TiffImagePlugin
from PIL import WebPImagePlugin as _WebPImagePlugin  # noqa: F401

from imrec_pg.errors import DecodeError
from imrec_pg.images import decoders, formats, memory
from imrec_pg.images.colours import to_rgb
from imrec_pg.images.exif import PhotoData, photo_data
from imrec_pg.images.explain import explain, one_line
from imrec_pg.images.jpeg import shrink_on_load
from imrec_pg.images.silence import silence
from imrec_pg.images.sizes import Sizes
from imrec_pg.images.upright import turn_upright
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

# File systems give times from a clock that ticks up to 100 times a second.
_TICK_NS = 20_000_000
_LOOKS = 25
_REDUCED = 1  # a bit of TIFF's NewSubfileType
# These decoders write to stderr on their own.
_CHATTY = {"TIFF", "HEIC", "AVIF"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What is refused.

    Attributes:
        max_bytes: the largest file.
        max_pixels: width times height, checked before the pixels are decoded; beyond MAX_PIXELS is
            refused whatever is said here.
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
        raise DecodeError(name, kind, one_line(error.strerror or str(error))) from error
    except ValueError as error:  # a NUL in the path
        raise DecodeError(name, "Unreadable", one_line(str(error))) from error
    except MemoryError as error:
        raise DecodeError(name, "OutOfMemory", "not enough memory to read the file") from error


def decode(
    content: FileContent, path_for_messages: str, limits: Limits = DEFAULT_LIMITS, enough: int | None = None
) -> DecodedImage:
    """Return the picture; the extension of path_for_messages tells camera raws from TIFF.

    Where enough pixels, as many as that says, are left, a JPEG is decoded at a half, a quarter or an eighth
    of its sides, and a camera raw without a large preview developed at a half: which takes a half of the
    time or less. Other formats always come whole. How colours become RGB: see to_rgb.

    Threads of one process take turns (see silence); processes decode in parallel.

    Raises:
        DecodeError: and nothing else, for any content.
    """
    head = content.data[: formats.HEAD_SIZE]
    found = formats.recognise(head, formats.extension(path_for_messages.encode("utf-8", "replace")))
    _check_decoder(found, path_for_messages)
    sizes = Sizes(path_for_messages, min(limits.max_pixels, MAX_PIXELS))
    try:
        with silence(native=found in _CHATTY or formats.is_raw(found)):
            return _decode(content, found, sizes, enough)
    except DecodeError:
        raise
    except Exception as error:  # decoders raise a dozen kinds, and a bug in one must cost one file
        kind, reason = explain(error, content.data)
        if kind in {"Corrupt", "Truncated"} and memory.is_short(sizes.most):
            kind, reason = "OutOfMemory", f"not enough memory to decode the image ({reason})"
        raise DecodeError(path_for_messages, kind, reason) from error


def _check_decoder(found: str | None, name: str) -> None:
    refusal = decoders.refusal(found)
    if refusal is not None:
        raise DecodeError(name, refusal.kind, refusal.reason)


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
    _check_decoder(formats.recognise(head, formats.extension(path)), name)
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


def _decode(content: FileContent, found: str | None, sizes: Sizes, enough: int | None) -> DecodedImage:
    if found is not None and formats.is_raw(found):
        return _develop(content, found, sizes, enough)
    image = _open(content.data, found, sizes)
    sizes.check(image.width, image.height)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        hidden = _raw_behind(image)
        if hidden is not None:
            _check_decoder(hidden, sizes.name)
            return _develop(content, hidden, sizes, enough)
    whole = shrink_on_load(image, enough) if enough is not None else None
    image.load()
    sizes.check(image.width, image.height)  # a HEIC's header may claim another size than its pictures have
    photo = photo_data(image)
    lay_on_its_side = turn_upright(image)
    size = image.size if whole is None else whole[::-1] if lay_on_its_side else whole
    return DecodedImage(_info(content, size, image.format or "", photo), to_rgb(image))


def _open(data: bytes, found: str | None, sizes: Sizes) -> Image.Image:
    match found:
        case "HEIC":
            return decoders.open_heic(data)
        case "AVIF":
            return decoders.open_avif(data)
        case "WEBP":
            # Its decoder makes two canvases at once, before anybody can ask how large they are.
            sizes.check(*formats.webp_size(data))
    return Image.open(io.BytesIO(data), formats=formats.PILLOW_FORMATS)


def _develop(content: FileContent, found: str, sizes: Sizes, enough: int | None) -> DecodedImage:
    from imrec_pg.images import raw  # noqa: PLC0415 - few libraries hold raws

    developed = raw.develop(content.data, enough, sizes.check)
    return DecodedImage(_info(content, developed.size, found, developed.photo), to_rgb(developed.pixels))


def _info(content: FileContent, size: tuple[int, int], name: str, photo: PhotoData) -> ImageInfo:
    return ImageInfo(
        image_id=content.image_id,
        size=content.size,
        width=size[0],
        height=size[1],
        format=name,
        taken_at=photo.taken_at,
        camera_make=photo.camera_make,
        camera_model=photo.camera_model,
    )


def _raw_behind(image: TiffImagePlugin.TiffImageFile) -> str | None:
    """Return the format of a raw under a TIFF's name.

    Its first picture is a thumbnail, the raw data lie in a sub-directory.
    """
    tags = image.tag_v2
    if ExifTags.Base.DNGVersion in tags:
        return "DNG"
    subfile_type = tags.get(ExifTags.Base.NewSubfileType)
    is_thumbnail = isinstance(subfile_type, int) and bool(subfile_type & _REDUCED)
    return "RAW" if is_thumbnail and ExifTags.Base.SubIFDs in tags else None
