"""A folder that is renamed, and ingested under its new name alone."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import settings_for

from imrec_pg.catalogue.roots import mount
from imrec_pg.db.rows import value, values
from imrec_pg.doctor import examine
from imrec_pg.errors import FolderNotFoundError
from imrec_pg.library import Library
from imrec_pg.settings import Settings

LIGHT = {"features": ("average_hash",), "workers": 1}


@pytest.fixture
def library(settings: Settings) -> Iterator[Library]:
    with Library(settings) as opened:
        yield opened


@pytest.fixture
def lib(tmp_path: Path, library: Library) -> Path:
    """Return a folder of three photos, which are stored."""
    folder = tmp_path / "lib"
    folder.mkdir()
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    library.ingest(folder, **LIGHT)  # type: ignore[arg-type]
    return folder


def first(library: Library, photo: Path) -> str:
    (found,) = library.search(photo, feature="average_hash", k=1, include_self=True).neighbours
    return found.path


def in_sql(library: Library) -> set[str]:
    return set(values(library._conn, str, "SELECT path FROM imrec_internal.image_file"))


def test_answers_name_the_living_file_once_the_new_folder_is_ingested(library: Library, lib: Path) -> None:
    moved = lib.rename(lib.parent / "lib2")
    result = library.ingest(moved, **LIGHT)  # type: ignore[arg-type]
    assert (result.tally.duplicates, result.changes.gone) == (3, 3)
    assert first(library, moved / "1.png") == str(moved / "1.png")
    assert in_sql(library) == {str(moved / f"{i}.png") for i in range(3)}
    # They come back with their folder.
    moved.rename(lib)
    assert library.ingest(lib, **LIGHT).changes.back == 3  # type: ignore[arg-type]


def test_a_copy_marks_nothing(library: Library, lib: Path) -> None:
    copy = lib.parent / "copy"
    copy.mkdir()
    for path in lib.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    assert library.ingest(copy, **LIGHT).changes.gone == 0  # type: ignore[arg-type]
    assert value(library._conn, int, "SELECT count(*) FROM imrec.missing") == 0


def test_photos_that_were_not_met_elsewhere_are_not_marked(library: Library, lib: Path) -> None:
    moved = lib.rename(lib.parent / "lib2")
    (moved / "1.png").rename(lib.parent / "1.png")
    library.ingest(moved, **LIGHT)  # type: ignore[arg-type]
    left = "SELECT path FROM imrec.file WHERE file_id NOT IN (SELECT file_id FROM imrec.missing) ORDER BY 1"
    assert values(library._conn, str, left) == [
        str(lib / "1.png"),
        str(moved / "0.png"),
        str(moved / "2.png"),
    ]


def test_files_of_a_root_that_other_hosts_have_are_left_alone(library: Library, lib: Path) -> None:
    (root,) = library.roots.states()
    mount(library._conn, root.root_id, "nas", b"/volume1/lib")
    moved = lib.rename(lib.parent / "lib2")
    assert library.ingest(moved, **LIGHT).changes.gone == 0  # type: ignore[arg-type]


def test_status_and_doctor_say_what_to_do_about_a_root_without_its_folder(
    library: Library, lib: Path
) -> None:
    dsn = library._conn.info.dsn
    assert [root.gone for root in library.status().roots] == [False]
    lib.rename(lib.parent / "lib2")
    assert [root.gone for root in library.status().roots] == [True]
    (finding,) = [f for f in examine(settings_for(dsn)) if f.check == "roots"]
    assert f"{lib} is not there" in finding.what.replace("the folder of the root ", "")
    assert f"imrec-pg root add {lib} NEW_FOLDER" in finding.fix
    assert f"imrec-pg root remove {lib}" in finding.fix
    with pytest.raises(FolderNotFoundError) as caught:
        library.ingest(os.fsencode(lib), **LIGHT)  # type: ignore[arg-type]
    assert caught.value.path == str(lib)
