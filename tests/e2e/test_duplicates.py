"""Duplicates as users look for them: the commands, on small photos."""

import os
import subprocess
from pathlib import Path

from e2e.command import Imrec
from e2e.photos import save, scene


def test_copies_are_found_listed_and_judged_once(run: Imrec, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    for seed in range(6):
        save(folder / f"{seed}.png", scene(seed))
    half = save(folder / "half \x1b[31m\n.jpg", scene(0).resize((96, 72)), quality=70)
    twin = save(folder / "twin.png", scene(1))
    run("ingest", folder, "--no-index")
    assert run("duplicates", "find", "--json").json == {"pairs": 1, "groups": 1}
    listed = run("duplicates", "list", "--json").json
    names = {group["kind"]: [photo["path"] for photo in group["photos"]] for group in listed}
    assert names["exact"] == [f"{folder}/1.png", str(twin)]
    assert names["copy"][0] == f"{folder}/0.png"
    assert len(names["copy"]) == 2
    paths = run("duplicates", "list", "--paths", "-0").raw_out.split(b"\0")
    assert set(paths) == {bytes(half), bytes(twin), b""}
    shown = run("duplicates", "list", "--plot", tmp_path / "copies.png")
    assert b"\x1b" not in shown.raw_out
    assert "Pairs of photos that are alike: 1" in shown.err
    assert (tmp_path / "copies.png").stat().st_size > 1000
    rows = run("duplicates", "list", "--kind", "copy", "--csv").raw_out.splitlines()
    assert rows[0].startswith(b"group_id,kind,keeper,path")
    assert "(before: none)" in run("duplicates", "verdict", half, folder / "0.png", "different").err
    # What was said stays said, whatever is searched again or stored anew.
    run("duplicates", "find")
    again = save(folder / "smaller.jpg", scene(0).resize((80, 60)), quality=80)
    run("ingest", folder)
    (group,) = run("duplicates", "list", "--kind", "copy", "--json").json
    assert [photo["path"] for photo in group["photos"]] == [f"{folder}/0.png", str(again)]
    assert "(before: different)" in run("duplicates", "verdict", half, folder / "0.png", "none").err
    (group,) = run("duplicates", "list", "--kind", "copy", "--json").json
    assert len(group["photos"]) == 3


def test_wrong_usage_is_said(run: Imrec, tmp_path: Path) -> None:
    photo = save(tmp_path / "photos" / "a.png", scene(1))
    run("ingest", tmp_path / "photos", "--no-index")
    assert "same bytes" in run("duplicates", "verdict", photo, photo, "same", code=2).err
    assert "no photo is stored" in run("duplicates", "verdict", photo, tmp_path / "b.png", "same", code=2).err
    run("duplicates", "verdict", photo, photo, "equal", code=2)
    run("duplicates", "list", "--json", "--csv", code=2)
    run("duplicates", "list", "-0", code=2)
    assert "no duplicates are known" in run("duplicates", "list").err


def test_a_plan_is_written_read_and_run(run: Imrec, tmp_path: Path) -> None:
    folder, plan, trash = tmp_path / "photos", tmp_path / "plan.sh", tmp_path / "trash"
    photo = save(folder / "a.png", scene(1))
    twin = save(folder / "-it's a\ntwin.png", scene(1))
    half = save(folder / "half.jpg", scene(1).resize((96, 72)), quality=70)
    os.utime(photo, (10**9, 10**9))
    run("ingest", folder, "--no-index")
    run("duplicates", "find")
    said = run("duplicates", "plan", "--trash", trash, "--output", plan, "--keep", "resolution,oldest").err
    assert "2 files of 1 groups could go" in said
    assert photo.exists()
    assert twin.exists()
    assert half.exists()
    piped = run("duplicates", "plan", "--trash", trash, "--keep", "resolution,oldest").raw_out
    assert piped == plan.read_bytes()
    run("duplicates", "plan", "--trash", trash, "--output", photo, "--force", code=2)
    assert subprocess.run(["sh", plan], check=True, capture_output=True).stderr == b"2 done, 0 left alone\n"
    assert sorted(path.name for path in folder.iterdir()) == ["a.png"]
    assert sorted(path.name for path in trash.rglob("*.[pj]*g")) == [twin.name, half.name]
    # What went is missing; it is a duplicate no longer.
    run("ingest", folder)
    assert b"move '" not in run("duplicates", "plan", "--trash", trash).raw_out
    for wrong in ([], ["--hardlink", "--trash", trash], ["--hardlink", "--kind", "copy"]):
        run("duplicates", "plan", *wrong, code=2)
    assert "write some of" in run("duplicates", "plan", "--trash", trash, "--keep", "best", code=2).err
    assert "ingest would find" in run("duplicates", "plan", "--trash", folder / "x", code=2).err
