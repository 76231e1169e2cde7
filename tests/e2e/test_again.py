"""The second run and all later ones: nothing twice, and every kind of change on the disk."""

import os
import shutil
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from e2e.command import Album, Argument, Imrec
from e2e.database import assert_no_half_batch, assert_same, content, counts, one, query, row_versions
from e2e.photos import GARBAGE, overwrite_unnoticed, save, save_scenes, scene

FEATURES = ("embedding", "histogram", "average_hash", "difference_hash", "perceptual_hash")
LIGHT = ("--features", "histogram,average_hash,difference_hash")
# What it takes to run the model, or to compute the other features.
HEAVY = ("torch", "openvino", "cv2", "imagehash", "imrec_pg.features.histogram", "imrec_pg.features.hashes")
_WRITTEN = """
SELECT sum(n_tup_ins + n_tup_upd + n_tup_del)::bigint FROM pg_stat_user_tables WHERE schemaname = 'imrec'
"""


def ingest(run: Imrec, *arguments: Argument, code: int = 0) -> dict[str, Any]:
    """Return the counts that are not 0."""
    found = run("ingest", *arguments, "--json", code=code).json
    del found["seconds"], found["images_per_second"]
    return {name: value for name, value in found.items() if value}


def places(dsn: str) -> dict[str, str]:
    """Return the id of the image at each path."""
    return dict(query(dsn, "SELECT path, image_id::text FROM imrec.file"))


def test_a_second_run_only_checks(album: Album) -> None:
    before, written = row_versions(album.dsn), one(album.dsn, _WRITTEN)
    started = album.run.start("ingest", album.folder, "--json")
    children: set[int] = set()
    process = psutil.Process(started.process.pid)
    while started.process.poll() is None:
        children |= {child.pid for child in process.children(recursive=True)}
        time.sleep(0.005)
    done = started.wait()
    assert done.code == 0, done.err
    assert done.json["unchanged"] == album.images
    assert done.json["known_failures"] == 2
    assert not any(done.json[name] for name in ("new", "duplicates", "replaced", "completed", "failed"))
    assert not done.json["index_built"]
    assert not children
    assert row_versions(album.dsn) == before
    assert one(album.dsn, _WRITTEN) == written


def test_a_second_run_loads_no_model(album: Album) -> None:
    run = album.run.with_environ(PYTHONPROFILEIMPORTTIME="1", IMREC_WEIGHTS="/nowhere")
    said = run("ingest", album.folder).err
    assert "psycopg" in said
    assert not any(f" {name}\n" in said for name in HEAVY)


def test_moved_renamed_and_copied_files_are_not_featured_again(copied_album: Album, tmp_path: Path) -> None:
    run, dsn = copied_album.run, copied_album.dsn
    folder = tmp_path / "photos"
    shutil.copytree(copied_album.folder / "orientations", folder / "old")
    # IMREC_WEIGHTS: whoever wanted to extract would fail.
    run = run.with_environ(IMREC_WEIGHTS="/nowhere")
    versions = {row for row in row_versions(dsn) if row[0] not in ("file", "root")}
    assert ingest(run, folder) == {"found": 8, "duplicates": 8}
    (folder / "old").rename(folder / "new")
    assert ingest(run, folder) == {"found": 8, "duplicates": 8, "missing": 8}
    (folder / "new" / "orientation_1.jpg").rename(folder / "moved.jpg")
    shutil.copy2(folder / "moved.jpg", folder / "copy.jpeg")
    assert ingest(run, folder) == {"found": 9, "duplicates": 2, "unchanged": 7, "missing": 1}
    assert ingest(run, folder) == {"found": 9, "unchanged": 9}
    assert {row for row in row_versions(dsn) if row[0] not in ("file", "root")} == versions
    assert counts(dsn)["embedding"] == counts(dsn)["image"] == copied_album.images
    assert places(dsn)[f"{folder}/copy.jpeg"] == places(dsn)[f"{folder}/moved.jpg"]


def test_a_touched_file_is_only_noted(run: Imrec, dsn: str, folder: Path) -> None:
    image, _ = save_scenes(folder, [1, 2])
    ingest(run, folder, *LIGHT)
    before = {row for row in row_versions(dsn) if row[0] != "file"}
    touched = 1_600_000_000_123_456_789
    os.utime(image, ns=(1, touched))
    assert ingest(run, folder, *LIGHT) == {"found": 2, "completed": 1, "unchanged": 1}
    assert ingest(run, folder, *LIGHT) == {"found": 2, "unchanged": 2}
    assert {row for row in row_versions(dsn) if row[0] != "file"} == before
    assert one(dsn, "SELECT mtime_ns FROM imrec.file WHERE path = %s", str(image)) == touched


