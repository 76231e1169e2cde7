"""Files of weights that strangers made: nothing is parsed before its checksum, nor larger than it claims."""

import hashlib
import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load

from imrec_pg import settings
from imrec_pg.errors import OtherModelWeightsError, WeightsError
from imrec_pg.features import weight_files, weights
from imrec_pg.features.weight_files import Tensors
from imrec_pg.settings import Settings

Change = Callable[[dict[str, torch.Tensor]], object]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the home folder of a user without weights."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("TORCH_HOME", raising=False)
    return tmp_path


def named(path: Path) -> Settings:
    return settings.load(weights=path, environ={})


def small_tensors() -> dict[str, torch.Tensor]:
    """Return entries of the names and shapes of ResNet-18."""
    return {name: torch.zeros(shape) for name, shape in weight_files._trunk_shapes().items()}


def forbid_parsers(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(data: bytes) -> Tensors:
        raise AssertionError(f"parsed {len(data)} bytes")

    for name in ("parse_pth", "parse_safetensors", "parse_wheel_pickle"):
        monkeypatch.setattr(weight_files, name, parse)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_strange_file_is_not_parsed_unless_asked_for(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_parsers(monkeypatch)
    path = tmp_path / f"strange{suffix}"
    path.write_bytes(b"whatever a parser may fall for")
    with pytest.raises(OtherModelWeightsError) as caught:
        weights.resolve(named(path))
    assert caught.value.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert weights.state(named(path)).taken is None


def test_a_strange_file_in_a_cache_is_never_parsed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_parsers(monkeypatch)
    cached = home / "cache" / "imrec-pg" / "resnet18-68d5403d.safetensors"
    for path in (cached, weights.hub_path()):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"whatever a parser may fall for")
    for allow_other in (False, True):
        with pytest.raises(WeightsError, match=r"no file of these weights.*no file of these weights"):
            weights.resolve(settings.load(environ={}), allow_other=allow_other, fetch=False)


def test_the_copy_in_the_cache_has_the_bytes_that_are_known(real_weights: weights.Weights) -> None:
    data = weight_files.to_safetensors(dict(real_weights.tensors))
    assert hashlib.sha256(data).hexdigest() == weights.CACHE_FILE_SHA256
    parsed = load(data)  # by the format's own library
    assert parsed.keys() == real_weights.tensors.keys()
    for name, array in real_weights.tensors.items():
        np.testing.assert_array_equal(parsed[name], array)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda entries: entries.update({"fc.weight": torch.zeros(1).expand(10**9, 512)}),
            "fc.weight claims more values than the file has",
        ),
        (
            lambda entries: entries.update({"conv1.weight": torch.zeros(1).expand(64, 3, 10**6, 10**6)}),
            "conv1.weight has shape",
        ),
        (
            lambda entries: entries.update({"bn1.bias": torch.zeros(64).to_sparse()}),
            "bn1.bias holds no plain values",
        ),
        (
            lambda entries: entries.update({"bn1.bias": torch.zeros(64, device="meta")}),
            "bn1.bias holds no plain values",
        ),
    ],
)
@pytest.mark.usefixtures("home")
def test_shapes_are_checked_before_values_are_copied(change: Change, message: str, tmp_path: Path) -> None:
    entries = small_tensors()
    change(entries)
    torch.save(entries, tmp_path / "odd.pth")
    with pytest.raises(WeightsError, match=message):
        weights.resolve(named(tmp_path / "odd.pth"), allow_other=True)


@pytest.mark.usefixtures("home")
def test_an_archive_that_grows_when_unpacked_is_refused(tmp_path: Path) -> None:
    plain, path = io.BytesIO(), tmp_path / "bomb.pth"
    torch.save(small_tensors(), plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    assert path.stat().st_size < len(plain.getvalue()) // 40
    with pytest.raises(WeightsError, match="its archive is compressed"):
        weights.resolve(named(path), allow_other=True)


@pytest.mark.usefixtures("home")
def test_what_is_no_file_of_a_possible_size_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pth")
    (tmp_path / "large.pth").touch()
    os.truncate(tmp_path / "large.pth", 2**40)
    for path, message in (
        (tmp_path / "pipe.pth", "not a regular file"),
        (Path("/dev/zero"), "not a regular file"),
        (tmp_path / "large.pth", "1,099,511,627,776 bytes, far more"),
    ):
        for allow_other in (False, True):
            with pytest.raises(WeightsError, match=message):
                weights.resolve(named(path), allow_other=allow_other)
