import importlib.util
import shutil
import socket
import sys
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

SCRIPT = Path(__file__).parents[2] / "examples" / "demo_photos.py"
NAMES = ("bright", "crop", "half", "mirror", "quality30")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("demo_photos", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def photos() -> Path:
    skimage = pytest.importorskip(
        "skimage", reason="scikit-image is in the demo extra: pip install '.[demo]'"
    )
    return Path(skimage.__file__).parent / "data"


@pytest.fixture(scope="module")
def folder(script: ModuleType, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert photos.is_dir()
    folder = tmp_path_factory.mktemp("demo") / "new" / "photos"
    assert script.main([str(folder)]) == 0
    return folder


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        pytest.fail("the script went to the network")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def pixels_of(path: Path) -> NDArray[np.float64]:
    with Image.open(path) as image:
        return np.asarray(image, dtype=np.float64)


def contents_of(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_originals_are_the_files_of_scikit_image(folder: Path, photos: Path) -> None:
    originals = sorted((folder / "originals").iterdir())
    assert {"astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg"} <= {path.name for path in originals}
    assert len(originals) >= 10
    for original in originals:
        assert original.read_bytes() == (photos / original.name).read_bytes()


def test_each_original_has_five_altered_copies(folder: Path) -> None:
    stems = sorted(path.stem for path in (folder / "originals").iterdir())
    altered = sorted(path.name for path in (folder / "altered").iterdir())
    assert altered == sorted(f"{stem}-{name}.jpg" for stem in stems for name in NAMES)


def test_what_is_no_photograph_is_left_out(folder: Path) -> None:
    stems = {path.stem for path in (folder / "originals").iterdir()}
    drawn = {"chessboard_GRAY", "chessboard_RGB", "color", "horse", "logo", "phantom", "multipage", "cell"}
    assert not stems & drawn


def test_sizes_of_the_copies(folder: Path) -> None:
    assert size_of(folder / "originals" / "astronaut.png") == (512, 512)
    altered = {name: size_of(folder / "altered" / f"astronaut-{name}.jpg") for name in NAMES}
    full = (512, 512)
    # A tenth, 51 pixels, is cut from each edge.
    assert altered == {
        "bright": full,
        "crop": (410, 410),
        "half": (256, 256),
        "mirror": full,
        "quality30": full,
    }


def test_contents_of_the_copies(folder: Path) -> None:
    original = pixels_of(folder / "originals" / "chelsea.png")
    expected = {
        "bright": np.minimum(original * 1.3, 255),
        "crop": original[30:270, 45:406],
        "mirror": original[:, ::-1],
        "quality30": original,
    }
    for name, pixels in expected.items():
        found = pixels_of(folder / "altered" / f"chelsea-{name}.jpg")
        assert np.abs(found - pixels).mean() < 5, name  # of 255; JPEG alone makes 1 to 3


def test_quality_30_is_that_of_libjpeg(folder: Path) -> None:
    """libjpeg scales its table, which begins with 16, by 5000 / 30 percent: 27."""
    with Image.open(folder / "altered" / "coffee-quality30.jpg") as image:
        assert image.quantization[0][0] == 27  # type: ignore[attr-defined]


def test_grey_photos_stay_grey(folder: Path) -> None:
    for path in [folder / "originals" / "camera.png", *(folder / "altered").glob("camera-*.jpg")]:
        with Image.open(path) as image:
            assert image.mode == "L", path.name


def test_a_second_run_rewrites_nothing(
    script: ModuleType, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert script.main([str(folder)]) == 0
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert "(0 written, " in printed.err


@pytest.mark.usefixtures("no_network")
def test_another_folder_gets_the_same_bytes_without_network(
    script: ModuleType, folder: Path, tmp_path: Path
) -> None:
    assert script.main([str(tmp_path)]) == 0
    assert contents_of(tmp_path) == contents_of(folder)


def test_a_run_cut_short_is_completed(script: ModuleType, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "altered" / "coffee-crop.jpg").unlink()
    (tmp_path / "originals" / "coffee.png").unlink()
    assert script.main([str(tmp_path)]) == 0
    assert contents_of(tmp_path) == contents_of(folder)


@pytest.mark.usefixtures("photos")
def test_a_folder_that_cannot_be_is_one_line(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert script.main([str(tmp_path / "file")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_without_scikit_image_it_says_what_to_install(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)
    assert script.main([str(tmp_path)]) == 1
    assert "pip install 'imrec-pg[demo]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