def test_a_changed_file_replaces_what_it_held(run: Imrec, dsn: str, folder: Path) -> None:
    image, twin, other = save_scenes(folder, [1, 2, 3])
    shutil.copy(image, twin)
    ingest(run, folder, *LIGHT)
    assert counts(dsn)["image"] == 2
    save(image, scene(4, 96, 72))
    assert ingest(run, folder, *LIGHT) == {"found": 3, "new": 1, "replaced": 1, "unchanged": 2}
    # The twin still holds the old bytes.
    assert counts(dsn)["image"] == counts(dsn)["histogram"] == 3
    save(other, scene(5, 96, 72))
    assert ingest(run, folder, *LIGHT) == {"found": 3, "new": 1, "replaced": 1, "unchanged": 2}
    assert counts(dsn)["image"] == counts(dsn)["histogram"] == counts(dsn)["average_hash"] == 3
    shutil.copy(image, other)
    assert ingest(run, folder, *LIGHT) == {"found": 3, "duplicates": 1, "replaced": 1, "unchanged": 2}
    assert counts(dsn)["image"] == 2
    assert_no_half_batch(dsn, LIGHT[1])


def test_a_file_turned_to_garbage_leaves_the_images(run: Imrec, dsn: str, folder: Path) -> None:
    image, kept = save_scenes(folder, [1, 2])
    good = image.read_bytes()
    ingest(run, folder, *LIGHT)
    image.write_bytes(GARBAGE)
    assert ingest(run, folder, *LIGHT, code=3) == {"found": 2, "failed": 1, "replaced": 1, "unchanged": 1}
    assert places(dsn).keys() == {str(kept)}
    assert (counts(dsn)["image"], counts(dsn)["average_hash"], counts(dsn)["failure"]) == (1, 1, 1)
    assert [
        n["path"] for n in run("search", kept, "--feature", "average_hash", "--json").json["neighbours"]
    ] == []
    image.write_bytes(good)
    assert ingest(run, folder, *LIGHT) == {"found": 2, "new": 1, "unchanged": 1}
    assert (counts(dsn)["image"], counts(dsn)["failure"]) == (2, 0)


def test_known_failures_are_tried_again_on_request(run: Imrec, dsn: str, folder: Path) -> None:
    save_scenes(folder, [1])
    good = save(folder.parent / "good.jpg", scene(2, 96, 72)).read_bytes()
    mended, broken, gone = (folder / f"{name}.jpg" for name in ("mended", "broken", "gone"))
    for path in (mended, broken, gone):
        path.write_bytes(GARBAGE.ljust(len(good)))
    assert ingest(run, folder, *LIGHT, code=3) == {"found": 4, "new": 1, "failed": 3}
    gone.unlink()
    overwrite_unnoticed(mended, good)
    assert ingest(run, folder, *LIGHT) == {"found": 3, "unchanged": 1, "known_failures": 2}
    assert ingest(run, "--retry", *LIGHT, code=3) == {"found": 2, "new": 1, "failed": 1}
    failures = run("errors", "--json").json
    assert [(f["path"], f["attempts"]) for f in failures] == [(str(broken), 2)]
    assert ingest(run, folder, "--retry", *LIGHT, code=3) == {"found": 3, "unchanged": 2, "failed": 1}
    broken.unlink()
    assert ingest(run, "--retry", *LIGHT) == {}
    assert (counts(dsn)["image"], counts(dsn)["failure"]) == (2, 0)


def test_features_left_out_are_filled_in_later(album: Album, run: Imrec, dsn: str) -> None:
    # Whoever wanted the model would fail.
    without_model = run.with_environ(IMREC_WEIGHTS="/nowhere")
    assert ingest(without_model, album.folder, "--features", "average_hash", code=3)["new"] == album.images
    human, machine = run.all([["status"], ["status", "--json"]])
    assert machine.json["lacking"] == dict.fromkeys(FEATURES, 57) | {"average_hash": 0}
    assert (
        "lacking    embedding 57, histogram 57, difference_hash 57, perceptual_hash 57: run ingest again"
        in human.out
    )
    filled = ingest(run, album.folder, "--features", " histogram , Embedding,difference_hash,perceptual_hash")
    assert (filled["completed"], filled["known_failures"], "new" in filled) == (album.images, 2, False)
    assert_same(content(dsn), content(album.dsn))
    assert ingest(without_model, album.folder) == {"found": 59, "unchanged": 57, "known_failures": 2}


