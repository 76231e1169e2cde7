"""The rows that searches are measured on, in files, so that only one feature need be in memory at a time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from benchmarks.feature_rows import FeatureRows, joined
from benchmarks.generated import BLOCK, Mixture
from benchmarks.measure import bar
from imrec_pg.ingest.find import root_of
from imrec_pg.paths import file_id
from imrec_pg.records import Feature, FoundFile, ImageInfo, Root, StoredImage

_ROOT = b"/imrec-pg-bench"
_FILE_BYTES = 100_000


@dataclass(frozen=True, slots=True)
class Dataset:
    """Stored rows and held-out queries.

    Attributes:
        image_ids: uint8 (rows, 16): random, as the hashes of real files are.
        queries: not stored.
    """

    folder: Path
    image_ids: NDArray[np.uint8]
    queries: FeatureRows

    def __len__(self) -> int:
        return len(self.image_ids)

    @property
    def root(self) -> Root:
        """Where the images are said to lie."""
        return root_of(_ROOT)

    def column(self, feature: Feature) -> NDArray[np.generic]:
        """Return one feature of all rows, in memory: Vectors or Hashes."""
        return np.array(np.load(_file(self.folder, feature), mmap_mode="r"))

    def blocks(self) -> Iterator[tuple[NDArray[np.uint8], FeatureRows]]:
        """Yield the ids and features of all rows, BLOCK at a time."""
        columns = {feature: np.load(_file(self.folder, feature), mmap_mode="r") for feature in Feature}
        for start in range(0, len(self), BLOCK):
            part = slice(start, start + BLOCK)
            yield (
                self.image_ids[part],
                FeatureRows({feature: np.array(column[part]) for feature, column in columns.items()}),
            )

    def images(self) -> Iterator[StoredImage]:
        """Yield all rows as ingest hands them over to be written."""
        number, root_id = 0, self.root.root_id
        for ids, block in self.blocks():
            for position, raw_id in enumerate(ids):
                yield _image(number, root_id, UUID(bytes=raw_id.tobytes()), block, position)
                number += 1

    def ids_of(self, numbers: Iterable[int]) -> list[UUID]:
        """Return the ids of rows."""
        return [UUID(bytes=self.image_ids[number].tobytes()) for number in numbers]


def _file(folder: Path, feature: Feature) -> Path:
    return folder / f"{feature}.npy"


def _image(number: int, root_id: UUID, image_id: UUID, block: FeatureRows, position: int) -> StoredImage:
    relative = b"%03d/%09d.jpg" % (number // 1000, number)
    path = _ROOT + b"/" + relative
    file = FoundFile(root_id, file_id(root_id, relative), relative, path, _FILE_BYTES, number)
    info = ImageInfo(image_id, _FILE_BYTES, 548, 365, "JPEG", None, None, None)
    return StoredImage(image_id, info, (file,), block.features(position))


def generate(folder: Path, rows: int, seed: int = 0) -> Dataset:
    """Return so many rows of the mixture (see generated), written into a new folder."""
    mixture = Mixture(seed)
    return write(folder, rows, (mixture.block(number) for number in range(-(-rows // BLOCK))), seed)


def write(
    folder: Path, rows: int, blocks: Iterable[tuple[FeatureRows, FeatureRows]], seed: int = 0
) -> Dataset:
    """Return the first rows of blocks, each of which has rows to store and queries, in a new folder."""
    folder.mkdir()
    held_out: list[FeatureRows] = []
    files: dict[Feature, NDArray[np.generic]] = {}
    start = 0
    with bar(rows, "rows") as done:
        for stored, queries in blocks:
            part = stored.rows(0, rows - start)
            for feature in Feature:
                values = part[feature]
                if feature not in files:
                    files[feature] = np.lib.format.open_memmap(
                        _file(folder, feature), mode="w+", dtype=values.dtype, shape=(rows, *values.shape[1:])
                    )
                files[feature][start : start + len(part)] = values
            held_out.append(queries)
            start += len(part)
            done.update(len(part))
            if start == rows:
                break
    assert start == rows, f"{start} rows, and {rows} were expected"
    ids = np.frombuffer(np.random.default_rng([seed, 1 << 40]).bytes(16 * rows), dtype=np.uint8)
    return Dataset(folder, ids.reshape(rows, 16), joined(held_out))
