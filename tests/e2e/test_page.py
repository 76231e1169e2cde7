"""The page of imrec-pg serve, in a browser, on the album; what people click and press."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import psycopg
import pytest
from e2e.command import Album, Imrec, Started, url_of
from e2e.photos import save, scene
from psycopg.conninfo import conninfo_to_dict
from support import new_database

import imrec_pg

if TYPE_CHECKING:
    from playwright.sync_api import Page

SHOTS = os.environ.get(
    "IMREC_TEST_SCREENSHOTS"
)  # a folder: each view as it looked, for people and for the guide
NARROW = (390, 800)
HOSTILE = "<img src=x onerror=alert(1)>\u202e\n.png"


@dataclass(frozen=True)
class Served:
    """A library of its own, and the address where it is served."""

    run: Imrec
    folder: Path
    address: str
    url: str

    @property
    def original(self) -> str:
        """Return the id of the photo of which there are copies."""
        return id_of(self.folder / "original.png")


def id_of(path: Path) -> str:
    return str(UUID(bytes=hashlib.sha256(path.read_bytes()).digest()[:16]))


def serve(run: Imrec, cache: Path, port: int = 0) -> tuple[Started, str]:
    started = run.start("serve", "--port", str(port), "--cache", cache)
    assert started.process.stdout is not None
    address = started.process.stdout.readline().decode().strip()
    assert address.startswith("http://127.0.0.1:"), started.wait().err
    return started, address


@contextmanager
def served_copy(album: Album, template_of: str, cache: Path) -> Iterator[Served]:
    with new_database(template_of, str(conninfo_to_dict(album.dsn)["dbname"])) as dsn:
        run = album.run.on(url_of(dsn))
        run("duplicates", "find")
        started, address = serve(run, cache)
        try:
            yield Served(run, album.folder, address, url_of(dsn))
        finally:
            started.process.terminate()
            started.wait()


@pytest.fixture(autouse=True)
def _no_command_outlives_its_test() -> None:
    """Leave the server of the module running, other than elsewhere."""


@pytest.fixture(scope="module")
def served(album: Album, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served_copy(album, template, tmp_path_factory.mktemp("cache")) as made:
        yield made


def cards(page: "Page") -> list[str]:
    """Return the ids of the photos that are shown, in order, once the answer is there."""
    page.wait_for_selector("main[data-ready=yes]")
    found: list[str] = page.eval_on_selector_all(".card", "all => all.map((card) => card.dataset.id)")
    return found


def names(page: "Page") -> list[str]:
    page.wait_for_selector("main[data-ready=yes]")
    return page.locator(".card .name").all_text_contents()  # inner texts are empty off the screen


def choose(page: "Page", label: str, value: str) -> None:
    page.get_by_label(label, exact=True).select_option(value)


def shoot(page: "Page", name: str) -> None:
    if SHOTS:
        page.wait_for_load_state("networkidle")
        page.screenshot(path=str(Path(SHOTS) / f"page-{name}.jpg"), type="jpeg", quality=80)


def test_an_altered_copy_finds_its_photo_and_clicks_lead_on_and_back(
    served: Served, page: "Page", tmp_path: Path
) -> None:
    dropped = tmp_path / "dropped.jpg"
    scene(1000, 640, 480).resize((320, 240)).save(dropped, quality=40)
    page.goto(served.address)
    page.wait_for_selector(".card")
    page.set_input_files("input[type=file]", dropped)
    page.wait_for_selector(".chip")
    page.wait_for_selector(".badge:has-text('exact')")
    first = names(page)
    assert {"original.png", "quality30.jpg", "half.png"} <= set(first[:5])
    with imrec_pg.open(served.url) as library:
        expected = [str(one.image_id) for one in library.search(dropped.read_bytes(), k=60, exact=True)]
    assert cards(page) == expected
    for _ in range(3):
        before = cards(page)
        page.locator(".picture").first.click()
        page.wait_for_function("id => document.querySelector('.card')?.dataset.id !== id", arg=before[0])
        assert before[0] not in cards(page)  # itself is left out
    assert page.locator(".trail li").count() >= 2
    page.locator(".trail button").first.click()
    page.wait_for_function(
        "names => document.querySelector('.card .name')?.textContent === names", arg=first[0]
    )
    assert cards(page) == expected


def test_likes_features_filters_and_a_bookmark(served: Served, page: "Page") -> None:
    page.goto(served.address)
    page.wait_for_selector(".card")
    page.locator(".picture").nth(0).focus()
    liked = cards(page)[0]
    page.keyboard.press("l")
    page.wait_for_selector(".chip.likes")
    page.wait_for_function("() => document.querySelector('.answer').textContent.includes('56 photos')")
    page.locator(".picture").nth(4).focus()
    disliked = cards(page)[4]
    page.keyboard.press("d")
    page.wait_for_selector(".chip.dislikes")
    choose(page, "Compare", "histogram")
    page.wait_for_function("() => document.querySelector('.answer').textContent.includes('55 photos')")
    page.locator(".filters summary").click()
    page.get_by_label("Folder").fill(str(served.folder / "orientations"))
    page.keyboard.press("Enter")
    page.wait_for_selector("text=under: ")
    page.wait_for_function("() => document.querySelectorAll('.card').length <= 8")
    shown = cards(page)
    assert 7 <= len(shown) <= 8
    assert all(name.startswith("orientation_") for name in names(page))
    assert f"likes={liked}" in page.url
    assert f"dislikes={disliked}" in page.url
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    assert cards(page) == shown
    page.reload()
    assert cards(page) == shown


def test_a_fused_answer_says_why_and_a_cut_off_hides_what_is_far(served: Served, page: "Page") -> None:
    page.goto(f"{served.address}#search?likes={served.original}")
    page.wait_for_selector(".cut")
    every = len(cards(page))
    page.evaluate("""() => { const slider = document.querySelector(".cut input");
        slider.value = String((Number(slider.min) + Number(slider.max)) / 2);
        slider.dispatchEvent(new Event("input", { bubbles: true })); }""")
    page.wait_for_function("all => document.querySelectorAll('.card').length < all", arg=every)
    assert "cut=" in page.url
    choose(page, "Compare", "fused")
    page.wait_for_selector(".evidence meter")
    page.wait_for_selector("main[data-ready=yes]")
    first = page.locator(".card").first
    assert first.locator(".name").text_content() in {
        "quality30.jpg",
        "half.png",
        "brighter.png",
        "cropped.png",
    }
    assert float(first.locator(".evidence li").first.locator("span").last.text_content() or "") > 20
    assert "times likelier between copies" in (
        first.locator(".evidence li").first.get_attribute("title") or ""
    )
    shoot(page, "search")


def test_scrolling_shows_the_photos_beyond_the_first_page_once_each(served: Served, page: "Page") -> None:
    liked = served.original
    page.goto(f"{served.address}#search?likes={liked}&k=10")
    page.wait_for_selector(".card")
    for _ in range(20):
        page.mouse.wheel(0, 4000)
        if page.locator(".card").count() == 56:
            break
        page.wait_for_timeout(100)
    shown = cards(page)
    with imrec_pg.open(served.url) as library:
        everything = {str(one.image_id) for one in library.search(scene(0), k=1000)}
    assert (len(shown), set(shown)) == (56, everything - {liked})


def test_two_groups_are_reviewed_by_keys_and_one_verdict_is_undone(
    served: Served, page: "Page", tmp_path: Path
) -> None:
    page.goto(f"{served.address}#duplicates")
    page.wait_for_selector(".pane img")
    shoot(page, "duplicates")
    for key in "123f+0":
        page.keyboard.press(key)
    for key, said in (("s", "same:"), ("d", "different:")):
        page.keyboard.press(key)
        page.wait_for_function(
            "said => document.querySelector('.answer').textContent.includes(said)", arg=said
        )
    with imrec_pg.open(served.url) as library:
        assert sorted(one.verdict for one in library.verdicts()) == ["different", "same"]
        page.keyboard.press("u")
        page.wait_for_function("() => document.querySelector('.answer').textContent.includes('undone')")
        assert [str(one.verdict) for one in library.verdicts()] == ["same"]
        expected = sum(len(group.remove) for group in library.plan_removal().groups)
    page.get_by_role("button", name="What could go?").click()
    page.wait_for_selector("text=could go. Nothing is deleted here")
    page.get_by_label("Move them to").fill(str(tmp_path / "trash"))
    with page.expect_download() as downloading:
        page.get_by_role("button", name="Download the script").click()
    script = Path(downloading.value.path()).read_text()
    assert script.startswith("#!/bin/sh")
    assert expected > 0
    assert str(tmp_path / "trash") in script


def test_a_server_that_goes_away_and_comes_back(album: Album, page: "Page", tmp_path: Path) -> None:
    started, address = serve(album.run, tmp_path)
    page.goto(address)
    page.wait_for_selector(".card")
    started.process.terminate()
    started.wait()
    page.locator(".picture").first.click()
    page.wait_for_selector(".away:has-text('does not answer')")
    again, _ = serve(album.run, tmp_path, int(address.rstrip("/").rsplit(":", 1)[1]))
    page.wait_for_selector(".away", state="detached")
    page.wait_for_selector(".chip")
    assert len(cards(page)) == 56
    again.process.terminate()
    again.wait()


@pytest.mark.parametrize(("scheme", "size"), [("light", None), ("dark", NARROW)])
def test_no_view_has_serious_findings_of_axe(
    served: Served, page: "Page", scheme: str, size: tuple[int, int] | None
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="the extra [dev]").Axe()
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    if size:
        page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(served.address)
    page.wait_for_selector(".card")
    page.locator(".picture").first.click()
    page.wait_for_selector(".chip")
    page.wait_for_selector("main[data-ready=yes]")
    found = {"search": serious(axe, page)}
    page.locator(".picture").first.focus()
    page.keyboard.press(" ")
    page.wait_for_selector("dialog[open] .files")
    found["details"] = serious(axe, page)
    page.keyboard.press("Escape")
    for view, there in (("duplicates", ".pane img"), ("library", "main[data-ready=yes]")):
        page.locator(f"nav a[href='#{view}']").click()
        page.wait_for_selector(there)
        found[view] = serious(axe, page)
        shoot(page, f"{view}-{scheme}")
    assert not any(found.values()), found


def serious(axe: object, page: "Page") -> list[str]:
    """Return what axe finds that keeps people from using the page."""
    violations = axe.run(page).response["violations"]  # type: ignore[attr-defined]  # it ships no types
    return [
        f"{one['id']}: {[node['html'][:120] for node in one['nodes'][:3]]}"
        for one in violations
        if one["impact"] in {"serious", "critical"}
    ]


def test_names_with_markup_and_controls_are_text(served: Served, page: "Page", tmp_path: Path) -> None:
    path = save(tmp_path / "odd" / HOSTILE, scene(77, 96, 72))
    served.run("ingest", path.parent, "--features", "average_hash")
    page.goto(f"{served.address}#search?likes={served.original}&feature=average_hash&k=1000")
    page.wait_for_selector(f".card[data-id='{id_of(path)}']")
    page.locator(f".card[data-id='{id_of(path)}'] .picture").focus()
    page.keyboard.press(" ")
    page.wait_for_selector("dialog[open] .files")
    assert "<img src=x onerror=alert(1)>" in page.locator("dialog .files").inner_text()
    assert page.locator("img[src=x]").count() == 0
    path.unlink()


def test_a_lasso_on_the_map_leads_to_the_photos_within(served: Served, page: "Page", tmp_path: Path) -> None:
    places = lay_out(served.url)
    page.goto(f"{served.address}#map")
    page.wait_for_selector(".view[data-ready=yes] canvas")
    page.wait_for_selector(f"text={len(places)} photos")
    box = page.locator(".view canvas").bounding_box()
    assert box is not None
    page.get_by_role("button", name="Lasso").click()
    # The map is as wide as it is high and lies in the middle: all of its left half.
    middle, top, bottom = box["x"] + box["width"] / 2, box["y"] + 4, box["y"] + box["height"] - 4
    page.mouse.move(middle - 4, top)
    page.mouse.down()
    for x, y in (
        (middle - 4, bottom),
        (middle - box["height"] / 2, bottom),
        (middle - box["height"] / 2, top),
    ):
        page.mouse.move(x, y, steps=3)
    page.mouse.up()
    left = {image_id for image_id, (x, _) in places.items() if x < 3.5}
    assert page.locator(".chosen b").inner_text() == f"{len(left)} photos"
    page.get_by_role("button", name="Search only around here").click()
    page.goto(f"{page.url}&likes={served.original}&feature=histogram")
    page.wait_for_selector(".card")
    assert set(cards(page)) == left - {served.original}
    if SHOTS:
        served.run("map", "build", "--feature", "histogram", "--dims", "2", "--neighbours", "8")
        # Another server: this one remembers the map for a while.
        started, address = serve(served.run, tmp_path)
        page.goto(f"{address}#map")
        page.wait_for_selector(".thumbs img")
        shoot(page, "map")
        started.process.terminate()
        started.wait()


def lay_out(url: str) -> dict[str, tuple[int, int]]:
    """Store a map on which photos lie in rows of eight, and return where each lies."""
    with psycopg.connect(url) as conn:
        ids = [
            key
            for (key,) in conn.execute("SELECT image_id FROM imrec.histogram ORDER BY image_id").fetchall()
        ]
        map_id = uuid4()
        conn.execute(
            "INSERT INTO imrec.map (map_id, feature, dims, neighbours, min_dist, seed, images, landmarks, created_at) "
            "VALUES (%s, 'histogram', 2, 15, 0.1, 42, %s, 0, now())",
            (map_id, len(ids)),
        )
        places = {key: (number % 8, number // 8) for number, key in enumerate(ids)}
        for key, (x, y) in places.items():
            conn.execute(
                "INSERT INTO imrec.map_point (image_id, map_id, x, y, landmark) VALUES (%s, %s, %s, %s, false)",
                (key, map_id, x, y),
            )
    return {str(key): place for key, place in places.items()}
