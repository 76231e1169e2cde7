"""Camera raws, through LibRaw: the camera's own preview, or else the developed raw data."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from imrec_pg.images import formats
from imrec_pg.images.exif import NOTHING, PhotoData, photo_data, photo_data_of_tiff
from imrec_pg.images.pixels import shrink_on_load, turn_upright, turned

if TYPE_CHECKING:
    from rawpy import RawPy

# The model's square is cut from a picture whose shorter side is at least this long (docs/adr/0011).
_PREVIEW_SIDE = 512
# From LibRaw's flip to the EXIF orientation that means the same.
_ORIENTATIONS = {3: 3, 5: 8, 6: 6}
_SIDEWAYS = {5, 6}


@dataclass(frozen=True, slots=True, eq=False)
class Developed:
    """A raw as a person sees it.

    Attributes:
        pixels: upright; mode RGB, or L from a monochrome camera.
        size: width and height of the whole picture, upright.
    """

    pixels: Image.Image
    size: tuple[int, int]
    photo: PhotoData


def develop(data: bytes, enough: int | None, check_size: Callable[[int, int], None]) -> Developed:
    """Return the preview if it is large enough, else the developed raw data (docs/adr/0015).

    Raw data are developed with the camera's white balance, at half the sides if that leaves enough pixels.
    check_size is called with each width and height before that many pixels are decoded.

    Raises:
        NotImplementedError: LibRaw does not know the camera.
        UnidentifiedImageError: this is not a raw.
        MemoryError, OSError: it is too large, or broken; and whatever check_size raises.
    """
    import rawpy

    try:
        return _develop(data, enough, check_size)
    except (rawpy.LibRawFileUnsupportedError, rawpy.LibRawIOError) as error:
        if formats.identify(data[: formats.HEAD_SIZE]) is None:
            raise UnidentifiedImageError from error
        if isinstance(error, rawpy.LibRawIOError):
            raise OSError("truncated: data that the header promises are missing") from error
        raise NotImplementedError("LibRaw finds no raw data that it can read") from error
    except rawpy.LibRawUnsufficientMemoryError as error:
        raise MemoryError from error
    except rawpy.LibRawError as error:  # its text is bytes
        text = error.args[0] if error.args else b""
        raise OSError(text.decode("ascii", "replace") if isinstance(text, bytes) else text) from error


def _develop(data: bytes, enough: int | None, check_size: Callable[[int, int], None]) -> Developed:
    import rawpy

    with rawpy.imread(io.BytesIO(data)) as raw:
        sizes = raw.sizes
        check_size(sizes.raw_width, sizes.raw_height)
        preview = _preview(raw)
        photo = photo_data_of_tiff(data)
        if photo == NOTHING and preview is not None:
            photo = photo_data(preview)
        pixels = None
        if preview is not None and min(preview.size) >= _PREVIEW_SIDE:
            check_size(*preview.size)
            pixels = _decoded(preview, _ORIENTATIONS.get(sizes.flip, 1), enough)
        if pixels is None:
            half = enough is not None and sizes.width * sizes.height // 4 >= enough
            pixels = _image_of(raw.postprocess(use_camera_wb=True, half_size=half))
    size = (sizes.width, sizes.height)
    return Developed(pixels, size[::-1] if sizes.flip in _SIDEWAYS else size, photo)


def _preview(raw: "RawPy") -> Image.Image | None:
    """Return the largest preview, not yet decoded."""
    import rawpy

    try:
        preview = raw.extract_thumb()
        if isinstance(preview.data, bytes):
            return Image.open(io.BytesIO(preview.data), formats=("JPEG",))
        return _image_of(preview.data)
    # There is no preview, or none that can be read: the raw data remain.
    except (rawpy.LibRawError, NotImplementedError, OSError, SyntaxError, ValueError):
        return None


def _decoded(preview: Image.Image, orientation: int, enough: int | None) -> Image.Image | None:
    """Return the preview upright, or None if it is broken; without EXIF the raw's orientation counts."""
    try:
        if enough is not None:
            shrink_on_load(preview, enough)
        preview.load()
    except (OSError, SyntaxError, ValueError):
        return None
    if _has_orientation(preview):
        turn_upright(preview)
        return preview
    return turned(preview, orientation)


def _has_orientation(preview: Image.Image) -> bool:
    try:
        return ExifTags.Base.Orientation in preview.getexif()
    except Exception:  # noqa: BLE001 - Pillow's parser fails in many ways, but the picture is fine
        return False


def _image_of(pixels: NDArray[np.uint8]) -> Image.Image:
    """Return uint8 (H, W, 3), or (H, W, 1) from a monochrome camera, as a picture."""
    return Image.fromarray(pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels)  # noqa: PLR2004
