"""One library on several hosts, moved, named, forgotten; and names of files as disks really have them."""

import hashlib
import os
import signal
import unicodedata
from pathlib import Path
from typing import Any

import psycopg
import pytest
from e2e.command import Argument, Imrec
from e2e.database import counts, one, query
from e2e.photos import GARBAGE, save, save_scenes, scene

LIGHT = ("--features", "average_hash,difference_hash")
FAST = ("--feature", "average_hash", "-k", "100")
# What the file system stores, and how the database shows it.
NAMES = {
    unicodedata.normalize("NFC", "Zoë é.jpg").encode(): unicodedata.normalize("NFC", "Zoë é.jpg"),
    unicodedata.normalize("NFD", "Zoë é.jpg").encode(): unicodedata.normalize("NFD", "Zoë é.jpg"),
    b"latin1 \xe4\xff.jpg": r"latin1 \xe4\xff.jpg",
    b"new\nline\r\t.jpg": r"new\x0aline\x0d\x09.jpg",
    b"quotes ' \" ` and $HOME; --.jpg": "quotes ' \" ` and $HOME; --.jpg",
    b"back\\slash \\xff 100%s %(x)s {0}.jpg": r"back\slash \xff 100%s %(x)s {0}.jpg",
    "emoji 🐙 👨‍👩‍👧.jpg".encode(): "emoji 🐙 👨‍👩‍👧.jpg",
    b"-rf --json.jpg": "-rf --json.jpg",
    b" .jpg": " .jpg",
    b"x" * 251 + b".jpg": "x" * 251 + ".jpg",
    b"\xf0\x9f\x98" * 80 + b".jpg": r"\xf0\x9f\x98" * 80 + ".jpg",
}


def ingest(run: Imrec, *arguments: Argument, code: int = 0) -> dict[str, Any]:
    """Return the counts that are not 0."""
    found = run("ingest", *arguments, "--json", code=code).json
    del found["seconds"], found["images_per_second"]
    return {name: value for name, value in found.items() if value}


def found_paths(run: Imrec, *arguments: Argument) -> set[str]:
    return {n["path"] for n in run("search", *arguments, *FAST, "--json").json["neighbours"]}


@pytest.fixture
def a(run: Imrec) -> Imrec:
    return run.with_environ(IMREC_HOST="a")


@pytest.fixture
def b(run: Imrec) -> Imrec:
    return run.with_environ(IMREC_HOST="b")


def test_the_same_library_mounted_elsewhere_is_the_same(a: Imrec, b: Imrec, dsn: str, folder: Path) -> None:
    save_scenes(folder, [1, 2])
    save_scenes(folder / "2024", [3])
    (folder / "broken.jpg").write_bytes(GARBAGE)
    query_image = save(folder.parent / "query.jpg", scene(9))
    there = folder.parent / "mounted on b"
    there.symlink_to(folder)
    assert ingest(a, folder, *LIGHT, code=3)["new"] == 3
    said = b("root", "add", folder, there).err
    assert f"{folder} is {there} on this host, b" in said
    assert f"paths in {folder}, because a has it too" in said
    assert ingest(b, there, *LIGHT) == {"found": 4, "unchanged": 3, "known_failures": 1}

    names = ["0001.jpg", "0002.jpg", "2024/0003.jpg"]
    for host, place in ((a, folder), (b, there)):
        raw = host("search", query_image, *FAST, "--paths", "-0").raw_out
        assert set(raw[:-1].split(b"\0")) == {os.fsencode(place / name) for name in names}
        assert host("errors", "--json").json[0]["path"] == str(place / "broken.jpg")
        (root,) = host("status", "--json").json["roots"]
        assert (root["path"], root["canonical"], root["files"]) == (str(place), str(folder), 3)
    for place in (there, folder):
        assert found_paths(b, query_image, "--under", place / "2024") == {f"{there}/{names[2]}"}
    fused = b("search", query_image, "--weights", "average_hash=1,difference_hash=1", "--json").json[
        "neighbours"
    ]
    assert {n["path"] for n in fused} == {f"{there}/{name}" for name in names}
    assert f"{folder}: {there} (3 files; known as {folder}; also on a)" in b("status").out

    # What b adds and misses is known by the canonical path too.
    save_scenes(folder / "2024", [4])
    (folder / "0001.jpg").unlink()
    assert ingest(b, there, *LIGHT)["missing"] == 1
    assert ingest(b, "--retry", *LIGHT, code=3) == {"found": 1, "failed": 1}
    assert one(dsn, "SELECT imrec_internal.image_at(%s)", str(folder / "2024" / "0004.jpg"))
    shown = "SELECT path FROM imrec.file UNION SELECT path FROM imrec.failure"
    assert {path for (path,) in query(dsn, shown) if not path.startswith(f"{folder}/")} == set()
    assert ingest(a, folder, *LIGHT) == {"found": 4, "unchanged": 3, "known_failures": 1}


