"""JPEG's short cut: libjpeg computes a smaller picture from fewer coefficients."""

from PIL import Image

_SCALES = (8, 4, 2)


def shrink_on_load(image: Image.Image, enough: int) -> tuple[int, int] | None:
    """Have a half, a quarter or an eighth of the sides decoded where so many pixels are left.

    Returns the whole size when less of it is to be decoded; other formats always come whole.
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
