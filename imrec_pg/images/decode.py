"""Decode the content of image files: whatever it is, the outcome is a picture or a DecodeError."""

import io
from dataclasses import dataclass

# The plugins are imported by name, else the first WebP or TIFF makes Pillow load all 47 of them.
from PIL import ExifTags, Image, TiffImagePlugin
from PIL import WebPImagePlugin as _WebPImagePlugin  # noqa: F401

from imrec_pg.errors import DecodeError
from imrec_pg.images import decoders, exif, formats, memory
from imrec_pg.images.colours import to_rgb
from imrec_pg.images.content import DEFAULT_LIMITS, MAX_PIXELS, FileContent, Limits
from imrec_pg.images.exif import PhotoData, photo_data
from imrec_pg.images.explain import explain
from imrec_pg.images.jpeg import shrink_on_load
from imrec_pg.images.silence import silence
from imrec_pg.images.sizes import Sizes
from imrec_pg.images.upright import turn_upright
from imrec_pg.records import ImageInfo

# Pillow's own limit is one global of the process, and its error comes at twice that: set once, here, since to
# change it around each decode would race between threads. Its default, 89 million, refuses those phones.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2

_REDUCED = 1  # a bit of TIFF's NewSubfileType
# These decoders write to stderr on their own.
_CHATTY = {"TIFF", "HEIC", "AVIF"}


@dataclass(frozen=True, slots=True, eq=False)
class DecodedImage:
    """A picture as a person sees it.

    Attributes:
        pixels: mode RGB, EXIF orientation applied, the first frame of several; smaller than info says where
            the caller asked for less.
    """

    info: ImageInfo
    pixels: Image.Image


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
    decoders.check(found, path_for_messages)
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


def _decode(content: FileContent, found: str | None, sizes: Sizes, enough: int | None) -> DecodedImage:
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
    """Return the format of a raw under a TIFF's name.

    Its first picture is a thumbnail, the raw data lie in a sub-directory.
    """
    tags = image.tag_v2
    if ExifTags.Base.DNGVersion in tags:
        return "DNG"
    subfile_type = tags.get(ExifTags.Base.NewSubfileType)
    is_thumbnail = isinstance(subfile_type, int) and bool(subfile_type & _REDUCED)
    return "RAW" if is_thumbnail and ExifTags.Base.SubIFDs in tags else None
