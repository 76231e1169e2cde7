"""The model on a CPU: the same ResNet-18 as features.embedding, run by OpenVINO instead of torch.

There it is up to five times as fast, and loads in a fraction of torch's time (docs/adr/0010).
"""

import importlib
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from imrec_pg.errors import WeightsError
from imrec_pg.features.embedding import CROP_SIZE, DIMENSIONS, MEAN, STD
from imrec_pg.features.quantization import RANGES, quantized, quantized_for_pixels
from imrec_pg.features.weights import RESNET18_SHA256, Weights
from imrec_pg.records import ModelIdentity, RgbArray

if TYPE_CHECKING:
    import openvino

Precision = Literal["auto", "f32", "bf16", "int8"]

# torch.nn.BatchNorm2d's default, which the weights were trained with.
_EPSILON: Final = 1e-5
_BLOCKS: Final = tuple(
    (f"layer{layer}.{block}", 2 if layer > 1 > block else 1) for layer in (1, 2, 3, 4) for block in (0, 1)
)
# Of the first convolution. In 8 bits the padding is added before the model, in pixels, where zero after
# normalisation is the mean colour; rounding that to whole numbers costs less than 1e-5 of cosine.
_PADDING: Final = 3
_MEAN_COLOUR: Final = np.rint(np.array(MEAN) * 255).astype(np.uint8)

_TELEMETRY: Final = "openvino_telemetry"

Tensors = Mapping[str, NDArray[np.float32]]
Node = Any  # OpenVINO's nodes and outputs share no public type


class OpenVinoEmbedder:
    """ResNet-18 without its last layer.

    Args:
        weights: from resolve().
        threads: how many to compute with; None for one per core.
        precision: of the computation. "auto" is "int8" if the CPU multiplies bytes fast (VNNI) but not
            bfloat16 as well (AMX) and the weights are torchvision's, else "bf16" if the CPU has it, else
            "f32". Cosine with float32 on photos: 0.9999 for "bf16", 0.9995 (median) for "int8".

    Attributes:
        identity: the model and the version of the extraction.
        device: "cpu".
        precision: the one in use, never "auto".

    Raises:
        WeightsError: the weights do not fit the model, or "int8" has no ranges for them.
    """

    def __init__(
        self, weights: Weights, *, threads: int | None = None, precision: Precision = "auto"
    ) -> None:
        openvino = import_openvino()
        self.identity = ModelIdentity("resnet18", weights.sha256)
        self.device = "cpu"
        self._source = weights.source
        known = weights.sha256 == RESNET18_SHA256
        if precision == "int8" and not known:
            raise WeightsError(f"int8 works only with torchvision's weights, not those from {weights.source}")
        in_bytes = precision == "int8" or (precision == "auto" and known and _multiplies_bytes_best())
        try:
            model = _build(_Int8Layers(weights.tensors) if in_bytes else _FloatLayers(weights.tensors))
        except KeyError as error:
            raise WeightsError(f"the weights from {weights.source} do not fit: {error} is missing") from error
        # A thread pinned to a core waits while a decoder keeps that core busy, and the others wait for it.
        options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False}
        if threads is not None:
            options["INFERENCE_NUM_THREADS"] = threads
        # By default OpenVINO uses bfloat16 if the CPU has instructions for it, else float32.
        if precision != "auto" or in_bytes:
            options["INFERENCE_PRECISION_HINT"] = "bf16" if precision == "bf16" else "f32"
        self._model = openvino.Core().compile_model(model, "CPU", options)
        floats = self._model.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        self.precision = "int8" if in_bytes else str(floats)
        self._padding = _PADDING if in_bytes else 0

    def embed(self, crops: Sequence[RgbArray]) -> NDArray[np.float32]:
        """Return float32 (n, 512), C-contiguous, one row for each crop; crops are uint8 (224, 224, 3) RGB.

        Raises:
            WeightsError: a value is not finite.
        """
        if not crops:
            return np.empty((0, DIMENSIONS), dtype=np.float32)
        rows = np.array(self._model(self._pixels(crops))[0], dtype=np.float32)
        if not np.isfinite(rows).all():
            raise WeightsError(f"the model from {self._source} gives values that are not finite")
        return rows

    def _pixels(self, crops: Sequence[RgbArray]) -> NDArray[np.uint8]:
        first, last = self._padding, self._padding + CROP_SIZE
        size = last + self._padding
        pixels = np.empty((len(crops), size, size, 3), dtype=np.uint8)
        if self._padding:
            pixels[:] = _MEAN_COLOUR
        for row, crop in zip(pixels, crops, strict=True):
            row[first:last, first:last] = crop
        return pixels


def import_openvino() -> Any:  # noqa: ANN401 - a module without types
    """Return the package openvino, without its telemetry. Import it nowhere else.

    Its __init__ imports openvino.tools.ovc, which reports each import to an analytics host, with a lasting id
    that it keeps in ~/intel, unless the package openvino_telemetry is missing. So it is made to be missing; a
    program that has imported it before keeps its own.
    """
    if "openvino" in sys.modules:
        return importlib.import_module("openvino")
    theirs = sys.modules.get(_TELEMETRY)
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # None means: no such module
    try:
        return importlib.import_module("openvino")
    finally:
        # None stays: a later version may report when a model is compiled.
        if theirs is not None:
            sys.modules[_TELEMETRY] = theirs


def _operations() -> Any:  # noqa: ANN401 - a module without types
    return import_openvino().opset13


