"""ResNet-18 in 8-bit integers: the ranges of its activations, and how its weights are rounded.

Weights are symmetric with a scale for each output channel, activations unsigned with one for each layer
(Jacob et al. 2018, doi:10.1109/CVPR.2018.00286). Gain and cost: docs/adr/0010.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

RANGES: Final[Mapping[str, float]] = MappingProxyType(
    {
        "conv1": 4.49,
        "layer1.0.conv1": 2.97,
        "layer1.0": 4.69,
        "layer1.1.conv1": 2.5,
        "layer1.1": 5.3,
        "layer2.0.conv1": 2.43,
        "layer2.0": 4.11,
        "layer2.1.conv1": 2.44,
        "layer2.1": 4.86,
        "layer3.0.conv1": 3.0,
        "layer3.0": 4.16,
        "layer3.1.conv1": 2.72,
        "layer3.1": 4.34,
        "layer4.0.conv1": 2.48,
        "layer4.0": 4.82,
        "layer4.1.conv1": 2.55,
    }
)
"""Where each layer's activations are clipped, by the layer's name; for RESNET18_SHA256 only.

Each is the point of the smallest mean squared error over 200 crops of 80 photos, moved 15 % of the way to the
largest value seen: that keeps the median and helps the worst photos.
"""

_STEPS: Final = 127
# How alike two pixels are: 0.95 to the power of their distance, and 0.9 between colours. Values from 0.9 to
# 0.98 gave equally good embeddings, and so did the covariance measured on photos.
_NEIGHBOURS: Final = 0.95
_COLOURS: Final = 0.9


def quantized(kernel: NDArray[np.float64]) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Return a kernel (out, in, height, width) as int8, -127 to 127, and the scales float64 (out,)."""
    scales = _scales(kernel)
    steps = np.rint(kernel / scales[:, None, None, None])
    return steps.astype(np.int8), scales


def quantized_for_pixels(kernel: NDArray[np.float64]) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Return the first kernel (out, 3, height, width) as quantized() does, but rounded for photos.

    Neighbouring pixels are alike, so each weight is rounded to compensate for the errors of those before it,
    as far as their pixels predict its own: GPTQ (Frantar et al. 2023, arXiv:2210.17323) as nearest-plane
    rounding (Babai 1986, doi:10.1007/BF02579403). Rounding each weight by itself makes an error 40 times as
    large on photos, and costs as much fidelity as half of all other layers.
    """
    scales = _scales(kernel)
    exact = kernel.reshape(len(kernel), -1) / scales[:, None]
    steps, errors = np.empty_like(exact), np.zeros_like(exact)
    predicted = _predicted_by_later(_likeness(*kernel.shape[1:]))
    for column in reversed(range(exact.shape[1])):
        wanted = exact[:, column] + (errors * predicted[column]).sum(axis=1)
        steps[:, column] = np.clip(np.rint(wanted), -_STEPS, _STEPS)
        errors[:, column] = exact[:, column] - steps[:, column]
    return steps.astype(np.int8).reshape(kernel.shape), scales


def _scales(kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    largest: NDArray[np.float64] = np.abs(kernel).max(axis=(1, 2, 3))
    # A channel of zeros has no scale; any will do.
    return np.where(largest > 0, largest, 1) / _STEPS


def _likeness(colours: int, height: int, width: int) -> NDArray[np.float64]:
    """Return the covariance of a patch's values, float64 (n, n), in the order of a kernel's weights."""
    y, x = (axis.ravel() for axis in np.mgrid[:height, :width])
    pixels = _NEIGHBOURS ** np.hypot(y[:, None] - y, x[:, None] - x)
    between = np.where(np.eye(colours, dtype=bool), 1.0, _COLOURS)
    return np.kron(between, pixels)


def _predicted_by_later(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how much each value predicts an earlier one, given all between them: float64 (n, n), upper.

    This is the unit triangle U of covariance = U'DU, by elimination.
    """
    left, predicted = covariance.copy(), np.zeros_like(covariance)
    # Not numpy.linalg: on a busy machine OpenBLAS's threads deadlocked.
    for row in range(len(left)):
        predicted[row, row + 1 :] = left[row, row + 1 :] / left[row, row]
        left[row + 1 :, row + 1 :] -= np.multiply.outer(predicted[row, row + 1 :], left[row, row + 1 :])
    return predicted
