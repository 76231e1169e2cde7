"""Weights that the user names: the real ones, others on request."""

import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from unit.weights.files import IMAGENET1K_V1, cache_file, named, state_dict

from imrec_pg.errors import WeightsError
from imrec_pg.features import weight_files
from imrec_pg.features.weight_files import Tensors
from imrec_pg.features.weights import RESNET18_SHA256, Weights, resolve, state
from imrec_pg.settings import Settings


def test_weights_are_imagenet1k_v1(real_weights: Weights) -> None:
    sha = hashlib.sha256()
    for name, array in sorted(real_weights.tensors.items()):
        sha.update(name.encode() + array.tobytes())
    assert sha.hexdigest() == real_weights.sha256 == RESNET18_SHA256 == IMAGENET1K_V1
    assert len(real_weights.tensors) == 102


def test_digest_is_over_names_and_little_endian_values_sorted_by_name() -> None:
    tensors = {"b": np.array([3], ">f4"), "a": np.array([[1, 2], [4, 5]], "<f4").T}
    expected = b"a" + struct.pack("<4f", 1, 4, 2, 5) + b"b" + struct.pack("<f", 3)
    assert weight_files.digest(tensors) == hashlib.sha256(expected).hexdigest()


@pytest.mark.parametrize("name", ["real.safetensors", "real.pth"])
def test_named_file_is_taken_and_kept_in_the_cache(name: str, files: Path, empty_home: Settings) -> None:
    assert not cache_file().exists()
    weights = resolve(named(files / name))
    assert (weights.sha256, weights.path) == (IMAGENET1K_V1, files / name)
    assert "named by the user" in weights.source
    assert resolve(empty_home, fetch=False).path == cache_file()


@pytest.mark.usefixtures("empty_home")
def test_missing_named_file_is_an_error_though_others_would_do(files: Path) -> None:
    resolve(named(files / "real.safetensors"))
    with pytest.raises(WeightsError, match=r"/nowhere\.pth: No such file"):
        resolve(named(Path("/nowhere.pth")))


@pytest.mark.usefixtures("empty_home")
def test_folder_as_named_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="Is a directory"):
        resolve(named(tmp_path))


def test_other_weights_are_taken_only_on_request(real: Tensors, empty_home: Settings, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_file({**real, "bn1.bias": real["bn1.bias"] + 1}, other)
    with pytest.raises(
        WeightsError, match=r"other\.safetensors is no known file.*another model.*must be allowed"
    ):
        resolve(named(other))
    weights = resolve(named(other), allow_other=True)
    assert weights.sha256 == weight_files.digest(load_file(other)) != IMAGENET1K_V1
    assert not cache_file().exists()
    assert state(empty_home).taken is None


def test_other_weights_may_have_another_last_layer(real: Tensors, tmp_path: Path) -> None:
    other = tmp_path / "places365.pth"
    entries = state_dict(real) | {"fc.weight": torch.zeros(365, 512), "fc.bias": torch.zeros(365)}
    torch.save(entries, other)
    assert resolve(named(other), allow_other=True).tensors["fc.weight"].shape == (365, 512)
