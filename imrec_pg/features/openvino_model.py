"""The model on a CPU: the same ResNet-18 as features.embedding, run by OpenVINO instead of torch.

Three times as fast there, and loaded in a fraction of torch's time (docs/adr/0010).
"""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from imrec_pg.errors import WeightsError
from imrec_pg.features.embedding import CROP_SIZE, DIMENSIONS, EXTRACTION_VERSION, MEAN, STD
from imrec_pg.features.weights import Weights
from imrec_pg.records import ModelIdentity, RgbArray

if TYPE_CHECKING:
    import openvino

log = logging.getLogger(__name__)

# torch.nn.BatchNorm2d's default, which the weights were trained with.
_EPSILON: Final = 1e-5
_BLOCKS: Final = tuple(
    (f"layer{layer}.{block}", 2 if layer > 1 > block else 1) for layer in (1, 2, 3, 4) for block in (0, 1)
)

Tensors = Mapping[str, NDArray[np.float32]]


class OpenVinoEmbedder:
    """ResNet-18 without its last layer; in bfloat16 where the CPU computes with it, else in float32.

    Args:
        weights: as resolve() found them.
        threads: how many to compute with; None for one a core.

    Attributes:
        identity: which model and extraction this is; bfloat16 stays within 1e-4 of float32 (cosine).
        device: "cpu".

    Raises:
        WeightsError: the weights do not fit the model.
    """

    def __init__(self, weights: Weights, *, threads: int | None = None) -> None:
        import openvino  # noqa: PLC0415 - takes 0.2 s; commands that need no model start without

        self.identity = ModelIdentity("resnet18", weights.sha256, EXTRACTION_VERSION)
        self.device = "cpu"
        self._source = weights.source
        try:
            model = _build(weights.tensors)
        except KeyError as error:
            raise WeightsError(f"the weights of {weights.source} do not fit: {error} is missing") from error
        options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if threads is not None:
            options["INFERENCE_NUM_THREADS"] = threads
        # OpenVINO takes bfloat16 by itself where the CPU has instructions for it, and float32 elsewhere.
        self._model = openvino.Core().compile_model(model, "CPU", options)

    def embed(self, crops: Sequence[RgbArray]) -> NDArray[np.float32]:
        """Return float32 (n, 512), C-contiguous, one row for each crop; crops are uint8 (224, 224, 3) RGB.

        Raises:
            WeightsError: a value is not finite.
        """
        rows = np.array(self._model(np.stack(crops))[0], dtype=np.float32)
        if not np.isfinite(rows).all():
            raise WeightsError(f"the model of {self._source} gives values that are not finite")
        return rows


def _build(tensors: Tensors) -> "openvino.Model":
    """Return the network: uint8 (n, 224, 224, 3) to float32 (n, 512)."""
    import openvino  # noqa: PLC0415 - as above
    from openvino import opset13 as op  # noqa: PLC0415

    pixels = op.parameter(openvino.PartialShape([-1, CROP_SIZE, CROP_SIZE, 3]), np.uint8, name="pixels")
    mean, std = (np.array(values, dtype=np.float32).reshape(1, 3, 1, 1) for values in (MEAN, STD))
    x = op.transpose(op.convert(pixels, "f32"), [0, 3, 1, 2])
    x = op.divide(
        op.subtract(op.divide(x, op.constant(np.float32(255))), op.constant(mean)), op.constant(std)
    )
    x = op.relu(_convolution(tensors, x, "conv1", "bn1", stride=2, padding=3))
    x = op.max_pool(x, [2, 2], [1, 1], [1, 1], [1, 1], [3, 3]).output(0)
    for name, stride in _BLOCKS:
        y = op.relu(_convolution(tensors, x, f"{name}.conv1", f"{name}.bn1", stride=stride, padding=1))
        y = _convolution(tensors, y, f"{name}.conv2", f"{name}.bn2", stride=1, padding=1)
        if f"{name}.downsample.0.weight" in tensors:
            x = _convolution(
                tensors, x, f"{name}.downsample.0", f"{name}.downsample.1", stride=stride, padding=0
            )
        x = op.relu(op.add(y, x))
    x = op.reduce_mean(x, op.constant(np.array([2, 3], dtype=np.int64)), keep_dims=False)
    assert x.get_output_partial_shape(0)[1] == DIMENSIONS
    return openvino.Model([x], [pixels], "resnet18")


def _convolution(tensors: Tensors, x: Any, name: str, norm: str, *, stride: int, padding: int) -> Any:  # noqa: ANN401 - OpenVINO's nodes have no public type
    """Return a convolution with the batch normalisation after it folded into its weights and bias."""
    from openvino import opset13 as op  # noqa: PLC0415 - as above

    scale = tensors[f"{norm}.weight"] / np.sqrt(tensors[f"{norm}.running_var"].astype(np.float64) + _EPSILON)
    bias = tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * scale
    kernel = tensors[f"{name}.weight"] * scale.astype(np.float32)[:, None, None, None]
    strides, pads = [stride] * 2, [padding] * 2
    y = op.convolution(x, op.constant(kernel), strides, pads, pads, [1, 1])
    return op.add(y, op.constant(bias.astype(np.float32).reshape(1, -1, 1, 1)))
