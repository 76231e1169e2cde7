"""Nothing but the weights is ever asked of the network, and nothing but our cache comes into the home folder."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
from e2e.command import Imrec, clean_environ
from e2e.photos import save, save_scenes, scene

from imrec_pg.embedded import EmbeddedServer
from imrec_pg.features.weight_files import to_safetensors
from imrec_pg.features.weights import Weights

# openvino's telemetry sends nothing where one of these says that it runs in a test.
_HIDE_IT = ("CI", "TF_BUILD", "JENKINS_URL")
_PYTHON = re.compile(r"python[0-9.]*")


@dataclass(frozen=True)
class Offline:
    """A user with weights in the cache, and no network.

    Attributes:
        environ: of this user.
        attempts: what was tried, if anything.
    """

    environ: dict[str, str]
    attempts: Path

    def tried(self) -> str:
        """Return all uses of the network."""
        lines = self.attempts.read_text().splitlines(keepends=True) if self.attempts.exists() else []
        return "".join(line for line in lines if not line.startswith("program "))

    def programs(self) -> set[str]:
        """Return the names of the programs that were started, without Python."""
        lines = self.attempts.read_text().splitlines() if self.attempts.exists() else []
        started = {line.removeprefix("program ") for line in lines if line.startswith("program ")}
        return {name for name in started if not _PYTHON.fullmatch(name)}

    def home(self) -> list[str]:
        """Return what is in the home folder, but for our own cache."""
        home = Path(self.environ["HOME"])
        ours = home / ".cache" / "imrec-pg"
        found = [path for path in home.rglob("*") if path not in {ours, ours.parent}]
        return sorted(str(path) for path in found if ours not in path.parents)

    def python(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Return an ended Python."""
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, env=self.environ, capture_output=True, text=True, timeout=240, check=False
        )


@pytest.fixture
def offline(tmp_path: Path, real_weights: Weights) -> Offline:
    for folder in ("home/.cache/imrec-pg", "poison"):
        (tmp_path / folder).mkdir(parents=True)
    cached = tmp_path / "home/.cache/imrec-pg/resnet18-68d5403d.safetensors"
    cached.write_bytes(to_safetensors(dict(real_weights.tensors)))
    shutil.copy(Path(__file__).with_name("poison.py"), tmp_path / "poison" / "sitecustomize.py")
    environ = {
        name: value
        for name, value in clean_environ().items()
        if name not in {*_HIDE_IT, "TORCH_HOME"} and not name.startswith("XDG_")
    }
    # The benchmarks are not installed.
    paths = [str(tmp_path / "poison"), str(Path(__file__).parents[2])]
    return Offline(
        environ
        | {
            "HOME": str(tmp_path / "home"),
            "PYTHONPATH": os.pathsep.join(paths),
            "IMREC_TEST_ATTEMPTS": str(tmp_path / "attempts"),
        },
        tmp_path / "attempts",
    )


def test_commands_stay_off_the_network_and_out_of_the_home_folder(
    offline: Offline, url: str, folder: Path, tmp_path: Path
) -> None:
    stored = save_scenes(folder, range(12))
    new = save(tmp_path / "new.png", scene(100, 96, 72))
    run = Imrec(offline.environ).on(url)
    calls: Sequence[Sequence[str | Path]] = [
        ("ingest", folder),
        ("search", new, "--plot", tmp_path / "alike.png"),
        ("search", new, "--fuse"),
        ("search", stored[0]),
        ("embed", new),
        ("weights",),
        ("weights", "--no-fetch"),
        ("export", tmp_path / "exported"),
        ("status",),
        ("tune",),
        ("doctor",),
    ]
    mapping: Sequence[Sequence[str | Path]] = [
        ("cluster", "build", "--plot", tmp_path / "elbow.png"),
        ("map", "build", "--dims", "2"),
        ("map", "show"),
        ("map", "plot", tmp_path / "map.png"),
        ("map", "export", "--html", tmp_path / "map.html"),
        ("export", "--projector", tmp_path / "projector"),
    ]
    if find_spec("umap"):
        calls = [*calls, *mapping]
    for call in calls:
        run(*call)
        assert offline.tried() == "", call
    # matplotlib asks fontconfig which fonts there are, the first time.
    assert offline.programs() <= {"fc-list"}
    assert offline.home() == []


