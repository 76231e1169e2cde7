"""Decode the content of image files: the result is a picture or a DecodeError, whatever the content is."""

import io
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

# The plugins are imported by name, else the first WebP or TIFF makes Pillow load all 47 of them.
from PIL import ExifTags, Image, ImageFile, TiffImagePlugin
from PIL import WebPImagePlugin as _WebPImagePlugin  # noqa: F401

from imrec_pg.errors import DecodeError
from imrec_pg.images import decoders, exif, formats
from imrec_pg.images.content import DEFAULT_LIMITS, MAX_PIXELS, FileContent, Limits
from imrec_pg.images.decode_errors import explain
from imrec_pg.images.exif import PhotoData, photo_data
from imrec_pg.images.pixels import shrink_on_load, to_rgb, turn_upright
from imrec_pg.records import ImageInfo

# Pillow's own limit is one global of the process, and it raises at twice that limit. Set once, here: changing
# it around each decode would race between threads. Its default, 89 million, refuses photos of large phones.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2

_REDUCED = 1  # a bit of TIFF's NewSubfileType
# These decoders write to stderr on their own.
_CHATTY = {"TIFF", "HEIC", "AVIF"}
# Both the warning filters and file descriptor 2 belong to the whole process, so threads take turns.
_TURN = threading.Lock()


@dataclass(frozen=True, slots=True, eq=False)
class DecodedImage:
    """A picture as a person sees it.

    Attributes:
        pixels: mode RGB, EXIF orientation applied, the first frame of several; smaller than info says if
            the caller asked for less.
    """

    info: ImageInfo
    pixels: Image.Image


@dataclass(slots=True)
class _SizeLimit:
    """Checks the sizes that a file's headers claim, before that many pixels are decoded.

    Attributes:
        name: the file, for messages.
        limit: of width times height.
        most: pixels of the largest so far.
    """

    name: str
    limit: int
    most: int = 0

    def check(self, width: int, height: int) -> None:
        """Note one size.

        Raises:
            DecodeError: it is over the limit.
        """
        self.most = max(self.most, width * height)
        if width * height > self.limit:
            reason = f"{width} x {height} pixels, more than the limit of {self.limit:,}"
            raise DecodeError(self.name, "TooManyPixels", reason)


def decode(
    content: FileContent, path_for_messages: str, limits: Limits = DEFAULT_LIMITS, enough: int | None = None
) -> DecodedImage:
    """Return the picture; the extension of path_for_messages tells camera raws from TIFF.

    With enough, a number of pixels, a JPEG is decoded at a half, a quarter or an eighth of its sides as long
    as that many remain, and a camera raw without a large preview is developed at a half. That takes half the
    time or less. Other formats always decode whole. How colours become RGB: see to_rgb.

    Threads of one process take turns (see silence); processes decode in parallel.

    Raises:
        DecodeError: and nothing else, for any content.
    """
    head = content.data[: formats.HEAD_SIZE]
    found = formats.recognise(head, formats.extension(path_for_messages.encode("utf-8", "replace")))
    decoders.check(found, path_for_messages)
    sizes = _SizeLimit(path_for_messages, min(limits.max_pixels, MAX_PIXELS))
    try:
        with silence(native=found in _CHATTY or formats.is_raw(found)):
            return _decode(content, found, sizes, enough, accept_truncated=limits.accept_truncated)
    except DecodeError:
        raise
    except Exception as error:  # decoders raise a dozen kinds, and a bug in one must cost one file
        raise DecodeError(path_for_messages, *explain(error, content.data, sizes.most)) from error


@contextmanager
def silence(*, native: bool) -> Iterator[None]:
    """Ignore Python's warnings, and with native discard stderr too, where a progress bar is.

    Pillow warns of odd metadata in pictures that are fine. Native libraries write past Python and Pillow:
    libtiff prints a line for each line of some fax scans, and LibRaw names each truncated file. Log lines of
    other threads are lost meanwhile.
    """
    with _TURN, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if native:
            with _stderr_discarded():
                yield
        else:
            yield


@contextmanager
def _stderr_discarded() -> Iterator[None]:
    try:
        kept = os.dup(2)
    except OSError:  # a service may run without stderr
        yield
        return
    try:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 2)
        os.close(nothing)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _decode(
    content: FileContent,
    found: str | None,
    sizes: _SizeLimit,
    enough: int | None,
    *,
    accept_truncated: bool,
) -> DecodedImage:
    if found is not None and formats.is_raw(found):
        return _develop(content, found, sizes, enough)
    image = _open(content.data, found, sizes)
    sizes.check(image.width, image.height)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        hidden = _raw_behind(image)
        if hidden is not None:
            decoders.check(hidden, sizes.name)
            return _develop(content, hidden, sizes, enough)
    whole = shrink_on_load(image, enough) if enough is not None else None
    truncated = _load(image, accept_truncated=accept_truncated and found == "JPEG")
    sizes.check(image.width, image.height)  # a HEIC's header may claim another size than its pictures have
    photo = photo_data(image)
    sideways = turn_upright(image)
    size = image.size if whole is None else whole[::-1] if sideways else whole
    info = replace(_info(content, size, image.format or "", photo), truncated=truncated)
    return DecodedImage(info, to_rgb(image))


def _load(image: Image.Image, *, accept_truncated: bool) -> bool:
    """Decode a picture; return whether its end is missing, which is grey then."""
    try:
        image.load()
    except OSError as error:
        if not (accept_truncated and "truncated" in str(error)):
            raise
    else:
        return False
    # A setting of the whole process, but threads take turns here (see silence).
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        image.load()
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False
    return True


def _open(data: bytes, found: str | None, sizes: _SizeLimit) -> Image.Image:
    match found:
        case "HEIC":
            return decoders.open_heic(data)
        case "AVIF":
            return decoders.open_avif(data)
        case "WEBP":
            # Its decoder makes two canvases on opening, before anyone can ask how large they are.
            sizes.check(*formats.webp_size(data))
    if found in formats.SINGLE_FORMATS:
        return decoders.open_single(data, found)
    return Image.open(io.BytesIO(data), formats=formats.PILLOW_FORMATS)


def _develop(content: FileContent, found: str, sizes: _SizeLimit, enough: int | None) -> DecodedImage:
    from imrec_pg.images import raw

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
        version=exif.VERSION,
    )


def _raw_behind(image: TiffImagePlugin.TiffImageFile) -> str | None:
    """Return the format of a camera raw whose name and signature are TIFF's.

    Its first picture is a thumbnail; the raw data are in a sub-directory.
    """
    tags = image.tag_v2
    if ExifTags.Base.DNGVersion in tags:
        return "DNG"
    subfile_type = tags.get(ExifTags.Base.NewSubfileType)
    is_thumbnail = isinstance(subfile_type, int) and bool(subfile_type & _REDUCED)
    return "RAW" if is_thumbnail and ExifTags.Base.SubIFDs in tags else None
