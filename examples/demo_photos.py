"""Fill a folder with real photos and altered copies of them: ``python examples/demo_photos.py FOLDER``.

FOLDER/originals/ gets the photos as they are, FOLDER/altered/ their crops, halves, bad JPEGs, brightened and
mirrored copies, so that a search has something to find. Files already there are left alone: a second ingest
finds every photo unchanged.

The photos are those inside the scikit-image wheel (skimage/data/); nothing is downloaded. The README.txt
there states no licence; scikit-image documents each picture in skimage/data/_fetchers.py instead:

- CC0: brick, camera (Lav Varshney), chelsea (Stefan van der Walt), coffee (Rachel Michetti), grass, gravel,
  retina (Mikael Häggström).
- Public domain: astronaut and hubble_deep_field (NASA), rocket (SpaceX).
- "No known copyright restrictions": coins (Brooklyn Museum), ihc (CMMI).
- No licence stated: moon (nor its source), motorcycle_left and motorcycle_right (the Middlebury 2014 stereo
  data set, D. Scharstein et al., doi:10.1007/978-3-319-11752-2_3). Look into these before you publish them.

imrec-pg ships none of them: this script copies what the user has installed. Left out of skimage/data/ is what
is no photograph (test patterns, drawings, masks, stacks, phase images), a scanned page and a note, a clock
blurred beyond recognition and a detail of 102 pixels.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path
from typing import TypeAlias

from PIL import Image, ImageEnhance, ImageOps

Alteration: TypeAlias = Callable[[Image.Image], Image.Image]

PHOTOS = (
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
GOOD_QUALITY = 90


def crop(photo: Image.Image) -> Image.Image:
    """Return the middle, 80 % of the width and of the height."""
    left, top = photo.width // 10, photo.height // 10
    return photo.crop((left, top, photo.width - left, photo.height - top))


def halve(photo: Image.Image) -> Image.Image:
    """Return the photo at half its width and height."""
    return photo.resize((photo.width // 2, photo.height // 2), Image.Resampling.LANCZOS)


def brighten(photo: Image.Image) -> Image.Image:
    """Return the photo 30 % brighter, the lightest parts clipped."""
    return ImageEnhance.Brightness(photo).enhance(1.3)


# The name's ending, the alteration, and the JPEG quality it is saved with.
ALTERATIONS: tuple[tuple[str, Alteration, int], ...] = (
    ("crop", crop, GOOD_QUALITY),
    ("half", halve, GOOD_QUALITY),
    ("quality30", Image.Image.copy, 30),
    ("bright", brighten, GOOD_QUALITY),
    ("mirror", ImageOps.mirror, GOOD_QUALITY),
)


def fill(source: Path, folder: Path) -> tuple[int, int]:
    """Return how many files were written to the folder and how many were there already.

    Photos that this version of scikit-image doesn't ship are passed over.
    """
    originals, altered = folder / "originals", folder / "altered"
    originals.mkdir(parents=True, exist_ok=True)
    altered.mkdir(exist_ok=True)
    written = []
    for photo in _shipped(source):
        written.append(_write_once(originals / photo.name, partial(shutil.copyfile, photo)))
        for ending, alter, quality in ALTERATIONS:
            target = altered / f"{photo.stem}-{ending}.jpg"
            written.append(_write_once(target, partial(_write_altered, photo, alter, quality)))
    return sum(written), len(written) - sum(written)


def _shipped(source: Path) -> list[Path]:
    return [source / name for name in PHOTOS if (source / name).is_file()]


def _write_altered(photo: Path, alter: Alteration, quality: int, target: Path) -> None:
    # A grey photo stays grey: JPEG has one channel for it too.
    with Image.open(photo) as image:
        alter(image).save(target, "JPEG", quality=quality)


def _write_once(target: Path, write: Callable[[Path], object]) -> bool:
    """Return whether the target was written; it was not where it already existed."""
    if target.exists():
        return False
    # Else a run cut short would leave half a file, which the next run would take for done; and in a folder of
    # its own nobody else can have put a link in its place.
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=target.parent) as folder:
        unfinished = Path(folder) / target.name
        write(unfinished)
        unfinished.replace(target)
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Fill the folder named on the command line and return the exit code."""
    parser = argparse.ArgumentParser(description="Fill FOLDER with real photos and altered copies of them.")
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    folder: Path = parser.parse_args(arguments).folder
    try:
        # Not skimage.data's own functions: some of those download.
        with as_file(files("skimage") / "data") as source:
            shipped = len(_shipped(source))
            written, present = fill(source, folder)
    except ModuleNotFoundError:
        return _complain("the photos come with scikit-image: pip install 'imrec-pg[demo]'")
    except OSError as error:
        return _complain(f"cannot fill {folder}: {error.strerror or error}; give a folder you can write")
    if not shipped:
        return _complain(f"this scikit-image ships no photos in {source}: pip install 'scikit-image>=0.25'")
    sys.stderr.write(
        f"{folder}: {shipped} photos and {shipped * len(ALTERATIONS)} altered copies "
        f"({written} written, {present} already there)\n"
    )
    return 0


def _complain(message: str) -> int:
    sys.stderr.write(f"demo_photos: {message}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
