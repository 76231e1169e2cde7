"""Thumbnails on the disk, as many as fit into a bound; ids are digests of contents: none is ever out of date."""

import os
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from uuid import UUID

_KEPT_SHARE = 0.9  # of the bound, when old ones were deleted
_USED_S = 24 * 3600
_SUFFIX = ".webp"


class ThumbnailCache:
    """Keeps small pictures in a folder of this user alone; threads and processes may share it.

    Args:
        folder: made when needed.
        most: bytes of all files; those unused for longest are deleted.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self._folder = folder
        self._most = most
        self._lock = threading.Lock()
        self._size: int | None = None  # unknown until the first one is written

    def get(self, image_id: UUID, side: int) -> bytes | None:
        """Return a picture, None where it is not there."""
        path = self._path(image_id, side)
        try:
            data = path.read_bytes()
            # Not at each use: of what is looked at daily, a day's precision is enough.
            if time.time() - path.stat().st_mtime > _USED_S:
                path.touch()
        except OSError:
            return None
        return data

    def put(self, image_id: UUID, side: int, data: bytes) -> None:
        """Keep a picture; on a full disk, or where the folder cannot be written, it is not kept."""
        path = self._path(image_id, side)
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=path.parent)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                Path(name).replace(path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
            self._grown(len(data))

    def _grown(self, size: int) -> None:
        with self._lock:
            if self._size is None:
                self._size = sum(found for _, found, _ in self._files())
            else:
                self._size += size
            if self._size > self._most:
                self._size = self._shrink()

    def _shrink(self) -> int:
        files = sorted(self._files())
        left = sum(size for _, size, _ in files)
        for _, size, path in files:
            if left <= self._most * _KEPT_SHARE:
                break
            with suppress(OSError):
                path.unlink()
            left -= size
        return left

    def _files(self) -> list[tuple[float, int, Path]]:
        found = []
        for path in self._folder.glob(f"??/*{_SUFFIX}"):
            with suppress(OSError):
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
        return found

    def _path(self, image_id: UUID, side: int) -> Path:
        name = image_id.hex
        return self._folder / name[:2] / f"{name}-{side}{_SUFFIX}"