def test_odd_names_survive_a_move_byte_for_byte(a: Imrec, dsn: str, folder: Path) -> None:
    try:
        for seed, name in enumerate(NAMES):
            scene(seed, 64, 48).save(os.fsdecode(os.fsencode(folder / "") + b"/" + name))
    except OSError:
        pytest.skip("this file system does not keep names as they are")
    odd = folder / os.fsdecode(b"sub \xe4\n'%s")
    save_scenes(odd, [90])
    (folder / "broken \n.jpg").write_bytes(GARBAGE)
    count = len(NAMES) + 1
    assert a("root", "add", "photos", folder).err.startswith(f"photos is {folder}: ")
    assert ingest(a, "photos", *LIGHT, code=3)["new"] == count

    moved = folder.rename(folder.parent / os.fsdecode(b"moved \xff \xe2\x80\xa8 %s"))
    shown = rf"{folder.parent}/moved \xff \u2028 %s"
    said = a("root", "add", "photos", moved).err.splitlines()
    assert said[0] == (f"photos has moved from {folder} to {shown}: its files have their new paths")
    assert said[1:] == [f"{count + 1} files have a new path"]
    assert ingest(a, moved, *LIGHT) == {"found": count + 1, "unchanged": count, "known_failures": 1}
    displayed = {rf"{shown}/{name}" for name in NAMES.values()} | {rf"{shown}/sub \xe4\x0a'%s/0090.jpg"}
    assert {path for (path,) in query(dsn, "SELECT path FROM imrec.file")} == displayed
    assert a("errors", "--json").json[0]["path"] == rf"{shown}/broken \x0a.jpg"

    # From the database's bytes back to the file, and from each file to the others.
    stored = query(
        dsn,
        "SELECT r.raw_path || '/'::bytea || l.relative_path, l.image_id FROM imrec.file AS l "
        "INNER JOIN imrec.root AS r USING (root_id)",
    )
    for path, image_id in stored:
        assert hashlib.sha256(Path(os.fsdecode(path)).read_bytes()).digest()[:16] == image_id.bytes
    files = {os.fsencode(moved) + b"/" + name for name in NAMES}
    assert files | {os.fsencode(moved / odd.name / "0090.jpg")} == {path for path, _ in stored}
    answer = a("search", *sorted(files), *FAST, "--include-self", "--json").json
    assert len(answer["queries"]) == len(NAMES)
    assert all(asked["stored"] for asked in answer["queries"])
    assert {n["path"] for n in answer["neighbours"]} == displayed
    raw = a("search", *sorted(files), *FAST, "--include-self", "--paths", "-0").raw_out
    assert set(raw[:-1].split(b"\0")) == {path for path, _ in stored}


def test_ctrl_c_while_paths_are_rewritten(a: Imrec, dsn: str, folder: Path) -> None:
    save_scenes(folder, range(4))
    ingest(a, folder, *LIGHT)
    moved = folder.rename(folder.parent / "moved")
    with psycopg.connect(dsn) as conn:
        conn.execute("SELECT FROM imrec.file FOR UPDATE")
        started = a.start("root", "add", folder, moved)
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        started.until(lambda: one(dsn, waiting + " AND datname = current_database()"))
        started.signal(signal.SIGINT, group=True)
        done = started.wait()
    assert done.code == 130
    assert "run the same command again" in done.err
    assert ingest(a, moved, *LIGHT) == {"found": 4, "unchanged": 4}
    assert "4 files have a new path" in a("root", "add", folder, moved).err
    assert {path for (path,) in query(dsn, "SELECT path FROM imrec.file")} == {
        str(path) for path in moved.iterdir()
    }


def test_roots_are_listed_renamed_and_removed(a: Imrec, dsn: str, folder: Path) -> None:
    first, second = folder / "first", folder / "second"
    save_scenes(first, [1, 2])
    save_scenes(second, [2, 3])  # one of them is in both
    a("root", "add", "one", first)
    assert ingest(a, "one", second, *LIGHT)["new"] == 3
    a("root", "rename", second, "two")
    assert ingest(a, "two", second / ".", *LIGHT) == {"found": 2, "unchanged": 2}
    listed = a("root", "list", "--json").json
    assert [(root["name"], root["path"], root["files"]) for root in listed] == [
        ("one", str(first), 2),
        ("two", str(second), 2),
    ]
    assert a("root", "list").out == f"one  {first} (2 files)\ntwo  {second} (2 files)\n"

    assert "pass --yes" in a("root", "remove", "two", code=2).message
    dry = a("root", "remove", "two", "--dry-run", "--json").json
    assert dry == {"files": 2, "images": 1, "dry_run": True}
    assert one(dsn, "SELECT count(*) FROM imrec.file") == 4
    assert a("root", "remove", "two", "--yes").err == (
        "forgot two: 2 files, and 1 photos that no other file holds\n"
    )
    assert (counts(dsn)["image"], counts(dsn)["average_hash"]) == (2, 2)
    assert {path for (path,) in query(dsn, "SELECT path FROM imrec.file")} == {
        str(path) for path in first.iterdir()
    }
    assert len(list(second.iterdir())) == 2
