"""`imrec-pg prune`: asks, tells, and forgets."""

from pathlib import Path

from e2e.command import Imrec
from e2e.photos import save_scenes

LIGHT = ("--features", "histogram,average_hash,difference_hash")


def test_from_deletion_to_prune(run: Imrec, folder: Path) -> None:
    photos = save_scenes(folder, range(4))
    run("ingest", folder, *LIGHT)
    photos[0].unlink()
    told = run("ingest", folder, *LIGHT)
    assert "1 now missing" in told.out
    assert "until imrec-pg prune" in told.err
    assert "missing    1 files: imrec-pg errors --missing" in run("status").out
    gone = run("errors", "--missing")
    assert gone.out.startswith(f"{photos[0]}: missing since 20")
    assert [file["path"] for file in run("errors", "--missing", "--json").json] == [str(photos[0])]
    answer = run("search", photos[1], "--feature", "difference_hash", "--json").json
    assert sorted(n["missing"] for n in answer["neighbours"]) == [False, False, True]
    assert "(missing)" in run("search", photos[1], "--feature", "difference_hash").out
    assert "would forget 1 missing files, and 1 photos" in run("prune", "--dry-run").err
    assert "no file has been missing that long" in run("prune", "--older-than", "1d", "--yes").err
    assert "pass --yes" in run("prune", code=2).message
    assert run("prune", "--yes", "--json").json == {"files": 1, "images": 1, "dry_run": False}
    assert run("status", "--json").json["images"] == 3
    assert "is not an age" in run("prune", "--older-than", "soon", code=2).err


def test_a_disk_that_is_not_mounted_is_told_by_the_exit_code(run: Imrec, folder: Path) -> None:
    photos = save_scenes(folder, range(25))
    run("ingest", folder, *LIGHT)
    for photo in photos[:-1]:
        photo.unlink()
    told = run("ingest", folder, *LIGHT, code=3)
    assert "24 of 25 known files are gone" in told.err
    assert run("ingest", folder, *LIGHT, "--accept-deletions", "--json").json["missing"] == 24


def test_a_disk_that_is_not_mounted_is_told_in_company_of_others(run: Imrec, folder: Path) -> None:
    pics, nas = folder / "pics", folder / "nas"
    save_scenes(pics, range(30))
    photos = save_scenes(nas, range(30, 55))
    run("ingest", pics, nas, *LIGHT)
    for photo in photos:
        photo.unlink()
    told = run("ingest", pics, nas, *LIGHT, code=3)
    assert f"{nas}: 25 of 25 known files are gone" in told.err
    found = run("ingest", pics, nas, *LIGHT, "--json", code=3).json
    assert (found["missing"], found["doubted"], found["doubted_folders"]) == (0, 25, [str(nas)])
    assert run("status", "--json").json["missing_files"] == 0
