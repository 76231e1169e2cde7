"""One library of small pictures and one server for all tests of the REST API."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import new_database, settings_for
from web_client import Client, Serving, serving

from imrec_pg.library import Library

FEATURES = ("histogram", "average_hash", "difference_hash", "perceptual_hash")
SCENES = 24
PHOTOS = SCENES + 4


@dataclass(frozen=True)
class Photos:
    """A library without embeddings, which need no weights then; and its folder."""

    folder: Path
    dsn: str
    library: Library


def scene(number: int, width: int = 60, height: int = 40) -> Image.Image:
    """Return a picture unlike others: a few blocks of colour."""
    rng = np.random.default_rng(number)
    blocks = rng.integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((width, height), Image.Resampling.NEAREST)


@pytest.fixture(scope="session")
def photos(template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Photos]:
    folder = tmp_path_factory.mktemp("web") / "photos"
    (folder / "2024").mkdir(parents=True)
    for number in range(SCENES):
        scene(number).save(folder / ("2024" if number % 2 else ".") / f"{number:02}.png")
    exif = Image.Exif()
    exif[274] = 6  # turned by 90 degrees
    scene(100, 600, 400).save(folder / "turned.jpg", exif=exif, quality=95)
    scene(0).resize((120, 80), Image.Resampling.NEAREST).save(folder / "twice.png")
    (folder / "<img src=x onerror=alert(1)>\u202e.png").write_bytes(_png_of(101))
    Image.new("RGB", (2400, 1600), "teal").save(folder / "large.bmp")  # 11.5 MB
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    with new_database(template, "imrec_template") as dsn, Library(settings_for(dsn)) as library:
        result = library.ingest(folder, features=FEATURES, workers=1)
        assert (result.tally.new, result.tally.failed) == (PHOTOS, 1)
        yield Photos(folder, dsn, library)


@pytest.fixture(scope="session")
def served(photos: Photos, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(photos.library, tmp_path_factory.mktemp("thumbnails")) as found:
        yield found


@pytest.fixture(scope="session")
def client(served: Serving) -> Client:
    return served.client


@pytest.fixture(autouse=True)
def _no_thread_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    del request
    yield
    assert threading.active_count() < 60


def _png_of(number: int) -> bytes:
    import io

    buffer = io.BytesIO()
    scene(number).save(buffer, "PNG")
    return buffer.getvalue()
