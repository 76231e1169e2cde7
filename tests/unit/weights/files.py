"""Files of weights."""

import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import torch

from imrec_pg import settings
from imrec_pg.features.weight_files import Tensors
from imrec_pg.settings import Settings

IMAGENET1K_V1 = "68d5403d92caa9ba377aefcefedaab2de1c53c7361ee81dcf7e36e57a9285f99"


class Hostile:
    """Unpickled without care, leaves a file behind."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.marker}",)


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
