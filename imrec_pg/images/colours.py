"""One way from every kind of colour to 8-bit RGB."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Floats are stretched in bands of so many pixels: all of 200 million at once took 8 GB.
_BAND = 4_000_000


def to_rgb(image: Image.Image) -> Image.Image:
    """Return a loaded picture in mode RGB, perhaps the same object.

    8-bit modes go by Pillow's convert("RGB"), as in the seed; it drops alpha, and colour profiles are not
    applied. 16-bit grey keeps its high byte, as Pillow does with 16-bit colour; convert("RGB") would turn all
    but its darkest 256 levels white. 32-bit integers and floats, which have no agreed white, are stretched
    from their least to their greatest finite value. docs/guide.md has the whole table.
    """
    if image.mode == "RGB":
        # A copy costs 33 ms at 12 MP, beside 53 to decode; but WebP's decoder clings to two more canvases.
        return image.copy() if image.format == "WEBP" else image
    if image.mode.startswith("I;16"):
        high_bytes = (np.asarray(image) >> 8).astype(np.uint8)
        return Image.fromarray(high_bytes).convert("RGB")
    if image.mode in {"I", "F"}:
        return Image.fromarray(_stretched(np.asarray(image))).convert("RGB")
    return image.convert("RGB")


def _stretched(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return uint8 (H, W), least finite value 0, greatest 255; all 0 when there are not two; NaN is 0."""
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
