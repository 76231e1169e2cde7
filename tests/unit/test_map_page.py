"""The page of a map, read as a browser would: what is in it, and that no name gets out of its place."""

import base64
import json
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shown_maps import shown

from imrec_pg.errors import UsageError
from imrec_pg.pictures.page import page_of
from imrec_pg.pictures.shown import ShownMap

HOSTILE = b"/p/</script><script>alert(1)</script>\n\x1b[31m<!--\xe2\x80\xae.jpg"


def written(
    map_: ShownMap, sample: int | None = None, pictures: int = 0
) -> tuple[str, dict[str, object], dict[str, bytes]]:
    page, _ = page_of(map_, sample, pictures, 42, lambda _done, _total: None)
    text = page.decode()
    blocks = dict(re.findall(r'<script type="text/plain" id="([^"]+)">([^<]*)</script>', text))
    about = re.search(r'<script type="application/json" id="about">([^<]*)</script>', text)
    assert about is not None
    parts = {name: base64.b64decode(content) for name, content in blocks.items()}
    return text, json.loads(about[1]), parts


def inflated(parts: dict[str, bytes], name: str) -> bytes:
    return zlib.decompress(parts[name])


def test_points_and_paths_come_back_in_the_same_order() -> None:
    corners = [[0, 0, 0], [10, 0, 0], [0, 5, 0], [0, 0, 2]]
    _, about, parts = written(shown(corners, [1, 1, 2, 3]))
    points = np.frombuffer(inflated(parts, "points"), "<u2").reshape(-1, 3) / 65_535
    paths = inflated(parts, "paths").decode().split("\n")
    for n, corner in enumerate(corners):
        at = paths.index(f"/p/{n}.jpg")
        # A cube of ten, the side of the longest, in whose middle the map lies.
        expected = (np.array(corner) - [5, 2.5, 1]) / 10 + 0.5
        assert points[at] == pytest.approx(expected, abs=1e-4)
    colours = inflated(parts, "by-cluster")
    assert [colours[paths.index(f"/p/{n}.jpg")] for n in range(4)] == [0, 0, 1, 2]
    assert about["photos"] == 4


def test_a_sample_is_as_large_as_asked_for_and_the_title_says_of_how_many() -> None:
    _, about, parts = written(shown([[n, n] for n in range(100)]), sample=10)
    assert about["photos"] == 10
    assert about["title"] == "10 of 100 photos by embedding, in 2 dimensions"
    assert len(inflated(parts, "paths").decode().split("\n")) == 10


def test_no_name_leaves_its_place() -> None:
    text, _, parts = written(shown([[0, 0], [1, 1]], paths=[HOSTILE, b"/p/x.jpg"]))
    assert "alert(1)" not in text
    paths = inflated(parts, "paths").decode()
    assert paths.count("\n") == 1
    assert "\x1b" not in paths
    assert "\u202e" not in paths


def test_a_folder_may_have_any_name() -> None:
    folders = [b"/p/<script>alert(2)<!--/1.jpg", b"/p/{{PROGRAM}}{{BLOCKS}}/2.jpg"]
    text, about, _ = written(shown([[0, 0], [1, 1]], paths=folders))
    assert "alert(2)<!--" not in text
    groups = about["groups"]
    assert isinstance(groups, dict)
    names = [name for name, _, _ in groups["folder"]["names"]]
    assert names == ["/p/<script>alert(2)<!--", "/p/{{PROGRAM}}{{BLOCKS}}"]
    assert text.count('id="about"') == 1


def test_the_page_asks_for_nothing_and_allows_nothing_from_elsewhere() -> None:
    text, _, parts = written(shown([[0, 0], [1, 1]]))
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; script-src 'nonce-")
    assert "unsafe" not in policy[1]
    assert not re.search(r'(?:src|href)="', text)
    assert b"REVISION = '187'" in inflated(parts, "three.core.js")
    other, _, _ = written(shown([[0, 0], [1, 1]]))
    nonces = {re.search(r"nonce-([^']+)'", page)[1] for page in (text, other)}  # type: ignore[index]
    assert len(nonces) == 2


def test_thumbnails_are_spread_over_the_map(tmp_path: Path) -> None:
    """Of a crowd of 200 and five others far from it, ten pictures show each of the five."""
    rng = np.random.default_rng(3)
    Image.new("RGB", (50, 40), (9, 200, 30)).save(tmp_path / "a.png")
    points = np.concatenate([rng.normal(0, 0.01, (200, 2)), [[9, 9], [-9, 9], [9, -9], [-9, -9], [0, 9]]])
    paths = [bytes(tmp_path / "a.png")] * 205
    _, about, parts = written(shown(points, paths=paths), pictures=10)
    pictures = about["pictures"]
    assert isinstance(pictures, list)
    assert len(pictures) == 10
    assert sum(length for _, length in pictures) == len(parts["thumbnails"])
    places = np.frombuffer(inflated(parts, "points"), "<u2").reshape(-1, 3) / 65_535
    corners = sum(abs(places[at][1] - 0.5) > 0.3 for at, _ in pictures)
    assert corners == 5


def test_pictures_that_cannot_be_read_are_left_out() -> None:
    _, about, parts = written(shown([[0, 0], [1, 1]], paths=[b"/nowhere/1.jpg", None]), pictures=10)
    assert (about["pictures"], parts["thumbnails"]) == ([], b"")


@pytest.mark.parametrize(("sample", "pictures"), [(0, 0), (-1, 0), (None, -1)])
def test_numbers_out_of_range_are_refused(sample: int | None, pictures: int) -> None:
    with pytest.raises(UsageError):
        page_of(shown([[0, 0]]), sample, pictures, 42, lambda _done, _total: None)
