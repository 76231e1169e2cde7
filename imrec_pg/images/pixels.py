"""From a decoder's pixels to an upright picture in 8-bit RGB."""

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

# Floats are stretched in bands of this many pixels: all of 200 million at once took 8 GB.
_BAND = 4_000_000
_SCALES = (8, 4, 2)
_SIDEWAYS = {5, 6, 7, 8}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def shrink_on_load(image: Image.Image, enough: int) -> tuple[int, int] | None:
    """Let a JPEG decode at a half, a quarter or an eighth of its sides, if that leaves enough pixels.

    libjpeg computes the smaller picture from fewer coefficients. Returns the whole size if less of it will
    be decoded, else None; other formats always decode whole.
    """
    whole = image.size
    # A HEIC would decode an embedded thumbnail instead.
    if image.format not in {"JPEG", "MPO"}:
        return None
    for scale in _SCALES:
        part = (image.width // scale, image.height // scale)
        if part[0] * part[1] >= enough:
            image.draft(None, part)
            break
    return whole if image.size != whole else None


def turn_upright(image: Image.Image) -> bool:
    """Turn a loaded picture as its EXIF says; return whether width and height swapped."""
    sideways = False
    try:
        sideways = image.getexif().get(ExifTags.Base.Orientation) in _SIDEWAYS
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise  # here the orientation was known
    except Exception:  # noqa: BLE001, S110 - EXIF too broken to name an orientation must not lose the picture
        pass
    return sideways


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """Return a picture that has no EXIF of its own, turned by an EXIF orientation from elsewhere."""
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def to_rgb(image: Image.Image) -> Image.Image:
    """Return a loaded picture in mode RGB, perhaps the same object.

    8-bit modes go through Pillow's convert("RGB"), as in the seed: alpha is dropped, and colour profiles are
    not applied. 16-bit grey keeps its high byte, as Pillow does with 16-bit colour; convert("RGB") would turn
    all but its darkest 256 levels white. 32-bit integers and floats, which have no agreed white, are
    stretched from their least to their greatest finite value. The guide has the whole table.
    """
    if image.mode == "RGB":
        # A copy costs 33 ms at 12 MP, beside 53 to decode; but WebP's decoder keeps two more canvases alive.
        return image.copy() if image.format == "WEBP" else image
    if image.mode.startswith("I;16"):
        high_bytes = (np.asarray(image) >> 8).astype(np.uint8)
        return Image.fromarray(high_bytes).convert("RGB")
    if (
        image.mode == "I" and image.format == "PPM"
    ):  # Pillow stretches a PPM of 9 bits and more to 16, and has it in 32
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in {"I", "F"}:
        return Image.fromarray(_stretched(np.asarray(image))).convert("RGB")
    return image.convert("RGB")


def _stretched(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return uint8 (H, W): the least finite value is 0, the greatest 255, NaN 0; all 0 if both are equal."""
    levels = np.zeros(values.shape, dtype=np.uint8)
    rows = max(1, _BAND // values.shape[1])
    bands = [slice(start, start + rows) for start in range(0, values.shape[0], rows)]
    finite = [part for part in (_finite(values[band]) for band in bands) if part is not None]
    if not finite:
        return levels
    low, high = min(part[0] for part in finite), max(part[1] for part in finite)
    if low < high:
        for band in bands:
            exact = np.nan_to_num(values[band].astype(np.float64), nan=low, posinf=high, neginf=low)
            levels[band] = np.rint((exact - low) * (255 / (high - low)))
    return levels


def _finite(values: NDArray[np.generic]) -> tuple[float, float] | None:
    """Return the least and the greatest finite value."""
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else None
