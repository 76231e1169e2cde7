"""Imports torchvision beside a torch that was built for another device."""

import functools
import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import torch

# PyPI's torchvision is built for CUDA: beside a CPU-only torch its compiled operators do not load, and its
# Python part stops at the first one that it expects.
_MISSING_OPERATORS: Final = "operator torchvision::nms does not exist"
_SCHEMA: Final = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def import_torchvision() -> ModuleType:
    """Return torchvision; where its compiled operators do not load, all but those works.

    Takes 1 to 3 s, torch included. Decode workers should do without.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as err:
        # Defining the operators where the compiled ones do load would abort the process.
        if str(err) != _MISSING_OPERATORS:
            raise
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    _operators()
    return importlib.import_module("torchvision")


@functools.cache  # the operators live only as long as the library object
def _operators() -> "torch.library.Library":
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        library.define(f"{name}{_SCHEMA}")  # type: ignore[no-untyped-call]
    return library
