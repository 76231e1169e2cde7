"""Nothing of the image libraries' chatter reaches stderr."""

import io
import struct
import threading
import warnings
from pathlib import Path

import pytest
from PIL import Image
from support_images import decoded, noise, saved

from imrec_pg.errors import DecodeError
from imrec_pg.images.decode import silence


def test_warning_about_a_good_picture_stays_quiet() -> None:
    """The MPO index is broken, so Pillow warns and reads a plain JPEG."""
    jpeg = saved(noise(), "JPEG")
    index = b"MPF\0" + b"II*\0" + struct.pack("<IHHHII", 8, 1, 0xB001, 4, 1, 2) + bytes(4)
    data = jpeg[:2] + b"\xff\xe2" + struct.pack(">H", len(index) + 2) + index + jpeg[2:]
    with pytest.warns(UserWarning, match="malformed MPO"), Image.open(io.BytesIO(data)):
        pass
    assert decoded(data).info.format == "JPEG"


def test_libtiff_does_not_write_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    data = saved(noise(), "TIFF", compression="tiff_lzw")
    broken = data[:8] + bytes(v ^ 0x55 for v in data[8:200]) + data[200:]
    with pytest.raises(OSError, match="decoder error"), Image.open(io.BytesIO(broken)) as image:
        image.load()
    assert capfd.readouterr().err  # else this test would prove nothing
    with pytest.raises(DecodeError):
        decoded(broken)
    assert capfd.readouterr().err == ""


def test_stderr_works_again_after_silence(capfd: pytest.CaptureFixture[str]) -> None:
    def fail_inside() -> None:
        with silence(native=True):
            Path("/dev/stderr").write_text("lost")
            raise ValueError("passes through")

    with pytest.raises(ValueError, match="passes through"):
        fail_inside()
    Path("/dev/stderr").write_text("heard")
    assert capfd.readouterr().err == "heard"


def test_threads_leave_the_warning_filters_as_they_were() -> None:
    data = saved(noise(), "JPEG")
    before = list(warnings.filters)
    threads = [threading.Thread(target=lambda: [decoded(data) for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before
