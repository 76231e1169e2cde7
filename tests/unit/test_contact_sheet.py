"""Colours stand for photos: a plain colour is found in the sheet again by looking for its pixels."""

import colorsys
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from imrec_pg.cli import contact_sheet
from imrec_pg.cli.contact_sheet import Tile, check_target, write_contact_sheet
from imrec_pg.errors import ImrecError, UsageError

BOX = 240
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
AWKWARD_NAMES = ["", "Mü.jpg", "Mu\u0308", "日本", "😀", "a\nb\tc", "\udcff\udc80", "x\x00y", "\u202ea"]
GREY, WHITE = (213, 217, 222), (255, 255, 255)

Rgb = tuple[int, int, int]
Box = tuple[int, int, int, int]  # left, top, width, height


def tile(path: Path, detail: str = "cosine 0.0312") -> Tile:
    return Tile(os.fsencode(path), path.name, detail)


def plain(folder: Path, colour: Rgb, size: tuple[int, int] = (600, 300)) -> Tile:
    path = folder / f"{'-'.join(map(str, (*colour, *size)))}.png"
    Image.new("RGB", size, colour).save(path)
    return tile(path)


def pixels_of(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as sheet:
        return np.asarray(sheet.convert("RGB"))


def where(sheet: NDArray[np.uint8], colour: Rgb) -> Box:
    rows, columns = np.nonzero((sheet == colour).all(axis=2))
    assert rows.size > 0, f"no pixel is {colour}"
    left, top = int(columns.min()), int(rows.min())
    return left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1


def distinct_colours(count: int) -> list[Rgb]:
    hues = [colorsys.hsv_to_rgb(i / count, 1.0, 0.8) for i in range(count)]
    colours = [(round(r * 255), round(g * 255), round(b * 255)) for r, g, b in hues]
    assert len(set(colours)) == count
    return colours


def test_query_stands_left_of_matches_and_these_in_order(tmp_path: Path) -> None:
    yellow = (255, 255, 0)
    matches = [plain(tmp_path, colour) for colour in (GREEN, BLUE, yellow)]
    write_contact_sheet(tmp_path / "sheet.png", "title", [plain(tmp_path, RED)], matches)
    sheet = pixels_of(tmp_path / "sheet.png")
    query, first, second, third = (where(sheet, colour) for colour in (RED, GREEN, BLUE, yellow))
    for left, top, width, height in (query, first, second, third):
        assert (width, height) == (BOX, BOX // 2)  # 600 x 300 in a box of 240
        assert top == query[1]
        assert left + width < sheet.shape[1]
    assert query[0] + BOX < first[0]
    assert first[0] + BOX < second[0]
    assert second[0] - first[0] == third[0] - second[0]
    assert tuple(sheet[query[1] + 60, query[0] + 120]) == RED


def test_query_block_has_a_ground_of_its_own(tmp_path: Path) -> None:
    matches = [plain(tmp_path, GREEN)]
    write_contact_sheet(tmp_path / "sheet.png", "title", [plain(tmp_path, RED)], matches)
    sheet = pixels_of(tmp_path / "sheet.png")
    query, match = where(sheet, RED), where(sheet, GREEN)
    assert tuple(sheet[match[1], match[0] - 5]) == WHITE
    assert tuple(sheet[query[1], query[0] - 5]) != WHITE
    assert sheet[query[1], query[0] - 5].min() > 200  # light all the same


@pytest.mark.parametrize(
    ("size", "shown"),
    [((1000, 400), (240, 96)), ((300, 1200), (60, 240)), ((50, 30), (50, 30)), ((5000, 2), (240, 1))],
)
def test_aspect_is_kept_and_nothing_enlarged(tmp_path: Path, size: tuple[int, int], shown: object) -> None:
    write_contact_sheet(tmp_path / "s.png", "", [plain(tmp_path, RED)], [plain(tmp_path, GREEN, size)])
    assert where(pixels_of(tmp_path / "s.png"), GREEN)[2:] == shown


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    photo = Image.new("RGB", (480, 240), RED)
    photo.paste(BLUE, (240, 0, 480, 240))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: shown upright, the left edge is at the top
    path = tmp_path / "portrait.png"
    photo.save(path, exif=exif)
    write_contact_sheet(tmp_path / "s.png", "", [plain(tmp_path, GREEN)], [tile(path)])
    sheet = pixels_of(tmp_path / "s.png")
    red, blue = where(sheet, RED), where(sheet, BLUE)
    # Halved to 120 x 240, where resampling mixes a few rows at the seam.
    assert red[0] == blue[0]
    assert red[2] == blue[2] == 120
    assert red[1] + red[3] <= blue[1]
    assert blue[1] + blue[3] - red[1] == 240


def test_unreadable_matches_are_grey_boxes(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "empty.jpg").touch()
    names = ("vanished.jpg", "text.jpg", "folder.jpg", "empty.jpg")
    for name in names:
        matches = [tile(tmp_path / name), plain(tmp_path, GREEN)]
        write_contact_sheet(tmp_path / "s.png", "", [plain(tmp_path, RED)], matches)
        sheet = pixels_of(tmp_path / "s.png")
        left, top, width, height = where(sheet, GREY)
        assert (width, height) == (BOX, BOX), name
        assert left + BOX < where(sheet, GREEN)[0], name
        middle = sheet[top + 100 : top + 140, left : left + BOX]
        assert (middle != GREY).any(), f"{name}: the box says nothing"


@pytest.mark.parametrize(("queries", "matches"), [(1, 1), (1, 7), (2, 5), (10, 5), (1, 100), (10, 100)])
def test_every_image_is_shown_once_in_reading_order(tmp_path: Path, queries: int, matches: int) -> None:
    colours = distinct_colours(queries + matches)
    tiles = [plain(tmp_path, colour, (240, 120)) for colour in colours]
    write_contact_sheet(tmp_path / "s.png", "title", tiles[:queries], tiles[queries:])
    packed = pixels_of(tmp_path / "s.png").astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)
    found, firsts, counts = np.unique(packed, return_index=True, return_counts=True)
    places = []  # top and left of each
    for red, green, blue in colours:
        at = int(np.searchsorted(found, (red << 16) + (green << 8) + blue))
        assert counts[at] == 240 * 120
        places.append(divmod(int(firsts[at]), packed.shape[1]))
    query_places, match_places = places[:queries], places[queries:]
    assert query_places == sorted(query_places)
    assert match_places == sorted(match_places)
    assert max(left for _, left in query_places) + BOX < min(left for _, left in match_places)
    assert len({left for _, left in match_places}) <= 6


def test_no_matches_and_a_vanished_query_are_a_sheet_too(tmp_path: Path) -> None:
    write_contact_sheet(tmp_path / "s.png", "", [plain(tmp_path, RED), tile(tmp_path / "gone.jpg")], [])
    sheet = pixels_of(tmp_path / "s.png")
    assert where(sheet, RED)[2:] == (240, 120)
    assert where(sheet, GREY)[2:] == (BOX, BOX)


@pytest.mark.parametrize("name", AWKWARD_NAMES, ids=ascii)
def test_any_name_can_be_written(tmp_path: Path, name: str) -> None:
    path = plain(tmp_path, GREEN).path
    write_contact_sheet(tmp_path / "s.png", name, [Tile(path, name, name)], [Tile(path, name, name)])
    assert where(pixels_of(tmp_path / "s.png"), GREEN)


def test_long_names_stay_beneath_their_own_image(tmp_path: Path) -> None:
    matches = [
        Tile(plain(tmp_path, colour).path, "W" * 300 + ".jpg", "cosine " + "9" * 300)
        for colour in (GREEN, BLUE)
    ]
    write_contact_sheet(tmp_path / "s.png", "", [plain(tmp_path, RED)], matches)
    sheet = pixels_of(tmp_path / "s.png")
    left, top, _, height = where(sheet, GREEN)
    beneath = sheet[top + height + 60 :]  # the box is higher than its picture by 60 pixels
    assert (beneath[:, left : left + BOX] != WHITE).any()
    # Two pixels are granted to the curve of a letter.
    assert (beneath[:, left + BOX + 2 : where(sheet, BLUE)[0] - 2] == WHITE).all()


def test_names_are_shortened_in_the_middle() -> None:
    font = contact_sheet._font("a", 15)
    name = "IMG_20240506_" + "0123456789" * 10 + "_portrait.jpg"
    fitted = contact_sheet._fit(name, font, 200)
    start, end = fitted.split("…")
    assert name.startswith(start)
    assert name.endswith(end)
    assert len(start) >= 5
    assert len(end) >= 5
    assert font.getlength(fitted) <= 200
    longer = f"{start}{name[len(start)]}…{name[-len(end) - 1 :]}"
    assert font.getlength(longer) > 200
    assert contact_sheet._fit("short.jpg", font, 200) == "short.jpg"


@pytest.mark.parametrize(
    ("extension", "magic"),
    [
        ("png", b"\x89PNG"),
        ("PNG", b"\x89PNG"),
        ("jpg", b"\xff\xd8"),
        ("jpeg", b"\xff\xd8"),
        ("webp", b"RIFF"),
        ("pdf", b"%PDF"),
    ],
)
def test_the_extension_chooses_the_format(tmp_path: Path, extension: str, magic: bytes) -> None:
    target = tmp_path / f"sheet.{extension}"
    write_contact_sheet(target, "", [plain(tmp_path, RED)], [plain(tmp_path, GREEN)])
    assert target.read_bytes().startswith(magic)


@pytest.mark.parametrize("name", ["s.gif", "s", "s.txt", "missing/s.png", "folder.png", "n" * 300 + ".png"])
def test_impossible_targets_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UsageError) as caught:
        check_target(tmp_path / name)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError):
        write_contact_sheet(tmp_path / name, "", [], [])
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    """WebP holds 16,383 rows of pixels at most; 400 matches need more."""
    images = tmp_path / "images"
    images.mkdir()
    target = tmp_path / "s.webp"
    target.write_bytes(b"old")
    with pytest.raises(ImrecError, match="cannot write the plot"):
        write_contact_sheet(target, "", [plain(images, RED)], [plain(images, GREEN)] * 400, force=True)
    assert target.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "s.webp"]


def test_a_full_disk_is_an_error_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(ImrecError, match=r"s\.png: No space left on device"):
        write_contact_sheet(tmp_path / "s.png", "", [], [])
    assert list(tmp_path.iterdir()) == []


def test_nobody_else_may_read_the_sheet(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_contact_sheet(tmp_path / "s.png", "", [plain(tmp_path, RED)], [])
    finally:
        os.umask(before)
    assert (tmp_path / "s.png").stat().st_mode & 0o777 == 0o600


def test_more_images_than_a_sheet_holds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at most 500"):
        write_contact_sheet(tmp_path / "s.png", "", [], [tile(tmp_path / "a.jpg")] * 501)
