"""Real photos, and real photos with something wrong, that lie beside the checkout on development machines."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from imrec_pg.errors import DecodeError
from imrec_pg.features.hashes import average_hash, difference_hash
from imrec_pg.features.histogram import RgbHistogram
from imrec_pg.images.content import read
from imrec_pg.images.decode import DecodedImage, decode
from imrec_pg.images.walk import Walk, count
from imrec_pg.paths import display_path

PHOTOS = Path(__file__).parents[3] / "shared" / "photos"
pytestmark = pytest.mark.skipif(not PHOTOS.is_dir(), reason=f"no photos at {PHOTOS}")

# The same scene by the eight orientations, and once by 0, which is none; each was compressed by itself.
ORIENTATIONS = [f"Landscape_{number}.jpg" for number in range(9)]


def decoded(path: Path) -> DecodedImage:
    raw = str(path).encode()
    return decode(read(raw), display_path(raw))


def distance(a: bytes, b: bytes) -> int:
    """Hamming."""
    return (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).bit_count()


def test_orientations_show_one_scene() -> None:
    scenes = [decoded(PHOTOS / "orientation" / name) for name in ORIENTATIONS]
    assert {(scene.info.width, scene.info.height) for scene in scenes} == {(1800, 1200)}
    assert len({scene.info.image_id for scene in scenes}) == 9
    average = [average_hash(scene.pixels) for scene in scenes]
    difference = [difference_hash(scene.pixels) for scene in scenes]
    # One cell lies within a grey level of the mean, so compression tips its bit; unturned, 18 to 35 differ.
    assert max(distance(a, b) for a in average for b in average) <= 1
    assert max(distance(a, b) for a in difference for b in difference) == 0


def test_objects_all_decode() -> None:
    paths = sorted((PHOTOS / "objects").glob("*.jpg"))
    assert paths
    for path in paths:
        image = decoded(path)
        assert image.pixels.mode == "RGB"
        assert RgbHistogram().extract(np.asarray(image.pixels)).sum() == pytest.approx(1, abs=1e-5)


def test_every_odd_file_gets_a_verdict_in_silence(capfd: pytest.CaptureFixture[str]) -> None:
    verdicts: Counter[str] = Counter()
    reasons: list[str] = []
    files = [path for path in sorted((PHOTOS / "odd").rglob("*")) if path.is_file()]
    for path in files:
        try:
            image = decoded(path)
        except DecodeError as error:
            reasons.append(error.reason)
            verdicts[error.kind] += 1
        else:
            assert (image.pixels.mode, image.pixels.size) == ("RGB", (image.info.width, image.info.height))
            verdicts["decoded"] += 1
    assert verdicts.total() == len(files)
    assert all(reason and reason.isprintable() for reason in reasons)
    assert verdicts["decoded"] > len(files) // 2
    assert set(verdicts) <= {
        "decoded",
        "NotAnImage",
        "UnsupportedFormat",
        "Corrupt",
        "Truncated",
        "TooManyPixels",
        "DecoderMissing",
    }
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("truncated_jpeg.jpg", "Truncated"),
        ("bmp/b/shortfile.bmp", "Truncated"),
        ("bmp/b/badwidth.bmp", "TooManyPixels"),
        ("seek_too_large.tif", "Corrupt"),
        ("duplicate_xref_entry.pdf", "NotAnImage"),
    ],
)
def test_verdict_names_what_is_wrong(name: str, kind: str) -> None:
    path = PHOTOS / "odd" / name
    if not path.exists():
        pytest.skip(f"no {path}")
    with pytest.raises(DecodeError) as caught:
        decoded(path)
    assert caught.value.kind == kind


@pytest.mark.parametrize("kind", ["jpg", "webp"])
def test_turned_copies_agree_with_each_other(kind: str) -> None:
    """Pillow's own samples: one portrait, stored in eight ways."""
    paths = sorted((PHOTOS / "odd").glob(f"hopper_orientation_?.{kind}"))
    if len(paths) < 2:
        pytest.skip("too few of them here")
    hashes = [difference_hash(decoded(path).pixels) for path in paths]
    assert max(distance(hashes[0], other) for other in hashes) <= 4


def test_walk_finds_every_photo() -> None:
    top = str(PHOTOS).encode()
    errors: list[bytes] = []
    found = [entry.path for entry in Walk([top], lambda path, _error: errors.append(path))]
    assert not errors
    assert len(found) == len(set(found)) == count(top)
    for path in (PHOTOS / "objects").glob("*.jpg"):
        assert str(path).encode() in found
