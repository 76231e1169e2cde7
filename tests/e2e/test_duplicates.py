"""Duplicates as users look for them: the commands, on small photos."""

import os
import subprocess
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from e2e.command import Album, Imrec
from e2e.photos import save, scene
from support import bare_session, settings_for

from imrec_pg.db.rows import all_rows, values
from imrec_pg.search.duplicate_tuning import LIMITS, Distances, Limit
from imrec_pg.search.ranking import stored_features


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


def test_tune_measures_each_strictness_and_find_goes_by_the_one_chosen(copied_album: Album) -> None:
    run = copied_album.run
    tuned = run("duplicates", "tune", "--photos", "10", "--json").json
    judged = {(one["strictness"], one["crops"]): one for one in tuned["judged"]}
    assert set(judged) == {(name, crops) for name in ("strict", "normal", "loose") for crops in (False, True)}
    assert tuned["copies"] == 10 * 19
    for crops in (False, True):
        recalls = [judged[name, crops]["recall"] for name in ("strict", "normal", "loose")]
        assert recalls == sorted(recalls)
    for one in judged.values():
        assert one["precision"] == pytest.approx(one["found"] / max(1, one["found"] + one["wrong"]), abs=1e-9)
        assert one["recall"] == pytest.approx(one["found"] / 190)
        assert one["recall"] == pytest.approx(sum(one["by_alteration"].values()) / 19)
    # A copy by JPEG 30 is found by all, what is rotated by none without crops.
    assert judged["strict", False]["by_alteration"]["JPEG 30"] > 0.4
    assert judged["loose", False]["by_alteration"]["rotation 90°"] < 0.2
    fine = [name for name in ("strict", "normal", "loose") if judged[name, False]["precision"] >= 0.99]
    best = max(fine, key=lambda name: judged[name, False]["recall"])
    assert tuned["chosen"] == best
    by_default = run("duplicates", "find", "--json").json
    assert by_default == run("duplicates", "find", "--strictness", best, "--json").json
    # What it counts as alike is what find keeps.
    run("duplicates", "find", "--strictness", "loose")
    with bare_session(settings_for(copied_album.dsn)) as conn:
        features = stored_features(
            conn, values(conn, UUID, "SELECT image_id FROM imrec.image ORDER BY image_id")
        )
        (loose,) = all_rows(conn, Limit, LIMITS + " WHERE strictness = 'loose'")
        ids, rows = list(features), list(features.values())
        alike = Distances(conn, rows, rows).alike(loose, crops=False)
        kept = conn.execute("SELECT image_id, other_id FROM imrec.duplicate_pair").fetchall()
    assert len(kept) > 3
    assert set(kept) == {(ids[i], ids[j]) for i, j in np.argwhere(alike).tolist() if ids[i] < ids[j]}
    assert "goes by: " in run("duplicates", "tune", "--photos", "10", "--precision", "0.5").err
    run("duplicates", "tune", "--precision", "0", code=2)


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
