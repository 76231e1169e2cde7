"""The rows of a tile: features and points as .bytes, metadata as TSV, and where the pictures lie."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from psycopg.rows import tuple_row
from psycopg.sql import SQL, Identifier

from imrec_pg import outputs
from imrec_pg.catalogue.roots import RootsHere
from imrec_pg.db.connection import Connection
from imrec_pg.db.rows import all_rows
from imrec_pg.paths import display_path, slashed, terminal_text
from imrec_pg.projector.choosing import Chosen, Tile, uuids
from imrec_pg.records import Feature

METADATA = "metadata.tsv"
POINTS = "map.bytes"
_BATCH = 1000
_DIMS = 3  # the projector's PCA wants three: those of a flat map lie at z = 0

_PHOTOS = """
SELECT i.image_id, f.root_id, f.relative_path, i.taken_at, i.camera_make, i.camera_model
FROM imrec_internal.image_file AS s
INNER JOIN imrec.file AS f ON f.image_id = s.image_id AND f.file_id = s.file_id
INNER JOIN imrec.image AS i ON i.image_id = s.image_id
WHERE s.image_id = ANY (%(ids)s)
"""
_FEATURE = SQL("SELECT image_id, {column} FROM {table} WHERE image_id = ANY (%(ids)s)")
_POINTS = """
SELECT image_id, x, y, coalesce(z, 0) FROM imrec.map_point WHERE map_id = %(map)s AND image_id = ANY (%(ids)s)
"""


@dataclass(frozen=True, slots=True)
class _Photo:
    image_id: UUID
    root_id: UUID
    relative_path: bytes
    taken_at: datetime | None
    camera_make: str | None
    camera_model: str | None


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of the projector.

    Attributes:
        name: as the projector shows it.
        file: its name in the tile's folder.
        dims: float32 (photos, dims), little-endian, row by row.
    """

    name: str
    file: str
    dims: int


@dataclass(frozen=True, slots=True)
class Written:
    """What was written of a tile.

    Attributes:
        paths: of the pictures, in the order of the rows.
    """

    paths: Sequence[bytes]
    tensors: Sequence[Tensor]


def write_tile(
    conn: Connection,
    roots: RootsHere,
    folder: Path,
    feature: Feature,
    chosen: Chosen,
    tile: Tile,
    on_rows: Callable[[int], None],
) -> Written:
    """Write the tensors and the metadata of a tile; conn reads a snapshot, in which all photos still are."""
    paths: list[bytes] = []
    tensors = [Tensor(str(feature), f"{feature}.bytes", 0)]
    with ExitStack() as stack:
        features = stack.enter_context(outputs.create(folder / tensors[0].file))
        metadata = stack.enter_context(outputs.create(folder / METADATA))
        points = None
        if chosen.map_info is not None:
            points = stack.enter_context(outputs.create(folder / POINTS))
            tensors.append(Tensor(f"map of {chosen.map_info.dims} dimensions", POINTS, _DIMS))
        metadata.write(
            _line("path", *(["cluster"] if chosen.clustered else []), "folder", "date", "year", "camera")
        )
        for ids, clusters in _batches(tile):
            rows = _vectors(
                conn, _FEATURE.format(column=Identifier(feature), table=Identifier("imrec", feature)), ids
            )
            _write(features, rows)
            tensors[0] = Tensor(tensors[0].name, tensors[0].file, rows.shape[1])
            if points is not None and chosen.map_info is not None:
                _write(points, _points(conn, chosen.map_info.map_id, ids))
            photos = {photo.image_id: photo for photo in all_rows(conn, _Photo, _PHOTOS, {"ids": ids})}
            folders = {root.root_id: slashed(root.here) for root in roots.all}
            for image_id, cluster in zip(ids, clusters, strict=True):
                photo = photos[image_id]
                paths.append(folders.get(photo.root_id, b"/") + photo.relative_path)
                metadata.write(_row(photo, paths[-1], cluster if chosen.clustered else None))
            on_rows(len(ids))
    return Written(paths, tensors)


def _batches(tile: Tile) -> Iterator[tuple[list[UUID], list[int]]]:
    for start in range(0, len(tile.image_ids), _BATCH):
        yield uuids(tile.image_ids[start : start + _BATCH]), tile.clusters[start : start + _BATCH].tolist()


def _vectors(conn: Connection, query: Any, ids: list[UUID]) -> NDArray[np.float32]:  # noqa: ANN401 - SQL
    with conn.cursor(row_factory=tuple_row) as cur:
        found = {key: _array(vector) for key, vector in cur.execute(query, {"ids": ids}, binary=True)}
    return np.stack([found[key] for key in ids])


def _array(vector: Any) -> NDArray[np.float32]:  # noqa: ANN401 - pgvector's Vector, or an array, by its version
    return np.asarray(vector.to_numpy() if hasattr(vector, "to_numpy") else vector, dtype=np.float32)


def _points(conn: Connection, map_id: UUID, ids: list[UUID]) -> NDArray[np.float32]:
    with conn.cursor(row_factory=tuple_row) as cur:
        found = {key: xyz for key, *xyz in cur.execute(_POINTS, {"map": map_id, "ids": ids})}
    return np.asarray([found[key] for key in ids], dtype=np.float32)


def _write(file: IO[bytes], rows: NDArray[np.float32]) -> None:
    data = bytearray(rows.astype("<f4").tobytes())
    if file.tell() == 0:
        # TensorBoard reads a file as text first, and as numbers only if it is no UTF-8: points at 0 alone were.
        # No UTF-8 has this byte; as the lowest of a float it is 0.003 % of the value at most.
        data[0] = 0xFF
    file.write(data)


def _row(photo: _Photo, path: bytes, cluster: int | None) -> bytes:
    shown = display_path(path)
    date = photo.taken_at
    make, model = (photo.camera_make or "").strip(), (photo.camera_model or "").strip()
    return _line(
        shown,
        *([] if cluster is None else [str(cluster) if cluster else "none"]),
        shown.rpartition("/")[0] or "/",
        date.date().isoformat() if date else "unknown",
        str(date.year) if date else "unknown",
        (model if model.startswith(make) else f"{make} {model}").strip() or "unknown",
    )


def _line(*fields: str) -> bytes:
    """Return fields as a line of TSV: tabs, line breaks and characters without a shape become escapes."""
    return ("\t".join(map(terminal_text, fields)) + "\n").encode("utf-8", "backslashreplace")
