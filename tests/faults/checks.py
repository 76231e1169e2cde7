"""The suite's own view of folders and tables, without the product: os.walk, hashlib, NumPy, plain SQL."""

import hashlib
import io
import json
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from e2e.database import assert_no_half_batch, query
from faults.figures import Figures
from faults.running import Batch
from numpy.typing import NDArray
from PIL import Image

# By the README: what is an image by its name.
_NAMES = (".jpg", ".jpeg", ".png", ".gif", ".tif", ".bmp", ".webp", ".heic")
_STORED = """
SELECT l.file_id::text, l.image_id::text FROM imrec.file AS l
INNER JOIN imrec.image USING (image_id)
INNER JOIN imrec.histogram USING (image_id)
INNER JOIN imrec.average_hash USING (image_id)
INNER JOIN imrec.difference_hash USING (image_id)
UNION ALL SELECT file_id::text, '' FROM imrec.failure
"""


def check_batches(figures: Figures, dsn: str, batches: Iterable[Batch]) -> None:
    """Hold the log against the tables: what was acknowledged is there, the rest wholly or not at all.

    One statement reads all, so that a running ingester is seen between two of its transactions.
    """
    rows = set(query(dsn, _STORED))
    lost, partial, acknowledged = [], [], 0
    for batch in batches:
        absent = [row for row in batch.rows.items() if row not in rows]
        if batch.done:
            acknowledged += len(batch.rows)
            lost += absent
        elif 0 < len(absent) < len(batch.rows):
            partial.append(absent)
    figures.add("rows acknowledged", acknowledged)
    figures.must_be_zero("rows lost", lost)
    figures.must_be_zero("partial batches", partial)


def check_end(figures: Figures, dsn: str, folders: Sequence[Path]) -> None:
    """Hold the tables against the folders: each file has a verdict, each verdict is about its bytes."""
    assert_no_half_batch(dsn, "histogram,average_hash,difference_hash")
    files = list(_candidates(folders))
    known = {
        path for (path,) in query(dsn, "SELECT path FROM imrec.file UNION SELECT path FROM imrec.failure")
    }
    figures.add("files that got a verdict", len(files))
    figures.must_be_zero("files without a verdict", [path for path in files if path not in known])
    rows = query(
        dsn,
        "SELECT l.path, image_id, h.histogram::text, b.average_hash::text, d.difference_hash::text "
        "FROM imrec.file AS l INNER JOIN imrec.histogram AS h USING (image_id) "
        "INNER JOIN imrec.average_hash AS b USING (image_id) INNER JOIN imrec.difference_hash AS d USING (image_id)",
    )
    assert rows
    contents = {path: Path(path).read_bytes() for path, *_ in rows}
    wrong = [path for path, image_id, *_ in rows if image_id != image_id_of(contents[path])]
    wrong += [path for path, _, *features in rows if not are_features_of(contents[path], features)]
    figures.add("stored hashes compared", len(rows))
    figures.must_be_zero("wrong stored hashes", wrong)


def check_deadlocks(figures: Figures, dsn: str, log: Path) -> None:
    """Count them by the server's statistics, which a crash resets, and by its log."""
    ((number,),) = query(dsn, "SELECT sum(deadlocks)::int FROM pg_stat_database")
    logged = [line for line in log.read_text(errors="replace").splitlines() if "deadlock detected" in line]
    figures.must_be_zero("deadlocks", logged or range(number))


def _candidates(folders: Sequence[Path]) -> Iterator[str]:
    for folder in folders:
        for parent, _, names in os.walk(folder):
            for name in names:
                path = Path(parent, name)
                if path.suffix.lower() in _NAMES and not name.startswith(".") and _is_regular(path):
                    yield str(path)


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:  # a dangling link
        return False


def image_id_of(content: bytes) -> UUID:
    return UUID(bytes=hashlib.sha256(content).digest()[:16])


_seen: dict[bytes, tuple[NDArray[Any], str, str]] = {}


def are_features_of(content: bytes, stored: Sequence[Any]) -> bool:
    """Return whether stored (histogram, average hash, difference hash) are those of the picture."""
    image = Image.open(io.BytesIO(content)).convert("RGB")
    pixels = np.asarray(image, dtype=np.int64)
    key = hashlib.sha256(pixels.tobytes()).digest()
    if key not in _seen:
        _seen[key] = _features(image, pixels)
    histogram, *hashes = _seen[key]
    return np.allclose(json.loads(stored[0]), histogram, atol=1e-6) and hashes == list(stored[1:])


def _features(image: Image.Image, pixels: NDArray[np.int64]) -> tuple[NDArray[Any], str, str]:
    bins = (pixels // 32) @ np.array([64, 8, 1])
    histogram = np.bincount(bins.ravel(), minlength=512) / bins.size
    grey = image.convert("L")
    average = np.asarray(grey.resize((8, 8), Image.Resampling.LANCZOS))
    beside = np.asarray(grey.resize((9, 8), Image.Resampling.LANCZOS))
    return histogram, _bits(average > average.mean()), _bits(beside[:, 1:] > beside[:, :-1])


def _bits(bits: NDArray[np.bool_]) -> str:
    return "".join("01"[int(bit)] for bit in bits.ravel())
