"""Worker processes have the rights of nobody, and need no file once they are ready."""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from dng import dng
from PIL import ExifTags, Image, features
from support_images import content_of, noise, saved

from imrec_pg.bounded.limits import ProcessLimits
from imrec_pg.errors import DecodeError
from imrec_pg.extraction import extract
from imrec_pg.ingest.workers import Workers
from imrec_pg.records import Feature

T = TypeVar("T")

_LIMITS = ProcessLimits(memory=1 << 30, cpu_s=30)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to give up")

# Reads the contents first, loads the libraries, and from then on says which files are opened and modules looked for.
_DECODE_ALL = """
import sys
from imrec_pg import extraction
from imrec_pg.errors import DecodeError
from imrec_pg.images.content import FileContent, image_id_of
from imrec_pg.records import Feature
contents = [(name, open(name, "rb").read()) for name in sys.argv[1:]]
extraction.load_libraries()
def say(event, arguments):
    if event in ("open", "import"):
        print(event, arguments[0], flush=True)
sys.addaudithook(say)
for name, data in contents:
    try:
        extraction.extract(FileContent(data, len(data), 0, image_id_of(data)), name, frozenset(Feature))
    except DecodeError as error:
        print("failed", error.kind)
    else:
        print("decoded")
"""

# The same of all that a search asks its decoders for; and that a function made something.
_ASK_ALL = """
import sys
from imrec_pg import decoding
from imrec_pg.images.content import DEFAULT_LIMITS, FileContent, image_id_of
from imrec_pg.records import Feature
data = open(sys.argv[1], "rb").read()
content = FileContent(data, len(data), 0, image_id_of(data))
decoding.load_libraries()
def say(event, arguments):
    if event in ("open", "import"):
        print(event, arguments[0], flush=True)
sys.addaudithook(say)
decoding.extract_or_error(content, "a", frozenset(Feature), DEFAULT_LIMITS).features
decoding.copies_or_error(content, "a")[0].features
decoding.thumbnail_or_error(content, "a", 16).width
decoding.square_or_error(content, "a", 16).width
"""


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    started = Workers(1, os.getresuid)
    yield started
    started.stop()


def run(workers: Workers, function: Callable[..., T], *arguments: object) -> T:
    return workers.schedule(function, arguments, _LIMITS, 60).result()


@needs_root
def test_workers_of_root_belong_to_nobody_for_good(workers: Workers) -> None:
    uids = run(workers, os.getresuid)
    assert len(set(uids)) == len(set(run(workers, os.getresgid))) == 1
    assert 0 not in uids
    assert run(workers, os.getgroups) == []
    with pytest.raises(PermissionError):
        run(workers, os.setuid, 0)


