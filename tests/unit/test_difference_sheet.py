"""The picture of what differs between two photos."""

from pathlib import Path

import numpy as np
from e2e.photos import save, scene
from PIL import Image

from imrec_pg.cli.contact_sheet import BOX, Tile, is_sheet
from imrec_pg.cli.difference_sheet import Pair, difference_of, write_difference_sheet
from imrec_pg.decoding import Thumbnail

RED = (200, 30, 30)


def thumbnail(image: Image.Image) -> Thumbnail:
    return Thumbnail(*image.size, image.tobytes())


def middle_of(box: Image.Image, width: int, height: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    left, top = (BOX - width) // 2, (BOX - height) // 2
    return np.asarray(box.crop((left, top, left + width, top + height)))


def test_what_differs_is_red_and_the_rest_grey() -> None:
    one = Image.new("RGB", (40, 20), (80, 80, 80))
    other = one.copy()
    other.paste((144, 80, 80), (10, 5, 20, 15))  # by a fourth of the range: the full colour
    shown = middle_of(difference_of(thumbnail(one), thumbnail(other)), 40, 20)
    red = (shown == RED).all(axis=2)
    assert red.sum() == 100
    assert red[5:15, 10:20].all()
    assert (shown[~red] == 160 + 3 * 80 // 8).all()


def test_that_a_copy_is_smaller_is_no_difference() -> None:
    photo = scene(3, 200, 150)
    small = photo.resize((50, 38), Image.Resampling.LANCZOS)
    for one, other in ((photo, small), (small, photo)):
        shown = middle_of(difference_of(thumbnail(one), thumbnail(other)), *one.size).astype(int)
        assert (abs(shown[..., 0] - shown[..., 1]) < 40).mean() > 0.99


def test_a_sheet_has_all_pairs_even_of_files_that_are_gone(tmp_path: Path) -> None:
    photo = bytes(save(tmp_path / "a.png", scene(1)))
    gone = Tile(bytes(tmp_path / "gone.png"), "gone\n\x1b.png", "1+2 bits")
    target = tmp_path / "sheet.png"
    sizes = []
    for number in (1, 3, 5):
        pairs = [Pair(Tile(photo, "a.png", "keep"), gone)] * number
        write_difference_sheet(target, "Copies", pairs, target.stat() if target.exists() else None)
        assert is_sheet(target)
        with Image.open(target) as sheet:
            sizes.append(sheet.size)
    # One beside the other from the fourth on.
    assert sizes[0][0] == sizes[1][0] < sizes[2][0]
    assert sizes[0][1] < sizes[1][1] == sizes[2][1]
