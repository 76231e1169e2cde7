"""Write the folder that TensorBoard's projector reads."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from imrec_pg import outputs
from imrec_pg.catalogue.roots import roots_here
from imrec_pg.db.connection import Connection, snapshot, translated
from imrec_pg.decoding import Decoders
from imrec_pg.output_folders import whole_folder
from imrec_pg.projector.choosing import Choice, Chosen, Tile, choose
from imrec_pg.projector.sprite import thumbnail_side, write_sprite
from imrec_pg.projector.tables import METADATA, POINTS, Tensor, Written, write_tile
from imrec_pg.records import Feature, OnProgress

CONFIG = "projector_config.pbtxt"
SPRITE = "sprite.jpg"
_MARK = b"# Written by imrec-pg export --projector\n"
_TILE = "cluster-"
_FILES = frozenset({CONFIG, SPRITE, METADATA, POINTS, *(f"{feature}.bytes" for feature in Feature)})


@dataclass(frozen=True, slots=True)
class ProjectorExport:
    """What was written.

    Attributes:
        photos: how many are shown.
        of: how many there are.
        sampled_by: "cluster" or "folder"; None where all are shown.
        tensors: their names.
        tiles: the folders of clusters, if asked for.
        unreadable: how many pictures could not be read, and are grey in the sprite.
        lacking_place: how many photos are left out since they are not on the map.
    """

    folder: Path
    photos: int
    of: int
    sampled_by: str | None
    tensors: Sequence[str]
    tiles: Sequence[str]
    unreadable: int
    lacking_place: int


@dataclass(frozen=True, slots=True)
class _Part:
    """The folder of a tile: its name, "" for the export's own."""

    name: str
    tile: Tile
    written: Written


def export_projector(
    lent: Callable[[], AbstractContextManager[Connection]],
    host: str,
    folder: Path,
    choice: Choice,
    *,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> ProjectorExport:
    """Write the files of TensorBoard's projector into a new folder, private, which appears at the end.

    Args:
        lent: a connection, for as long as rows are read: not while pictures are.
        host: by whose paths photos are shown and read.
        folder: does not exist yet, or is empty, or with overwrite holds an earlier one.
        choice: which photos.
        overwrite: replace an earlier one that is there.
        on_progress: what to tell; see OnProgress.

    Raises:
        OutputExistsError: the folder holds an earlier one, and overwrite is False.
        UsageError: it holds something else, cannot be made, or the choice makes no sense.
        ImrecError: no photo has the feature, the disk is full, or the like.
    """
    choice.check()
    report = on_progress or (lambda _what, _done, _total: None)
    with whole_folder(folder, "files for the projector", is_export, overwrite=overwrite) as partial:
        with lent() as conn, translated(conn), snapshot(conn):
            chosen = choose(conn, choice)
            parts = _write_tables(conn, host, partial, choice, chosen, report)
        unreadable = _write_sprites(partial, parts, report)
        if choice.tiles:
            for part in parts:
                _write_config(partial / part.name, [_Part("", part.tile, part.written)])
        _write_config(partial, parts)
    return ProjectorExport(
        folder=folder,
        photos=sum(len(part.written.paths) for part in parts),
        of=sum(part.tile.of for part in parts),
        sampled_by=chosen.sampled_by,
        tensors=[tensor.name for tensor in parts[0].written.tensors],
        tiles=[part.name for part in parts if part.name],
        unreadable=unreadable,
        lacking_place=chosen.lacking_place,
    )


def is_export(folder: Path) -> bool:
    """Return whether a folder holds files for the projector, and nothing else."""
    if not outputs.is_marked(folder / CONFIG, (_MARK,), _MARK):
        return False
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            if not path.name.startswith(_TILE) or not is_export(path):
                return False
        elif path.name not in _FILES or path.is_symlink():
            return False
    return True


def _write_tables(
    conn: Connection, host: str, partial: Path, choice: Choice, chosen: Chosen, report: OnProgress
) -> list[_Part]:
    roots = roots_here(conn, host)
    total, done, parts = sum(len(tile.image_ids) for tile in chosen.tiles), 0, []

    def on_rows(rows: int) -> None:
        nonlocal done
        done += rows
        report("features", done, total)

    width = len(str(max(tile.cluster or 0 for tile in chosen.tiles)))
    for tile in chosen.tiles:
        name = (
            ""
            if tile.cluster is None
            else f"{_TILE}{tile.cluster:0{width}}"
            if tile.cluster
            else f"{_TILE}none"
        )
        if name:
            (partial / name).mkdir(mode=0o700)
        written = write_tile(conn, roots, partial / name, choice.feature, chosen, tile, on_rows)
        parts.append(_Part(name, tile, written))
    return parts


def _write_sprites(partial: Path, parts: Sequence[_Part], report: OnProgress) -> int:
    total, done = sum(len(part.written.paths) for part in parts), 0

    def on_photo() -> None:
        nonlocal done
        done += 1
        report("thumbnails", done, total)

    with Decoders() as decoders:
        return sum(
            write_sprite(partial / part.name / SPRITE, part.written.paths, decoders, on_photo)
            for part in parts
        )


def _write_config(folder: Path, parts: Sequence[_Part]) -> None:
    with outputs.create(folder / CONFIG) as file:
        file.write(_MARK)
        # Of several, the projector shows the first one at the start.
        for part in parts:
            for tensor in part.written.tensors:
                file.write(_embedding(part, tensor).encode())


def _embedding(part: _Part, tensor: Tensor) -> str:
    """Return a message EmbeddingInfo in protobuf's text format; all names are ours, and need no escapes."""
    inside, label = (f"{part.name}/", f"{part.name}: ") if part.name else ("", "")
    side = thumbnail_side(len(part.written.paths))
    return f"""embeddings {{
  tensor_name: "{label}{tensor.name}"
  tensor_path: "{inside}{tensor.file}"
  tensor_shape: {len(part.written.paths)}
  tensor_shape: {tensor.dims}
  metadata_path: "{inside}{METADATA}"
  sprite {{
    image_path: "{inside}{SPRITE}"
    single_image_dim: {side}
    single_image_dim: {side}
  }}
}}
"""
