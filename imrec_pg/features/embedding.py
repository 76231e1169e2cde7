"""What a photo shows: the last hidden layer of ResNet-18 (He et al. 2016, doi:10.1109/CVPR.2016.90)."""

import functools
import importlib
import logging
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imrec_pg.errors import UsageError, WeightsError
from imrec_pg.records import ModelIdentity, RgbArray

if TYPE_CHECKING:
    import torch

    # Loads an HTTP client, which decoders do without.
    from imrec_pg.features.weights import Weights

log = logging.getLogger(__name__)

DIMENSIONS: Final = 512
CROP_SIZE: Final = 224
_RESIZE: Final = 256
# A 1x5000 photo would become 256x1280000: 1.3 GB. 16 megapixels are 64 MB and an aspect ratio of 256.
_LARGEST_RESIZED: Final = 16 * 1024 * 1024
# ImageNet's, for values from 0 to 1; channels red, green, blue.
MEAN: Final = (0.485, 0.456, 0.406)
STD: Final = (0.229, 0.224, 0.225)

# PyPI's torchvision is built for CUDA: beside a CPU-only torch its compiled operators do not load, and its
# Python part fails at the first one that it expects.
_MISSING_OPERATORS: Final = "operator torchvision::nms does not exist"
_SCHEMA: Final = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def crop(image: Image.Image) -> RgbArray:
    """Return the centre square that the model sees: uint8 (224, 224, 3), from an RGB image.

    The same as torchvision's Resize(256) and CenterCrop(224), bit for bit. If the whole resized image would
    exceed 16 megapixels, only the square is computed, and a value may differ by 1.
    """
    width, height = _resized(*image.size)
    left, top = round((width - CROP_SIZE) / 2), round((height - CROP_SIZE) / 2)
    if width * height <= _LARGEST_RESIZED:
        whole = image.resize((width, height), Image.Resampling.BILINEAR)
        return np.array(whole.crop((left, top, left + CROP_SIZE, top + CROP_SIZE)))
    x_scale, y_scale = image.width / width, image.height / height
    box = (left * x_scale, top * y_scale, (left + CROP_SIZE) * x_scale, (top + CROP_SIZE) * y_scale)
    return np.array(image.resize((CROP_SIZE, CROP_SIZE), Image.Resampling.BILINEAR, box=box))


class Embedder:
    """ResNet-18 without its last layer, in float32.

    The first one in a process imports torch and torchvision, which takes 1 to 3 s.

    Args:
        weights: from resolve().
        device: "auto" (CUDA, else Apple's MPS, else the CPU), "cpu", "cuda", "cuda:N" or "mps".
        threads: torch's threads on the CPU, for the whole process; None keeps torch's setting.

    Attributes:
        identity: the model and the version of the extraction.
        device: the device in use, such as "cpu" or "cuda".

    Raises:
        UsageError: this machine has no such device.
        WeightsError: the weights do not fit the model.
    """

    def __init__(self, weights: "Weights", *, device: str = "auto", threads: int | None = None) -> None:
        import torch

        self.identity = ModelIdentity("resnet18", weights.sha256)
        self.device = _choose_device(device)
        if threads is not None:
            torch.set_num_threads(threads)
        if self.device.startswith("cuda"):
            # TF32 has 10 bits of mantissa: the same photo would get another embedding than on a CPU.
            torch.backends.cudnn.allow_tf32 = False
        self._source = weights.source
        self._model = _build(weights).to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._mean = torch.tensor(MEAN, device=self.device).view(1, 3, 1, 1)
        self._std = torch.tensor(STD, device=self.device).view(1, 3, 1, 1)
        self._largest_batch: int | None = None

    def embed(self, crops: Sequence[RgbArray]) -> NDArray[np.float32]:
        """Return float32 (n, 512), C-contiguous, one row for each crop; crops are uint8 (224, 224, 3) RGB.

        The rest of the batch changes a row only by rounding (below 1e-5 of its length).

        Raises:
            WeightsError: a value is not finite.
        """
        import torch

        rows = np.empty((len(crops), DIMENSIONS), dtype=np.float32)
        start = 0
        while start < len(crops):
            batch = crops[start : start + (self._largest_batch or len(crops))]
            try:
                rows[start : start + len(batch)] = self._forward(np.stack(batch))
            except torch.cuda.OutOfMemoryError:
                if len(batch) == 1:
                    raise
                self._largest_batch = len(batch) // 2
                log.warning(
                    "%s is out of memory: using batches of %d from now on", self.device, self._largest_batch
                )
                torch.cuda.empty_cache()
            else:
                start += len(batch)
        if not np.isfinite(rows).all():
            raise WeightsError(
                f"the model from {self._source} gives values that are not finite on {self.device}"
            )
        return rows

    def _forward(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            # Permuting (n, 224, 224, 3) already makes it channels_last.
            images = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2)
            # In the order of ToTensor and Normalize, to give the same input bit for bit.
            images = images.to(torch.float32).div_(255).sub_(self._mean).div_(self._std)
            rows: NDArray[np.float32] = self._model(images).cpu().numpy()
        return rows


def _resized(width: int, height: int) -> tuple[int, int]:
    # torchvision truncates the longer side, and divides last.
    short, long = min(width, height), max(width, height)
    longer = int(_RESIZE * long / short)
    return (_RESIZE, longer) if width <= height else (longer, _RESIZE)


def _choose_device(device: str) -> str:
    import torch

    available = ["cpu"]
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    if torch.cuda.is_available():
        available[:0] = ["cuda", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
    if device == "auto":
        return available[0]
    if device not in available:
        raise UsageError(
            f"this machine has no device {device!r}: choose from {', '.join(['auto', *available])}"
        )
    return device


def _build(weights: "Weights") -> "torch.nn.Module":
    import torch

    models = import_torchvision().models
    # Without values at first, so that nothing stays random: an entry that the weights lack is an error.
    with torch.device("meta"):
        model: torch.nn.Module = models.resnet18(weights=None)
    model.fc = torch.nn.Identity()
    state = {name: torch.zeros((), dtype=torch.int64) for name in model.state_dict() if "num_batches" in name}
    # Copied: torch must not share memory with the cached weights.
    state |= {
        name: torch.tensor(array) for name, array in weights.tensors.items() if not name.startswith("fc.")
    }
    try:
        model.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as err:
        raise WeightsError(
            f"the weights from {weights.source} do not fit: {' '.join(str(err).split())}"
        ) from err
    return model.eval()


def import_torchvision() -> ModuleType:
    """Return torchvision, without its compiled operators if they do not load beside this torch.

    Takes 1 to 3 s, torch included. Decode workers should do without it.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as err:
        # Defining the operators where the compiled ones do load would abort the process.
        if str(err) != _MISSING_OPERATORS:
            raise
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    _define_operators()
    return importlib.import_module("torchvision")


@functools.cache  # the operators live only as long as the library object
def _define_operators() -> "torch.library.Library":
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        library.define(f"{name}{_SCHEMA}")  # type: ignore[no-untyped-call]
    return library