def _multiplies_bytes_best() -> bool:
    """Return whether 8-bit integers are this CPU's fastest arithmetic; False if that cannot be told.

    With AMX, bfloat16 is fast enough. Without VNNI, bytes are summed in 16 bits, which overflow.
    """
    if platform.machine() not in {"x86_64", "AMD64"}:
        return False
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux
        return False
    lines = (line for line in text.splitlines() if line.startswith("flags"))
    flags = set(next(lines, "").split())
    return not flags.isdisjoint({"avx512_vnni", "avx_vnni"}) and "amx_bf16" not in flags


class _FloatLayers:
    """The layers in floating point."""

    def __init__(self, tensors: Tensors) -> None:
        self.tensors = tensors

    def stem(self) -> tuple[Node, Node]:
        """Return the input node, uint8 (n, 224, 224, 3), and its first convolution."""
        op = _operations()
        pixels = _pixels_node(CROP_SIZE)
        mean, std = (np.array(values, dtype=np.float32).reshape(1, 3, 1, 1) for values in (MEAN, STD))
        x = op.divide(op.transpose(op.convert(pixels, "f32"), [0, 3, 1, 2]), op.constant(np.float32(255)))
        x = op.divide(op.subtract(x, op.constant(mean)), op.constant(std))
        return pixels, self.convolution(x, "conv1", "bn1", stride=2, padding=_PADDING)

    def convolution(self, x: Node, name: str, norm: str, *, stride: int, padding: int) -> Node:
        """Return a convolution, batch normalisation included."""
        op = _operations()
        kernel, bias = _folded(self.tensors, name, norm)
        return _convolved(x, op.constant(kernel.astype(np.float32)), bias, stride, padding)

    def activation(self, x: Node, name: str) -> Node:  # noqa: ARG002 - for _Int8Layers
        """Return the values above zero."""
        op = _operations()
        return op.relu(x)


class _Int8Layers(_FloatLayers):
    """The layers in 8-bit integers, which OpenVINO derives from nodes of fake quantization."""

    def stem(self) -> tuple[Node, Node]:
        """Return the input node, uint8 (n, 230, 230, 3) with the padding, and its first convolution."""
        op = _operations()
        pixels = _pixels_node(CROP_SIZE + 2 * _PADDING)
        x = _fake_quantized(op.convert(op.transpose(pixels, [0, 3, 1, 2]), "f32"), 255)
        kernel, bias = _folded(self.tensors, "conv1", "bn1")
        # The normalisation moves into the weights, so that the input is plain pixels.
        steps, scales = quantized_for_pixels(kernel / (255 * np.array(STD).reshape(1, 3, 1, 1)))
        mean = 255 * np.array(MEAN)
        bias = bias - scales * np.einsum("oihw,i->o", steps, mean)
        return pixels, _convolved(x, _dequantized(steps, scales), bias, stride=2, padding=0)

    def convolution(self, x: Node, name: str, norm: str, *, stride: int, padding: int) -> Node:
        """Return a convolution, batch normalisation included."""
        kernel, bias = _folded(self.tensors, name, norm)
        return _convolved(x, _dequantized(*quantized(kernel)), bias, stride, padding)

    def activation(self, x: Node, name: str) -> Node:
        """Return the values above zero, in 256 steps."""
        x = super().activation(x, name)
        # No convolution follows the last one, which stays in floating point.
        return _fake_quantized(x, RANGES[name]) if name in RANGES else x


def _build(layers: _FloatLayers) -> "openvino.Model":
    """Return the network: pixels to float32 (n, 512)."""
    op = _operations()
    pixels, x = layers.stem()
    x = op.max_pool(layers.activation(x, "conv1"), [2, 2], [1, 1], [1, 1], [1, 1], [3, 3]).output(0)
    for name, stride in _BLOCKS:
        y = layers.convolution(x, f"{name}.conv1", f"{name}.bn1", stride=stride, padding=1)
        y = layers.activation(y, f"{name}.conv1")
        y = layers.convolution(y, f"{name}.conv2", f"{name}.bn2", stride=1, padding=1)
        if f"{name}.downsample.0.weight" in layers.tensors:
            branch = f"{name}.downsample"
            x = layers.convolution(x, f"{branch}.0", f"{branch}.1", stride=stride, padding=0)
        x = layers.activation(op.add(y, x), name)
    x = op.reduce_mean(x, op.constant(np.array([2, 3], dtype=np.int64)), keep_dims=False)
    assert x.get_output_partial_shape(0)[1] == DIMENSIONS
    return import_openvino().Model([x], [pixels], "resnet18")


def _folded(tensors: Tensors, name: str, norm: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return kernel and bias of a convolution with the batch normalisation folded into them."""
    scale = tensors[f"{norm}.weight"] / np.sqrt(tensors[f"{norm}.running_var"].astype(np.float64) + _EPSILON)
    bias = tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * scale
    return tensors[f"{name}.weight"] * scale[:, None, None, None], bias


def _pixels_node(size: int) -> Node:
    return _operations().parameter(
        import_openvino().PartialShape([-1, size, size, 3]), np.uint8, name="pixels"
    )


def _convolved(x: Node, kernel: Node, bias: NDArray[np.float64], stride: int, padding: int) -> Node:
    op = _operations()
    strides, pads = [stride] * 2, [padding] * 2
    y = op.convolution(x, kernel, strides, pads, pads, [1, 1])
    return op.add(y, op.constant(bias.astype(np.float32).reshape(1, -1, 1, 1)))


def _dequantized(steps: NDArray[np.int8], scales: NDArray[np.float64]) -> Node:
    op = _operations()
    scale = op.constant(scales.astype(np.float32).reshape(-1, 1, 1, 1))
    return op.multiply(op.convert(op.constant(steps), "f32"), scale)


def _fake_quantized(x: Node, high: float) -> Node:
    op = _operations()
    low, top = op.constant(np.float32(0)), op.constant(np.float32(high))
    return op.fake_quantize(x, low, top, low, top, 256)
