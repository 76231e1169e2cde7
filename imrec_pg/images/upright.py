"""The right way up, as EXIF's orientation says."""

from PIL import ExifTags, Image, ImageOps

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


def turn_upright(image: Image.Image) -> bool:
    """Turn a loaded picture as its EXIF says; return whether width and height change places."""
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
    """Return a picture without EXIF of its own turned as an orientation says that stands elsewhere."""
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)
