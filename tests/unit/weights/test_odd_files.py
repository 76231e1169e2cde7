"""Files of another shape, garbage, and hostile ones."""

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from unit.weights.files import Hostile, named, state_dict

from imrec_pg.errors import WeightsError
from imrec_pg.features import weight_files
from imrec_pg.features.weight_files import Tensors
from imrec_pg.features.weights import resolve

Change = Callable[[dict[str, object]], None]


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
