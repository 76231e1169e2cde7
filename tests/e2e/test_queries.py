"""What may be searched for: stored and unknown images, odd names, any k; and what is refused."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from e2e.command import Album, Argument, Imrec
from e2e.database import query
from e2e.photos import GARBAGE, save, save_scenes, scene

FEATURES = ["embedding", "histogram", "average_hash", "difference_hash", "perceptual_hash"]
HEAVY = ("torch", "openvino", "cv2")


def imported(err: str) -> set[str]:
    """Return the top-level modules in what python -X importtime says."""
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in err.splitlines() if "|" in line}


def test_a_stored_query_loads_no_model(album: Album) -> None:
    run = album.run.with_environ(PYTHONPROFILEIMPORTTIME="1")
    done = run("search", album.folder / "original.png", "--json")
    assert done.json["queries"][0]["stored"]
    assert "psycopg" in imported(done.err)
    assert not imported(done.err) & set(HEAVY)


def test_a_query_with_stored_bytes_needs_neither_model_nor_its_old_path(album: Album, tmp_path: Path) -> None:
    copy = tmp_path / "another name.jpeg"
    shutil.copy(album.folder / "original.png", copy)
    run = album.run.with_environ(IMREC_WEIGHTS="/nowhere")
    answer = run("search", copy, "--json").json
    assert answer["queries"] == [
        {"path": str(copy), "image_id": answer["queries"][0]["image_id"], "stored": True, "disliked": False}
    ]
    assert not any(n["path"].endswith("original.png") for n in answer["neighbours"])


@pytest.mark.parametrize("feature", FEATURES)
def test_an_unknown_query_gives_the_distances_of_the_stored_one(
    feature: str, album: Album, copied_album: Album
) -> None:
    image = album.folder / "scenes" / "0007.jpg"
    query(copied_album.dsn, "DELETE FROM imrec.file WHERE path = %s", str(image))
    orphans = "image_id NOT IN (SELECT image_id FROM imrec.file)"
    query(copied_album.dsn, f"DELETE FROM imrec.image WHERE {orphans}")
    arguments: list[Argument] = ["search", image, "-k", "1000", "--feature", feature, "--json"]
    known, unknown = album.run(*arguments).json, copied_album.run(*arguments).json
    assert known["queries"][0]["stored"]
    assert not unknown["queries"][0]["stored"]
    by_id = [{n["image_id"]: n["distance"] for n in answer["neighbours"]} for answer in (known, unknown)]
    assert len(by_id[0]) == album.images - 1
    assert by_id[0].keys() == by_id[1].keys()
    for key, distance in by_id[0].items():
        assert by_id[1][key] == pytest.approx(distance, abs=1e-4)


def test_the_queries_are_left_out_unless_asked_for(album: Album) -> None:
    images = [album.folder / "original.png", album.folder / "copies" / "half.png"]
    common: list[Argument] = ["search", *images, "-k", "1000", "--combine", "min", "--json"]
    runs = album.run.all([common, [*common, "--include-self"]])
    without, with_them = (run.json["neighbours"] for run in runs)
    assert len(without) == album.images - 2
    assert not {n["path"] for n in without} & {str(image) for image in images}
    assert len(with_them) == album.images
    assert {n["path"] for n in with_them[:2]} == {str(image) for image in images}
    np.testing.assert_allclose([n["distance"] for n in with_them[:2]], 0, atol=1e-6)


def test_k_beyond_what_is_stored_gives_all(album: Album) -> None:
    image = album.folder / "original.png"
    runs = album.run.all([["search", image, "-k", k, "--json"] for k in ("1", "56", "57", "400", "1000000")])
    assert [len(run.json["neighbours"]) for run in runs] == [1, 56, 56, 56, 56]


# The last one is more than any integer of SQL holds, and is told as the largest of them.
@pytest.mark.parametrize(
    ("k", "told"),
    [("0", "0"), ("-3", "-3"), ("1000001", "1000001"), ("99999999999999999999", "9223372036854775807")],
)
def test_k_out_of_range_is_refused(k: str, told: str, run: Imrec, album: Album) -> None:
    refused = run("search", album.folder / "original.png", "-k", k, code=2)
    assert f"from 1 to 1,000,000, not {told}" in refused.message


def test_a_pair_that_makes_no_sense_is_refused_with_the_list(run: Imrec, album: Album) -> None:
    vectors = "cosine, euclidean, manhattan"
    for feature, metric, metrics in [
        ("embedding", "hamming", vectors),
        ("average_hash", "cosine", "hamming"),
        ("difference_hash", "euclidean", "hamming"),
    ]:
        pair = ["--feature", feature, "--metric", metric]
        refused = run("search", album.folder / "original.png", *pair, code=2)
        assert f"{feature} has no {metric} distance. The metrics of {feature}: {metrics}" in refused.message


def test_options_are_taken_in_any_case(album: Album) -> None:
    answer = album.run("search", album.folder / "original.png", "--feature", "Average_Hash", "--json").json
    assert (answer["feature"], answer["metric"]) == ("average_hash", "hamming")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("missing.jpg", None, "No such file or directory"),
        ("missing/folder.jpg", None, "No such file or directory"),
        ("text.jpg", b"no image at all", "the content is not an image"),
        ("cut.jpg", GARBAGE, "Truncated|truncated|broken"),
        ("empty.jpg", b"", "the file is empty"),
        ("x\n\x1b[31m.jpg", None, "No such file or directory"),
        ("x" * 300 + ".jpg", None, "File name too long"),
    ],
    ids=["missing", "missing folder", "text", "cut", "empty", "control characters", "long"],
)
def test_a_query_that_cannot_be_read_is_one_line(
    name: str, content: bytes | None, reason: str, run: Imrec, tmp_path: Path
) -> None:
    image = tmp_path / name
    if content is not None:
        image.write_bytes(content)
    message = run("search", image, "--feature", "histogram", code=1).message
    assert any(part in message for part in reason.split("|")), message
    assert "\x1b" not in message


def test_a_folder_or_fifo_as_query_is_one_line(run: Imrec, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.jpg")
    assert "is a folder: name an image in it" in run("search", tmp_path, code=2).message
    assert "not a regular file" in run("search", tmp_path / "fifo.jpg", code=1).message


def test_one_bad_query_among_good_ones_is_named(album: Album, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"bad")
    ran = album.run("search", album.folder / "original.png", bad, code=1)
    assert str(bad) in ran.message
    assert not ran.raw_out


def test_names_that_look_like_options_or_markup(run: Imrec, folder: Path) -> None:
    names = ["[red].jpg", "-x.jpg", "--json.jpg", ":smile: [bold]b.jpg", "%s %(x)s {0}.jpg"]
    for name, path in zip(names, save_scenes(folder, range(len(names))), strict=True):
        path.rename(folder / name)
    run("ingest", folder, "--features", "average_hash")
    for name in names:
        others = run("search", "-k", "9", "--feature", "average_hash", "--", name, cwd=folder).out
        shown = {line.partition(str(folder) + "/")[2].rstrip() for line in others.splitlines()[1:]}
        assert shown == set(names) - {name}
    assert "No such option" in run("search", "-x.jpg", cwd=folder, code=2).err


def test_a_query_by_relative_path_and_through_the_shell(run: Imrec, folder: Path) -> None:
    save_scenes(folder / "sub", range(3))
    run("ingest", "sub", "--features", "average_hash", cwd=folder)
    arguments = ["--feature", "average_hash", "--include-self", "-k", "1", "--paths"]
    expected = f"{folder}/sub/0001.jpg\n"
    assert run("search", "sub/0001.jpg", *arguments, cwd=folder).out == expected
    assert run("search", "./../sub/0001.jpg", *arguments, cwd=folder / "sub").out == expected
    command = f"{sys.executable} -m imrec_pg search ~/sub/0001.jpg {' '.join(arguments)}"
    environ = run.environ | {"HOME": str(folder)}
    shell = subprocess.run(["sh", "-c", command], env=environ, capture_output=True, text=True, check=True)
    assert shell.stdout == expected


def test_a_database_with_nothing_to_find_says_so(run: Imrec, folder: Path) -> None:
    (image,) = save_scenes(folder, [1])
    nothing = run("search", image, "--feature", "histogram")
    assert nothing.err == "nothing is stored yet: imrec-pg ingest FOLDER\n"
    run("ingest", folder, "--features", "average_hash")
    assert "no other photo" in run("search", image, "--feature", "average_hash").err
    save(folder / "other.png", scene(2))
    run("ingest", folder, "--features", "average_hash")
    lacking = run("search", image, "--feature", "histogram", "--json")
    assert lacking.json["neighbours"] == []
    assert "ingest with histogram" in lacking.err
