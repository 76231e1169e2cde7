"""Many distinct photos of one size, made from a few real ones: the same arguments make the same files.

Each is a random cut of a source, mirrored or not, resized, with its brightness, contrast and saturation
changed, and grain added as a sensor does: enlarged sources would else decode faster than real photos do.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps, UnidentifiedImageError

from benchmarks.measure import bar
from imrec_pg.errors import UsageError

SMALL: Final = (548, 365)
"""0.2 megapixels."""
LARGE: Final = (4000, 3000)
"""12 megapixels."""

_ENDINGS = {".jpg", ".jpeg", ".png"}
_MOST_SOURCES = 500
_QUALITY = 88
_GRAIN = 4.0
# Photographs inside the scikit-image wheel; examples/demo_photos.py tells of their licences.
_SHIPPED = (
    "astronaut.png",
    "brick.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "moon.png",
    "motorcycle_left.png",
    "motorcycle_right.png",
    "retina.jpg",
    "rocket.jpg",
)


def sources(folder: Path | None) -> list[Path]:
    """Return the photos to make others from: those below the folder, or those of scikit-image.

    Raises:
        UsageError: there are none.
    """
    usable = [path for path in candidates(folder) if _opens(path)]
    if not usable:
        raise UsageError(f"--photos {folder} holds no JPEG or PNG that can be read")
    return usable


def candidates(folder: Path | None) -> list[Path]:
    """Return up to 1,000 names of photos below the folder, readable or not, or those of scikit-image.

    Raises:
        UsageError: no folder is named, and scikit-image is not installed.
    """
    if folder is None:
        return _shipped()
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _ENDINGS)
    # Spread over the whole folder, whose beginning may be all of one day.
    return found[:: max(1, len(found) // _MOST_SOURCES)]


def make(
    folder: Path, from_sources: Sequence[Path], number: int, size: tuple[int, int], *, first: int = 0
) -> list[Path]:
    """Return the JPEGs numbered first to first + number - 1 of a size, written into a new folder."""
    folder.mkdir(parents=True)
    paths = [folder / f"{first + position:06d}.jpg" for position in range(number)]

    def write(position: int) -> None:
        rng = np.random.default_rng([first + position, *size])
        source = from_sources[int(rng.integers(len(from_sources)))]
        _altered(source, size, rng).save(paths[position], "JPEG", quality=_QUALITY)

    # Threads: Pillow lets go of Python's lock while it decodes, resizes and encodes.
    shown = bar(number, f"photos of {size[0]} x {size[1]}")
    with ThreadPoolExecutor(os.cpu_count()) as pool, shown:
        for _ in pool.map(write, range(number)):
            shown.update()
    return paths


def _altered(source: Path, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    with Image.open(source) as image:
        image.draft("RGB", size)
        photo = image.convert("RGB")
    share = float(rng.uniform(0.6, 1.0))
    width, height = max(1, int(photo.width * share)), max(1, int(photo.height * share))
    left = int(rng.integers(photo.width - width + 1))
    top = int(rng.integers(photo.height - height + 1))
    photo = photo.resize(size, Image.Resampling.BICUBIC, box=(left, top, left + width, top + height))
    if rng.random() < 0.5:  # noqa: PLR2004 - every other one
        photo = ImageOps.mirror(photo)
    for enhancer in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        photo = enhancer(photo).enhance(float(rng.uniform(0.7, 1.3)))
    return Image.fromarray(_grainy(np.asarray(photo), rng))


def _grainy(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    # A small tile repeated: 36 million random numbers take longer than all the rest.
    tile = (_GRAIN * rng.standard_normal((256, 256, 3), dtype=np.float32)).astype(np.int16)
    grain = np.tile(tile, (-(-height // 256), -(-width // 256), 1))[:height, :width]
    noisy: NDArray[np.uint8] = np.clip(pixels + grain, 0, 255).astype(np.uint8)
    return noisy


def _opens(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            image.verify()
    except (OSError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError):
        return False
    return True


def _shipped() -> list[Path]:
    try:
        with as_file(files("skimage") / "data") as folder:
            found = [folder / name for name in _SHIPPED if (folder / name).is_file()]
    except ModuleNotFoundError:
        found = []
    if not found:
        raise UsageError(
            "no photos to make others from: give a folder with --photos, or pip install 'imrec-pg[bench]'"
        )
    return found