@needs_root
def test_workers_of_root_read_and_write_nothing_of_root(workers: Workers, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("only for root")
    secret.chmod(0o600)
    with pytest.raises(PermissionError):
        run(workers, os.open, str(secret), os.O_RDONLY)
    with pytest.raises(PermissionError):
        run(workers, os.mkdir, str(tmp_path / "made"))
    with pytest.raises(PermissionError):
        run(workers, os.kill, os.getpid(), 0)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has no_new_privs")
def test_no_program_that_a_worker_starts_can_gain_rights(workers: Workers) -> None:
    status = run(workers, partial(Path.read_text, Path("/proc/self/status")))
    assert "NoNewPrivs:\t1" in status.splitlines()
    assert "NoNewPrivs:\t0" in Path("/proc/self/status").read_text().splitlines()


def test_decoders_open_no_file_and_load_no_module_once_they_are_ready(tmp_path: Path) -> None:
    image = noise(64, 48)
    tags = Image.Exif()
    tags[ExifTags.Base.DateTime] = "2024:05:06 07:08:09"
    photos = {
        "a.jpg": saved(image, "JPEG", exif=tags),
        "progressive.jpg": saved(image, "JPEG", progressive=True),
        "a.png": saved(image, "PNG"),
        "palette.png": saved(image.convert("P"), "PNG"),
        "a.webp": saved(image, "WEBP"),
        "a.gif": saved(image, "GIF"),
        "a.bmp": saved(image, "BMP"),
        "a.tif": saved(image, "TIFF"),
        "zip.tif": saved(image, "TIFF", compression="tiff_deflate"),
        "cmyk.tif": saved(image.convert("CMYK"), "TIFF"),
        "lab.tif": saved(image.convert("RGB").convert("LAB"), "TIFF")
        if features.check("littlecms2")
        else b"",
        "float.tif": saved(image.convert("F"), "TIFF"),
        "deep.png": saved(image.convert("I;16"), "PNG"),
        "a.mpo": saved(image, "MPO"),
    }
    if features.check("avif"):
        photos["a.avif"] = saved(image, "AVIF")
    try:
        import pillow_heif

        pillow_heif.register_heif_opener()
        photos["a.heic"] = saved(image, "HEIF")
    except ImportError:
        pass
    try:
        import rawpy  # noqa: F401

        photos["a.dng"] = dng(np.asarray(image, dtype=np.float64) / 255)
    except ImportError:
        pass
    photos = {name: data for name, data in photos.items() if data}
    broken = {f"cut-{name}": data[: len(data) * 2 // 3] for name, data in photos.items()}
    for name, data in (photos | broken).items():
        (tmp_path / name).write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", _DECODE_ALL, *photos, *broken],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line != f"open {os.devnull}"]
    opened = [line for line in lines if line.startswith(("open", "import"))]
    assert opened == [], done.stdout + done.stderr
    assert lines[: len(photos)] == ["decoded"] * len(photos)
    assert len(lines) == len(photos) + len(broken)


def test_decoders_of_searches_open_no_file_and_load_no_module_once_they_are_ready(tmp_path: Path) -> None:
    photo = tmp_path / "a.jpg"
    photo.write_bytes(saved(noise(64, 48), "JPEG"))
    done = subprocess.run(
        [sys.executable, "-c", _ASK_ALL, str(photo)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


class Hostile:
    """A result that would run a program in the main process."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch '{self.mark}'",)


def hostile(mark: Path) -> Hostile:
    return Hostile(mark)


def unknown() -> object:
    return Image.new("L", (1, 1))


def test_a_result_that_is_a_program_is_not_run(tmp_path: Path) -> None:
    workers = Workers(1, hostile)
    try:
        future = workers.schedule(hostile, (tmp_path / "mark",), _LIMITS, 60)
        with pytest.raises(BrokenExecutor):
            future.result()
    finally:
        workers.stop()
    assert not (tmp_path / "mark").exists()
    pickle.loads(pickle.dumps(Hostile(tmp_path / "mark")))  # noqa: S301 - shows that the sample is live
    assert (tmp_path / "mark").exists()


def test_a_result_of_another_type_breaks_the_pool(tmp_path: Path) -> None:
    workers = Workers(1, unknown)
    try:
        with pytest.raises(BrokenExecutor):
            workers.schedule(unknown, (), _LIMITS, 60).result()
    finally:
        workers.stop()
    assert list(tmp_path.iterdir()) == []


def test_results_and_errors_of_decoders_arrive_as_they_were_sent(workers: Workers) -> None:
    tags = Image.Exif()
    tags[ExifTags.Base.DateTime] = "2024:05:06 07:08:09"
    tags[ExifTags.Base.Make] = "a camera"
    content = content_of(saved(noise(300, 200), "JPEG", exif=tags))
    here, there = (
        extract(content, "a.jpg", frozenset(Feature)),
        run(workers, extract, content, "a.jpg", frozenset(Feature)),
    )
    assert there.info == here.info
    assert here.crop is not None
    assert there.crop is not None
    np.testing.assert_array_equal(there.crop, here.crop)
    assert here.features.histogram is not None
    assert there.features.histogram is not None
    np.testing.assert_array_equal(there.features.histogram, here.features.histogram)
    assert there.features.perceptual_hash == here.features.perceptual_hash
    with pytest.raises(DecodeError, match="not an image"):
        run(workers, extract, content_of(b"no photo"), "a.jpg", frozenset(Feature))
    with pytest.raises(ZeroDivisionError):
        run(workers, divmod, 1, 0)
