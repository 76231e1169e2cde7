"""Which decoders are installed: HEIC, AVIF and camera raws need extras that may be missing."""

import importlib
import io
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from PIL import Image, features

from imrec_pg.errors import DecodeError
from imrec_pg.images import formats

# By name: else the first of these would make Pillow load all 47 of its plugins.
_PLUGINS = {
    "TGA": "Tga",
    "PCX": "Pcx",
    "PPM": "Ppm",
    "ICO": "Ico",
    "DDS": "Dds",
    "PSD": "Psd",
    "JPEG2000": "Jpeg2K",
    "QOI": "Qoi",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a file is not tried at all: the kind of a DecodeError, and what to do about it."""

    kind: str
    reason: str


def refusal(name: str | None) -> Refusal | None:
    """Return why files of a format are not read, or None if decoding is worth a try."""
    if name is None or name in formats.PILLOW_FORMATS:
        return None
    if name in formats.SINGLE_FORMATS:
        # Of these only JPEG 2000 needs a library, which Pillow's wheels have.
        return _missing(
            "JPEG 2000 images need a Pillow with OpenJPEG",
            "--force-reinstall pillow",
            here=name != "JPEG 2000" or bool(features.check("jpg_2000")),
        )
    if name == "HEIC":
        return _missing("HEIC images need pillow-heif", "'imrec-pg[heif]'", here=_is_installed("pillow_heif"))
    if name == "AVIF":
        # Pillow's wheels have it; a Linux distribution's Pillow may not.
        return _missing(
            "AVIF images need a Pillow with AVIF",
            "--force-reinstall pillow",
            here=bool(features.check("avif")),
        )
    if formats.is_raw(name):
        return _missing(f"camera raws ({name}) need rawpy", "'imrec-pg[raw]'", here=_is_installed("rawpy"))
    return Refusal("UnsupportedFormat", f"imrec-pg does not read {name} images yet; convert them to JPEG")


def check(found: str | None, name: str) -> None:
    """Check that files of this format are worth a try; name is the file, for messages.

    Raises:
        DecodeError: the format is not read, or its decoder is not installed.
    """
    refused = refusal(found)
    if refused is not None:
        raise DecodeError(name, refused.kind, refused.reason)


def load() -> None:
    """Load all decoders that are installed, which otherwise load with the first file of their format."""
    Image.init()
    # ImageCms turns CIELAB into RGB; multiprocessing comes with the first array of rawpy.
    for module in (
        "imrec_pg.images.raw",
        "PIL.ImageCms",
        "multiprocessing.reduction",
        "pillow_heif",
        "rawpy",
    ):
        if _is_installed(module):
            importlib.import_module(module)


def open_heic(data: bytes) -> Image.Image:
    """Return the primary picture, not yet decoded; libheif turns it upright and adapts its EXIF."""
    import pillow_heif

    # One core a file: the workers share the cores.
    pillow_heif.options.DECODE_THREADS = 1
    return pillow_heif.HeifImageFile(io.BytesIO(data))  # type: ignore[no-untyped-call] # it has no annotations


def open_avif(data: bytes) -> Image.Image:
    """Return the first picture, not yet decoded; its EXIF says how to turn it upright."""
    from PIL import AvifImagePlugin

    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    return AvifImagePlugin.AvifImageFile(io.BytesIO(data))


def open_single(data: bytes, name: str) -> Image.Image:
    """Return a picture of a format that only its own decoder is asked for, not yet decoded."""
    pillow = formats.SINGLE_FORMATS[name]
    import_module(f"PIL.{_PLUGINS[pillow]}ImagePlugin")
    return Image.open(io.BytesIO(data), formats=(pillow,))


def _is_installed(module: str) -> bool:
    return find_spec(module) is not None


def _missing(what: str, package: str, *, here: bool) -> Refusal | None:
    if here:
        return None
    return Refusal("DecoderMissing", f"{what}: pip install {package}, then retry")
