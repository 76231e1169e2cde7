"""A folder that is suddenly empty, in company of others that are not."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import ingest_into, settings_for

from imrec_pg.db.connection import Connection
from imrec_pg.db.rows import values
from imrec_pg.errors import ImrecError
from imrec_pg.features.model import EmbedderSource
from imrec_pg.ingest.pipeline import IngestOptions, IngestResult
from imrec_pg.records import Feature

LIGHT = IngestOptions(features=(Feature.AVERAGE_HASH,), workers=1)


def fill(folder: Path, number: int, seed: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for i in range(number):
        Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).save(folder / f"{i:03}.png")
    return folder


def empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def run(conn: Connection, *folders: Path, options: IngestOptions = LIGHT) -> IngestResult:
    return ingest_into(conn, [os.fsencode(f) for f in folders], EmbedderSource(settings_for("")), options)


def marked(conn: Connection) -> list[str]:
    return values(
        conn,
        str,
        "SELECT f.path FROM imrec.missing AS m INNER JOIN imrec.file AS f ON f.file_id = m.file_id ORDER BY 1",
    )


def doubts(result: IngestResult) -> list[tuple[str, int, int]]:
    return [(os.fsdecode(doubt.folder), doubt.gone, doubt.known) for doubt in result.changes.doubts]


def test_an_emptied_folder_is_doubted_and_the_others_are_marked(conn: Connection, tmp_path: Path) -> None:
    pics, nas = fill(tmp_path / "pics", 60, 1), fill(tmp_path / "nas", 25, 2)
    run(conn, pics, nas)
    empty(nas)
    (pics / "007.png").unlink()
    result = run(conn, pics, nas)
    assert doubts(result) == [(str(nas), 25, 25)]
    assert (result.changes.gone, result.changes.doubted, result.changes.known) == (1, 25, 85)
    assert marked(conn) == [str(pics / "007.png")]


def test_an_emptied_root_inside_the_folder_is_doubted(conn: Connection, tmp_path: Path) -> None:
    nas = fill(tmp_path / "pics" / "nas", 25, 2)
    run(conn, nas)
    pics = fill(tmp_path / "pics", 60, 1)
    run(conn, pics)
    empty(nas)
    (pics / "007.png").unlink()
    result = run(conn, pics)
    assert doubts(result) == [(str(nas), 25, 25)]
    assert marked(conn) == [str(pics / "007.png")]


def test_a_root_that_is_empty_but_for_the_root_inside_it_is_doubted(conn: Connection, tmp_path: Path) -> None:
    inner = fill(tmp_path / "pics" / "inner", 60, 2)
    run(conn, inner)
    pics = fill(tmp_path / "pics", 25, 1)
    run(conn, pics)
    for path in pics.glob("*.png"):
        path.unlink()
    assert doubts(run(conn, pics)) == [(str(pics), 25, 25)]
    assert marked(conn) == []


@pytest.mark.parametrize("outer", ["", "sub"])
def test_each_named_folder_of_one_root_is_judged_by_itself(
    conn: Connection, tmp_path: Path, outer: str
) -> None:
    root = fill(tmp_path / "root", 60, 1)
    sub, nas = fill(root / "sub", 60, 2), fill(root / "nas", 25, 3)
    run(conn, root)
    empty(nas)
    # Also where the other named folder is around it.
    assert doubts(run(conn, root / outer, nas)) == [(str(nas), 25, 25)]
    assert marked(conn) == []
    (sub / "000.png").unlink()
    assert doubts(run(conn, sub)) == []


def test_many_small_folders_emptied_at_once_are_doubted_together(conn: Connection, tmp_path: Path) -> None:
    pics = fill(tmp_path / "pics", 60, 1)
    small = [fill(tmp_path / f"day {day}", 11, day) for day in (2, 3)]
    run(conn, pics, *small)
    for folder in small:
        empty(folder)
    result = run(conn, pics, *small)
    assert doubts(result) == [(str(folder), 11, 11) for folder in small]
    assert marked(conn) == []


def test_a_small_folder_may_be_emptied_beside_a_doubted_one(conn: Connection, tmp_path: Path) -> None:
    pics, few, nas = (fill(tmp_path / n, k, k) for n, k in (("pics", 60), ("few", 5), ("nas", 25)))
    run(conn, pics, few, nas)
    empty(few)
    empty(nas)
    result = run(conn, pics, few, nas)
    assert doubts(result) == [(str(nas), 25, 25)]
    assert marked(conn) == [str(few / f"{i:03}.png") for i in range(5)]


def test_failures_of_a_doubted_folder_are_kept(conn: Connection, tmp_path: Path) -> None:
    pics, nas = fill(tmp_path / "pics", 60, 1), fill(tmp_path / "nas", 25, 2)
    for folder in (pics, nas):
        (folder / "bad.png").write_bytes(b"no image at all, but long enough")
    run(conn, pics, nas)
    empty(nas)
    (pics / "bad.png").unlink()
    run(conn, pics, nas)
    assert values(conn, str, "SELECT path FROM imrec.failure") == [str(nas / "bad.png")]


def test_all_folders_emptied_at_once_are_named(conn: Connection, tmp_path: Path) -> None:
    a, b = fill(tmp_path / "a", 25, 1), fill(tmp_path / "b", 30, 2)
    run(conn, a, b)
    empty(a)
    empty(b)
    with pytest.raises(ImrecError, match=f"no photos in {a}, {b}, where 55 are known"):
        run(conn, a, b)
    assert marked(conn) == []


def test_accepted_deletions_are_marked_in_every_folder(conn: Connection, tmp_path: Path) -> None:
    pics, nas = fill(tmp_path / "pics", 60, 1), fill(tmp_path / "nas", 25, 2)
    run(conn, pics, nas)
    empty(nas)
    accepting = IngestOptions(features=LIGHT.features, workers=1, accept_deletions=True)
    changes = run(conn, pics, nas, options=accepting).changes
    assert (changes.gone, changes.doubts) == (25, ())
