"""Pictures and the page of clusters and maps, by the commands that make them."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from e2e.command import Album, Imrec, copied, url_of
from e2e.photos import save
from e2e.test_maps import save_colours
from PIL import Image
from support import needs, new_database

import imrec_pg

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = needs("umap")
HOSTILE = "<img src=x onerror=alert(1)>.png"
BY = ("--feature", "histogram")
# Clicks on a grid of places, and tells at which of them each photo is shown.
_EVERYWHERE = """() => {
    const found = {};
    const canvas = document.querySelector("canvas");
    for (let y = 10; y < innerHeight; y += 5) for (let x = 10; x < innerWidth; x += 5) {
        canvas.dispatchEvent(new PointerEvent("click", { clientX: x, clientY: y }));
        if (document.getElementById("photo").style.display === "block")
            found[document.getElementById("path").textContent] ??= [x, y];
    }
    return found;
}"""


@pytest.fixture(scope="module")
def made(template: str, imrec: Imrec, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Album]:
    """Yield 37 photos of three colours, with clusters and a map in space of their histograms."""
    folder = tmp_path_factory.mktemp("mapped") / "photos"
    save_colours(folder)
    save(folder / HOSTILE, Image.new("RGB", (96, 72), (240, 240, 240)))
    with new_database(template, "imrec_template") as dsn:
        run = imrec.on(url_of(dsn))
        run("ingest", folder, "--features", "histogram")
        run("map", "build", *BY, "--dims", "3", "--neighbours", "8")
        yield Album(folder, 37, run, dsn)


@pytest.fixture
def mapped(made: Album) -> Iterator[Album]:
    with copied(made) as own:
        yield own


def test_pictures_of_the_elbow_the_map_and_each_cluster(mapped: Album, tmp_path: Path) -> None:
    run = mapped.run
    made = run("cluster", "build", *BY, "--plot", tmp_path / "elbow.png")
    assert (made.out, "drew the curve" in made.err) == ("", True)
    for name, options in (
        ("map.png", ()),
        ("map.pdf", ("--colour", "folder")),
        ("plain.jpg", ("--colour", "year", "--no-thumbnails")),
    ):
        assert run("map", "plot", tmp_path / name, *BY, *options).err.startswith("drew 37 photos")
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    for name in ("elbow.png", "map.png", "plain.jpg"):
        with Image.open(tmp_path / name) as picture:
            assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 20
    run("map", "plot", tmp_path / "map.png", *BY)  # its own may be replaced
    run("cluster", "plot", tmp_path / "sheets", *BY, "--photos", "3")
    sheets = sorted((tmp_path / "sheets").iterdir())
    listed = run("cluster", "list", *BY, "--json").json
    assert "html" not in listed
    assert len(sheets) == len(listed["clusters"])
    assert "holds contact sheets already" in run("cluster", "plot", tmp_path / "sheets", *BY, code=2).message
    run("cluster", "plot", tmp_path / "sheets", *BY, "--overwrite")


def test_no_photo_and_no_file_of_others_is_replaced(mapped: Album, tmp_path: Path) -> None:
    run, folder = mapped.run, mapped.folder
    photo = folder / "red" / "00.png"
    before = photo.read_bytes()
    (tmp_path / "mine.png").write_text("mine")
    (tmp_path / "mine.html").write_text("mine")
    for arguments in (
        ("map", "plot", photo),
        ("map", "plot", photo, "--force"),
        ("map", "plot", tmp_path / "mine.png"),
        ("map", "plot", tmp_path / "map.bmp"),
        ("map", "export", "--html", tmp_path / "mine.html"),
        ("map", "export", "--html", tmp_path / "map.txt"),
        ("cluster", "build", "--plot", photo, "--force"),
        ("cluster", "plot", folder),
        ("cluster", "plot", tmp_path / "sheets.png"),
    ):
        assert run(*arguments, *BY, code=2).message
    assert photo.read_bytes() == before
    assert (tmp_path / "mine.png").read_text() == (tmp_path / "mine.html").read_text() == "mine"
    for arguments in (
        ("map", "plot", tmp_path / "none.png"),
        ("map", "export", "--html", tmp_path / "n.html"),
    ):
        assert "imrec-pg map build" in run(*arguments, code=2).message
        assert not Path(arguments[-1]).exists()


def test_the_page_turns_and_shows_the_photo_under_the_pointer(
    mapped: Album, tmp_path: Path, page: "Page"
) -> None:
    """As a file, without any request, whatever the photos are called."""
    folder = mapped.folder
    said = mapped.run("map", "export", "--html", tmp_path / "map.html", *BY).err
    assert "37 photos, 37 of them with a picture" in said
    page.goto((tmp_path / "map.html").as_uri())
    page.wait_for_selector("body[data-ready=yes]")
    assert page.inner_text("h1") == "37 photos by histogram, in 3 dimensions"
    before = page.locator("canvas").screenshot()
    page.mouse.move(900, 450)
    page.mouse.down()
    page.mouse.move(1100, 500, steps=4)
    page.mouse.up()
    # Without a graphics card, and with others at work, a picture may take seconds.
    for _ in range(80):
        page.wait_for_timeout(250)
        if (after := page.locator("canvas").screenshot()) != before:
            break
    assert after != before
    found = page.evaluate(_EVERYWHERE)
    assert len(found) > 20
    x, y = found[str(folder / HOSTILE)]
    page.mouse.move(x, y)
    page.wait_for_selector("#photo", state="visible")
    assert page.inner_text("#path") == str(folder / HOSTILE)
    page.wait_for_function("document.getElementById('picture').naturalWidth === 96")
    page.select_option("#colour", "folder")
    page.locator("#legend li", has_text="photos").first.wait_for()  # unpacked when first asked for
    groups = page.locator("#legend li").all_inner_texts()
    assert f"{folder / 'red'}12" in [group.replace("\n", "") for group in groups]


def test_a_notebook_shows_clusters_maps_and_answers(mapped: Album, tmp_path: Path, page: "Page") -> None:
    folder = mapped.folder
    with imrec_pg.open(url_of(mapped.dsn)) as library:
        clusters, points = library.clusters("histogram"), library.map("histogram")
        answer = library.search(folder / HOSTILE, feature="histogram", k=30)
        html = [part or "" for part in (clusters._repr_html_(), points._repr_html_(), answer._repr_html_())]
    assert html[2].count("<img") == 20
    (tmp_path / "page.html").write_text("<meta charset=utf-8>" + "".join(html))
    page.goto((tmp_path / "page.html").as_uri())
    images = page.evaluate("[...document.images].map(i => i.naturalWidth)")
    assert len(images) == min(20, len(clusters.clusters)) + 1 + 20
    assert all(width >= 120 for width in images)
