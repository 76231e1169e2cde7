"""What the figures were taken on."""

import os
import platform
from importlib import metadata
from pathlib import Path

import psutil

_PACKAGES = (
    "imrec-pg",
    "numpy",
    "torch",
    "torchvision",
    "openvino",
    "onnxruntime",
    "pillow",
    "opencv-python-headless",
    "imagehash",
    "psycopg",
    "pgvector",
    "faiss-cpu",
    "scikit-learn",
)
# Those that decide which kernels NumPy, FAISS, pgvector and the model's runtime use.
_INSTRUCTIONS = (
    "avx2",
    "avx512f",
    "avx512_bf16",
    "avx512_fp16",
    "amx_bf16",
    "amx_int8",
    "asimd",
    "sve",
    "bf16",
)


def describe(folder: Path) -> dict[str, object]:
    """Return the machine, its load just now, the disk of the folder, and the versions of all packages."""
    cpu_info = _cpu_info()
    flags = set((cpu_info.get("flags") or cpu_info.get("Features") or "").split())
    return {
        "cpu": cpu_info.get("model name") or platform.processor() or platform.machine(),
        "cores": psutil.cpu_count(logical=False) or os.cpu_count(),
        "threads": os.cpu_count(),
        "instructions": [name for name in _INSTRUCTIONS if name in flags],
        "memory_bytes": psutil.virtual_memory().total,
        "os": platform.platform(),
        "file_system": _file_system(folder),
        "load_average": [round(load, 2) for load in psutil.getloadavg()],
        "python": platform.python_version(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
    }


def _cpu_info() -> dict[str, str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return {}
    first = text.partition("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _file_system(folder: Path) -> str:
    mounts = [
        (part.mountpoint, part.fstype)
        for part in psutil.disk_partitions(all=True)
        if folder.resolve().is_relative_to(part.mountpoint)
    ]
    return max(mounts, key=lambda mount: len(mount[0]), default=("", "unknown"))[1]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
