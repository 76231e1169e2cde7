"""The real weights as files, and a user without any."""

import hashlib
import os
import socket
from pathlib import Path

import pytest
import torch
from safetensors.numpy import save_file
from unit.weights.files import state_dict

from imrec_pg import settings
from imrec_pg.features import weight_sources
from imrec_pg.features.weight_files import Tensors
from imrec_pg.features.weights import Weights
from imrec_pg.settings import Settings


@pytest.fixture(scope="session")
def real(real_weights: Weights) -> Tensors:
    return dict(real_weights.tensors)


@pytest.fixture(scope="session")
def files(real: Tensors, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the real weights as real.safetensors and as real.pth, the latter with its counters."""
    folder = tmp_path_factory.mktemp("weights")
    save_file(real, folder / "real.safetensors")
    torch.save(state_dict(real), folder / "real.pth")
    return folder


@pytest.fixture
def empty_home(tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A user without any weights, for whom PyTorch's host refuses and pip's index is empty.

    real.pth counts as PyTorch's own file.
    """
    ours = hashlib.sha256((files / "real.pth").read_bytes()).hexdigest()
    monkeypatch.setattr(weight_sources, "HOST_FILE_SHA256", ours)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    monkeypatch.setattr(weight_sources, "HOST_URL", f"http://127.0.0.1:{port}/resnet18-f37072fd.pth")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("TORCH_HOME", raising=False)
    return settings.load(environ={})