@pytest.mark.slow
def test_a_benchmark_stays_off_the_network(offline: Offline, server: EmbeddedServer) -> None:
    pytest.importorskip("skimage", reason="scikit-image brings the photos: the extra [bench]")
    asked = ("ingest", "--images", "4", "--repeat", "1", "--seconds", "0", "--dsn", server.dsn)
    done = offline.python("-m", "benchmarks", *asked)
    assert done.returncode == 0, done.stderr
    assert offline.tried() == ""
    assert offline.home() == []


def test_torch_stays_off_the_network_too(offline: Offline) -> None:
    script = (
        "import numpy as np\n"
        "from imrec_pg import settings\n"
        "from imrec_pg.features import embedding, weights\n"
        "found = weights.resolve(settings.load(environ={}), fetch=False)\n"
        "print(embedding.Embedder(found, device='cpu').embed([np.zeros((224, 224, 3), np.uint8)]).shape)\n"
    )
    done = offline.python("-c", script)
    assert done.stdout == "(1, 512)\n", done.stderr
    assert offline.tried() == ""
    assert offline.home() == []


def test_no_module_uses_the_network_when_imported(offline: Offline) -> None:
    script = (
        "import importlib, pkgutil, benchmarks, imrec_pg\n"
        "from importlib.util import find_spec\n"
        "for package in (imrec_pg, benchmarks):\n"
        "    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        if not module.name.endswith('.__main__'):\n"
        "            importlib.import_module(module.name)\n"
        "for name in ('skimage.io', 'skimage.data', 'sklearn.metrics', 'pyarrow.parquet', 'rawpy', 'pillow_heif', "
        "'umap'):\n"
        "    if find_spec(name.partition('.')[0]):\n"
        "        importlib.import_module(name)\n"
        "print('done')\n"
    )
    done = offline.python("-c", script)
    assert done.stdout == "done\n", done.stderr
    assert offline.tried() == ""
    assert offline.home() == []


@pytest.mark.parametrize(
    "script",
    [
        "import socket; socket.getaddrinfo('localhost', 80)",
        "import _socket; _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)",
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import socket; socket.socket()'])",
        "from urllib.request import urlopen; urlopen('http://127.0.0.1:9/')",
    ],
)
def test_the_poison_works(script: str, offline: Offline) -> None:
    offline.python("-c", script)
    assert "in ['-c']" in offline.tried()


def test_openvino_is_imported_in_one_place_only() -> None:
    root = Path(__file__).parents[2]
    imports = re.compile(
        r"^\s*(import|from) openvino\b|(importorskip|import_module)\(.openvino\b", re.MULTILINE
    )
    found = [
        str(path.relative_to(root))
        for folder in ("imrec_pg", "benchmarks", "examples", "tests")
        for path in (root / folder).rglob("*.py")
        if imports.search(path.read_text())
    ]
    assert found == ["imrec_pg/features/openvino_model.py"]


@pytest.mark.parametrize(
    "theirs", ["", "import types; sys.modules['openvino_telemetry'] = types.ModuleType('t')"]
)
def test_a_program_that_imported_the_telemetry_before_keeps_it(theirs: str, offline: Offline) -> None:
    script = (
        f"import sys; {theirs or 'pass'}\n"
        "before = sys.modules.get('openvino_telemetry')\n"
        "from imrec_pg.features.openvino_model import import_openvino\n"
        "print(import_openvino().__name__, sys.modules.get('openvino_telemetry') is before)\n"
    )
    done = offline.python("-c", script)
    assert done.stdout == "openvino True\n", done.stderr
    assert offline.tried() == ""
    assert offline.home() == []