def test_duplicates_within_one_run_are_featured_once(run: Imrec, dsn: str, folder: Path) -> None:
    images = save_scenes(folder / "a", range(3))
    for copy in range(70):
        target = folder / f"{copy % 7}" / f"{copy}.jpg"
        target.parent.mkdir(exist_ok=True)
        shutil.copy(images[copy % 3], target)
    assert ingest(run, folder, *LIGHT, "--batch", "5") == {"found": 73, "new": 3, "duplicates": 70}
    assert (counts(dsn)["image"], counts(dsn)["average_hash"], counts(dsn)["file"]) == (3, 3, 73)
    assert_no_half_batch(dsn, LIGHT[1])


def test_overlapping_folders_are_walked_once(run: Imrec, dsn: str, folder: Path) -> None:
    save_scenes(folder, [1])
    save_scenes(folder / "sub", [2, 3])
    save_scenes(folder / "subway", [4])
    overlapping: list[Argument] = [folder / "sub", folder, folder / "sub" / ".." / "sub", f"{folder}/"]
    overlapping.append(folder / "subway")
    assert ingest(run, *overlapping, *LIGHT) == {"found": 4, "new": 4}
    assert ingest(run, folder / "sub", *LIGHT) == {"found": 2, "unchanged": 2}
    assert counts(dsn)["root"] == 1


def test_a_folder_inside_and_then_the_one_around_it(run: Imrec, dsn: str, folder: Path) -> None:
    save_scenes(folder, [1])
    save_scenes(folder / "sub", [2, 3])
    assert ingest(run, folder / "sub", *LIGHT) == {"found": 2, "new": 2}
    assert ingest(run, folder, *LIGHT) == {"found": 3, "new": 1, "unchanged": 2}
    assert counts(dsn)["file"] == 3


def test_links_that_go_in_circles_end(run: Imrec, dsn: str, folder: Path) -> None:
    save_scenes(folder / "a" / "b", [1])
    (folder / "a" / "b" / "up").symlink_to(folder)
    (folder / "self").symlink_to(folder / "self")
    (folder / "z").symlink_to(folder / "a")
    # The link to itself leads nowhere, which is reported.
    assert ingest(run, folder, *LIGHT, code=3) == {"found": 1, "new": 1, "unreadable": 1}
    assert places(dsn).keys() == {str(folder / "a" / "b" / "0001.jpg")}


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("file.jpg", 2, "is a file: name its folder"),
        ("missing", 2, "does not exist"),
        ("dangling", 2, "is a file"),
        ("empty", 1, "no photos in"),
        ("texts", 1, "1 other files"),
    ],
)
def test_what_is_no_folder_of_photos_is_one_line(
    name: str, code: int, says: str, run: Imrec, dsn: str, folder: Path
) -> None:
    save(folder / "file.jpg", scene(1))
    (folder / "dangling").symlink_to(folder / "nowhere")
    (folder / "empty").mkdir()
    (folder / "texts").mkdir()
    (folder / "texts" / "a.txt").write_text("no photo")
    refused = run("ingest", folder / name, *LIGHT, code=code)
    assert says in refused.message
    assert str(folder / name) in refused.message
    assert not refused.raw_out
    assert counts(dsn)["file"] == 0


def test_one_wrong_folder_among_good_ones_stops_all(run: Imrec, dsn: str, folder: Path) -> None:
    save_scenes(folder, [1])
    assert "does not exist" in run("ingest", folder, folder / "missing", *LIGHT, code=2).message
    assert counts(dsn)["image"] == counts(dsn)["root"] == 0


def test_two_ingesters_at_once_share_the_work(run: Imrec, dsn: str, folder: Path) -> None:
    save_scenes(folder, range(60))
    runs = run.all([["ingest", folder, *LIGHT, "--batch", "7", "--workers", "1", "--json"]] * 2)
    assert sum(ran.json["new"] for ran in runs) == 60
    assert counts(dsn)["image"] == counts(dsn)["file"] == counts(dsn)["average_hash"] == 60
    assert ingest(run, folder, *LIGHT) == {"found": 60, "unchanged": 60}
