"""The command on databases of its own, and an album of photos that is ingested once."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import chromium, quiet_page
from e2e.command import Album, Imrec, clean_environ, copied, end_what_runs, url_of
from e2e.photos import GARBAGE, altered, save, save_oriented, save_scenes, scene
from support import new_database

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SHARED = Path(__file__).parents[3] / "shared"


@pytest.fixture(autouse=True)
def _no_command_outlives_its_test() -> Iterator[None]:
    yield
    end_what_runs()


@pytest.fixture(scope="session")
def imrec() -> Imrec:
    """Return the command without a database."""
    return Imrec(clean_environ())


@pytest.fixture
def run(imrec: Imrec, url: str) -> Imrec:
    """Return the command on a database of its own, with the newest schema and nothing in it."""
    return imrec.on(url)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty folder for photos."""
    made = tmp_path / "photos"
    made.mkdir()
    return made


@pytest.fixture(scope="session")
def album(template: str, imrec: Imrec, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Album]:
    """Yield photos with all their features.

    The folder holds "scenes", a picture "original.png" with altered "copies", one picture in eight "orientations",
    and two "broken" files.
    """
    folder = tmp_path_factory.mktemp("album")
    save_scenes(folder / "scenes", range(32))
    save_scenes(folder / "scenes" / "png", range(32, 38), ".png")
    save_scenes(folder / "scenes" / "webp", range(38, 44), ".webp")
    original = scene(1000, 640, 480)
    save(folder / "original.png", original)
    save(folder / "copies" / "quality30.jpg", original, quality=30)
    for name, copy in altered(original).items():
        save(folder / "copies" / f"{name}.png", copy)
    save_oriented(folder / "orientations", scene(2000))
    for name in ("cut.jpg", "text.png"):
        (folder / "broken").mkdir(exist_ok=True)
        (folder / "broken" / name).write_bytes(GARBAGE + name.encode())
    with new_database(template, "imrec_template") as dsn:
        run = imrec.on(url_of(dsn))
        stored = run("ingest", folder, "--json", code=3).json
        assert (stored["new"], stored["failed"]) == (57, 2)
        yield Album(folder, stored["new"], run, dsn)


@pytest.fixture
def copied_album(album: Album) -> Iterator[Album]:
    """Yield the album in a database of its own."""
    with copied(album) as own:
        yield own


@pytest.fixture(scope="session")
def reachable(server_folder: Path) -> Path:
    """Return a folder that the embedded server's own user can reach."""
    made = Path(tempfile.mkdtemp(dir=server_folder))
    made.chmod(0o711)
    return made


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of the project's photos, where there is one."""
    if not (SHARED / "photos").is_dir():
        pytest.skip("no ../shared/photos beside this checkout")
    return SHARED / "photos"


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    with chromium() as found:
        yield found


@pytest.fixture
def page(browser: "Browser") -> Iterator["Page"]:
    """Yield a page of a browser that reaches this machine alone; what it does otherwise fails the test."""
    with quiet_page(browser) as opened:
        yield opened
