"""Pictures of maps from arrays: where colours are, what is seen of many photos, and what names can do."""

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from shown_maps import NOW, shown

from imrec_pg.analysis.records import Clustering, Space
from imrec_pg.pictures.shown import Colour
from imrec_pg.records import Feature

pytest.importorskip("matplotlib", reason="the extra [map]")
from imrec_pg.pictures.drawing import draw_map, flat
from imrec_pg.pictures.elbow import draw_elbow
from imrec_pg.pictures.palette import COLOURS, OTHERS, palette


def is_like(pixels: NDArray[np.uint8], colour: str, within: int = 40) -> NDArray[np.bool_]:
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    near: NDArray[np.bool_] = np.abs(pixels.astype(int) - wanted).max(axis=-1) <= within
    return near


def middle(mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Where a colour is, from the left and from the top."""
    rows, columns = np.nonzero(mask)
    return float(columns.mean()), float(rows.mean())


def of_map(picture: Image.Image) -> NDArray[np.uint8]:
    """The pixels of the map alone, without title and legend."""
    return np.asarray(picture)[80:, : int(picture.width * 0.8)]


def test_dots_lie_where_the_points_are_in_the_colours_of_their_clusters() -> None:
    pixels = of_map(draw_map(shown([[0, 0], [0, 10], [10, 0]], [1, 2, 3]), Colour.CLUSTER, photos=0))
    (left, low), (also_left, high), (right, also_low) = (
        middle(is_like(pixels, colour)) for colour in COLOURS[:3]
    )
    assert abs(left - also_left) < 2
    assert right > left + 200
    assert high < low - 200
    assert abs(low - also_low) < 2


def test_the_largest_twelve_groups_have_full_colours_the_next_paler_ones_and_the_last_grey() -> None:
    points = [[x, 0] for x in range(80)]
    clusters = [1] * 5 + [2] * 4 + list(range(3, 73)) + [0]
    groups = shown(points, clusters).groups(Colour.CLUSTER)
    assert groups.names[:2] == ["cluster 1", "cluster 2"]
    assert list(groups.sizes[:3]) == [5, 4, 1]
    assert groups.others == ("12 other clusters", 12)
    assert groups.none == ("no cluster", 1)
    assert (groups.of_each == -1).sum() == 13
    colours = palette(groups)
    assert colours[:12] == list(COLOURS)
    assert len(set(colours)) == 61
    brightness = [int(colour[1:3], 16) for colour in colours[:60:12]]  # all of one hue
    assert brightness == sorted(brightness)
    assert colours[-1] == OTHERS
    pixels = of_map(draw_map(shown(points, clusters), Colour.CLUSTER, photos=0))
    assert is_like(pixels, OTHERS, 20).sum() > 100
    assert is_like(pixels, colours[12], 20).sum() > 20


def test_among_many_points_in_space_the_near_ones_are_seen() -> None:
    rng = np.random.default_rng(3)
    sheet = rng.uniform(-1, 1, (30_000, 3)).astype(np.float32)
    _, near = flat(sheet)
    # Two clusters, one before the other, of as many photos.
    clusters = list(np.where(near > np.median(near), 1, 2))
    pixels = of_map(draw_map(shown(sheet, clusters), Colour.CLUSTER, photos=0))
    in_front, behind = is_like(pixels, COLOURS[0], 90).sum(), is_like(pixels, COLOURS[1], 90).sum()
    assert in_front > 2 * behind


def test_a_dark_picture_has_the_same_dots_on_dark_paper() -> None:
    pixels = of_map(
        draw_map(shown([[0, 0], [0, 10], [10, 0]], [1, 2, 3]), Colour.CLUSTER, photos=0, dark=True)
    )
    assert pixels[5, 5].max() < 40
    assert (pixels.max(axis=-1) > 120).sum() > 300


def test_forty_thousand_points_are_shades_as_dark_as_there_are_many() -> None:
    rng = np.random.default_rng(1)
    crowd = rng.normal([0, 0], 0.05, (39_000, 2))
    alone = rng.uniform(3, 4, (1000, 2))
    pixels = of_map(draw_map(shown(np.concatenate([crowd, alone])), Colour.NONE, photos=0)).astype(int)
    dark = 255 - pixels.mean(axis=-1)
    half = pixels.shape[0] // 2
    # The crowd lies at the lower left; the few at the upper right are light, but not lost.
    lower_left, upper_right = dark[half:, : pixels.shape[1] // 2], dark[:half, pixels.shape[1] // 2 :]
    assert lower_left.max() > 1.5 * upper_right.max()
    assert (upper_right > 15).sum() > 500


def test_a_map_in_space_is_seen_from_the_side_and_what_is_far_is_paler() -> None:
    cube = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=np.float32)
    seen, near = flat(cube)
    assert len({tuple(np.round(point, 3)) for point in seen}) == 8
    assert (near.min(), near.max()) == (0, 1)
    # Up is up: of each pair the one with the higher z.
    assert all(seen[i + 1][1] > seen[i][1] for i in range(0, 8, 2))
    pixels = of_map(draw_map(shown(cube, [1] * 8), Colour.CLUSTER, photos=0))
    assert is_like(pixels, COLOURS[0], 45).sum() > 100


@pytest.mark.parametrize("points", [[[1, 1]], [[2, 2]] * 50, [[1, 1, 1]] * 3, np.zeros((30_000, 2))])
def test_one_photo_and_equal_ones_are_drawn(points: Sequence[Sequence[float]]) -> None:
    pixels = of_map(draw_map(shown(points), Colour.CLUSTER, photos=0))
    assert is_like(pixels, COLOURS[0], 60).any()


def test_the_photo_of_a_cluster_is_drawn_where_it_lies(tmp_path: Path) -> None:
    Image.new("RGB", (300, 200), (250, 10, 250)).save(tmp_path / "medoid.png")
    paths: list[bytes | None] = [None] * 5
    paths[3] = bytes(tmp_path / "medoid.png")
    points = [[0, 0], [0, 1], [1, 0], [10, 10], [1, 1]]
    drawn = draw_map(shown(points, [1] * 5, paths, {1: 3}), Colour.CLUSTER)
    there = is_like(np.asarray(drawn), "#fa0afa", 12)
    assert there.sum() > 5000
    across, down = middle(there)
    assert across > drawn.width / 2 - 100
    assert down < drawn.height / 3


def test_folders_are_named_where_they_part() -> None:
    paths = [b"/a/b/x/deep/1.jpg", b"/a/b/x/2.jpg", b"/a/b/y/3.jpg", None]
    groups = shown([[n, n] for n in range(4)], paths=paths).groups(Colour.FOLDER)
    assert groups.names == ["/a/b/x", "/a/b/y"]
    assert list(groups.of_each) == [0, 0, 1, -1]
    assert groups.grey == [("no folder", 1)]
    one = shown([[0, 0]], paths=[b"/a/1.jpg"]).groups(Colour.FOLDER)
    assert one.names == ["/a"]


def test_years_go_from_dark_to_light_and_some_photos_have_none() -> None:
    groups = shown([[n, n] for n in range(5)], years=[2019, 2020, 2020, 0, 2018]).groups(Colour.YEAR)
    assert groups.names == ["2018", "2019", "2020"]
    assert list(groups.sizes) == [1, 1, 2]
    assert list(groups.of_each) == [1, 2, 2, -1, 0]
    assert groups.grey == [("no date", 1)]
    light = [sum(int(colour[i : i + 2], 16) for i in (1, 3, 5)) for colour in palette(groups)[:3]]
    assert light == sorted(light)


def test_no_name_is_taken_for_mathematics_or_markup() -> None:
    """matplotlib reads $…$ as formulas, and fails at what is none."""
    paths = [b"/a/$\\frac{/1.jpg", b"/a/<b>\x1b[31m\xff/2.jpg", b"/a/\n$$/3.jpg"]
    assert draw_map(shown([[0, 0], [1, 1], [2, 0]], paths=paths), Colour.FOLDER, photos=0).width > 1000


def test_the_elbow_is_marked_on_the_curve() -> None:
    curve = tuple((k, 1 / k) for k in range(1, 11))
    made = Clustering(
        UUID(int=1), Feature.EMBEDDING, Space.FEATURE, None, 3, "auto", 42, 100, 0.5, curve, NOW, 0, 0, ()
    )
    pixels = np.asarray(draw_elbow(made))
    across, _ = middle(is_like(pixels, COLOURS[3], 10))
    left, right = 0.1 * pixels.shape[1], 0.96 * pixels.shape[1]
    # k = 3 of 1 to 10: two ninths of the way, and matplotlib's margins of a twentieth; the legend pulls right.
    assert left + 0.2 * (right - left) < across < left + 0.45 * (right - left)
    assert is_like(pixels, COLOURS[0], 10).sum() > 500


def test_folders_in_letters_that_the_font_lacks_are_drawn_without_a_warning() -> None:
    """Warnings are errors here; a user would see them between the command's own messages."""
    folders = ("東京", "हिन्दी", "שלום", "été")
    paths = [f"/photos/{folders[at % 4]}/{at}.jpg".encode() for at in range(8)]
    points = [(at, at % 3) for at in range(8)]
    picture = np.asarray(draw_map(shown(points, paths=paths), Colour.FOLDER, photos=0))
    legend = picture[: picture.shape[0] // 3, int(picture.shape[1] * 0.84) :]
    assert (legend.min(axis=2) < 100).sum() > 200  # ink of the names
