"""The model as other modules use it: its identity without loading it, and embeddings."""

import re
import sys
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imrec_pg.errors import UsageError
from imrec_pg.features import weights
from imrec_pg.features.embedding import Embedder
from imrec_pg.features.openvino_model import OpenVinoEmbedder
from imrec_pg.records import ModelIdentity, RgbArray
from imrec_pg.settings import Settings

# Larger batches are no faster on a CPU, and each image needs some 20 MB meanwhile; a GPU needs more at once.
_CPU_BATCH = 32
_GPU_BATCH = 256
_DEVICE = re.compile("auto|cpu|mps|cuda(:[0-9]+)?")

# Created by NVIDIA's and AMD's drivers; asking torch instead would cost its import, 1 to 2 s.
_GPU_DEVICES = (Path("/dev/nvidiactl"), Path("/dev/kfd"), Path("/dev/dxg"))


class EmbedderSource:
    """Finds the weights and loads the model when they are first needed, not before.

    Args:
        settings: may name a file of weights.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        allow_other: accept weights other than torchvision's, as another model.

    Raises:
        UsageError: there is no such device.
    """

    def __init__(self, settings: Settings, *, device: str = "auto", allow_other: bool = False) -> None:
        # Whether this machine has it only torch knows, which a search for a stored photo does not load.
        if not _DEVICE.fullmatch(device):
            raise UsageError(
                f"this machine has no device {device!r}: choose from auto, cpu, cuda, cuda:N and mps"
            )
        self._settings = settings
        self._device = device
        self._allow_other = allow_other

    @cached_property
    def weights(self) -> weights.Weights:
        """The weights; found, or fetched, on first use."""
        return weights.resolve(self._settings, allow_other=self._allow_other)

    @property
    def identity(self) -> ModelIdentity:
        """Which model this is; needs the digest of the weights, but does not load the model."""
        return ModelIdentity("resnet18", self.weights.sha256)

    @cached_property
    def _embedder(self) -> Embedder | OpenVinoEmbedder:
        on_cpu = self._device == "cpu" or (self._device == "auto" and not _may_have_gpu())
        if on_cpu and find_spec("openvino") is not None:
            return OpenVinoEmbedder(self.weights)
        return Embedder(self.weights, device=self._device)

    @property
    def batch(self) -> int:
        """How many images to embed at once."""
        return _GPU_BATCH if self._device != "cpu" and _may_have_gpu() else _CPU_BATCH

    def load(self) -> None:
        """Load the model, unless it is loaded."""
        _ = self._embedder

    def embed(self, crops: Sequence[RgbArray]) -> NDArray[np.float32]:
        """Return float32 (n, 512), one row for each crop; crops are uint8 (224, 224, 3) RGB."""
        return self._embedder.embed(crops)


def _may_have_gpu() -> bool:
    return sys.platform == "darwin" or any(device.exists() for device in _GPU_DEVICES)
