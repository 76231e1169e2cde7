"""Plans of what could go: which file stays, and that the script loses nothing, whatever has happened meanwhile."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from support import AddImage, at_angle

from imrec_pg.analysis import duplicates
from imrec_pg.analysis.duplicates import Strictness
from imrec_pg.analysis.removal_script import script_of
from imrec_pg.analysis.removals import RemovalPlan
from imrec_pg.db.connection import Connection
from imrec_pg.errors import InvalidQueryError, UsageError
from imrec_pg.images.content import image_id_of
from imrec_pg.library import Library
from imrec_pg.settings import Settings

CODE = np.random.default_rng(3).bytes(8)
SHELLS = [shell for shell in ("sh", "dash", "bash") if shutil.which(shell)]
HOSTILE = (
    *(
        b"it's.jpg",
        b"new\nline.jpg",
        b"-rf.jpg",
        b"\xff\xfe'.jpg",
        b"$(touch pwned)`touch pwned`.jpg",
        b"*.jpg",
    ),
    *(
        b"sp ace \\ \"'\n'; touch pwned; '.jpg",
        b"\xe2\x80\xae\x1b[31m.jpg",
        b"line\n# x\nmove 'x' ''",
    ),
)


class Photos:
    """Nine bytes a photo, in files and stored; letters are their contents."""

    def __init__(self, conn: Connection, settings: Settings, folder: Path) -> None:
        self.conn = conn
        self.folder = folder
        folder.mkdir()
        self._add = AddImage(conn, os.fsencode(folder))
        self._settings = settings

    def add(self, letter: str, *names: bytes, code: bytes = CODE, width: int = 4, aged: int = 0) -> None:
        data = letter.encode() * 9
        for name in names:
            path = self.folder / os.fsdecode(name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        self._add.many(
            {
                "name": os.fsdecode(name),
                "image_id": image_id_of(data),
                "difference_hash": code,
                "perceptual_hash": code,
                "embedding": at_angle(0),
            }
            for name in names
        )
        key = image_id_of(data)
        self.conn.execute("UPDATE imrec.image SET width = %s WHERE image_id = %s", (width, key))
        self.conn.execute(
            "UPDATE imrec.file SET mtime_ns = %s WHERE image_id = %s", ((100 - aged) * 10**9, key)
        )

    def find(self, strictness: Strictness = Strictness.NORMAL) -> None:
        duplicates.find(self.conn, strictness, crops=False)

    def plan(self, kinds: Sequence[str] = ("copy", "exact"), **options: object) -> RemovalPlan:
        with Library(self._settings) as library:
            return library.plan_removal(kinds, **options)  # type: ignore[arg-type]

    def planned(self, kinds: Sequence[str] = ("copy", "exact"), **options: object) -> dict[str, set[str]]:
        """Return the names that could go, by the one that stays."""
        return {
            self._name(group.keep.path): {self._name(file.path) for file in group.remove}
            for group in self.plan(kinds, **options).groups
        }

    def _name(self, path: bytes) -> str:
        return os.fsdecode(path).removeprefix(f"{self.folder}/")

    def here(self) -> set[bytes]:
        return names_in(self.folder)


def names_in(folder: Path) -> set[bytes]:
    return {bytes(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def photos(conn: Connection, settings: Settings, tmp_path: Path) -> Photos:
    return Photos(conn, settings, tmp_path / "photos")


def execute(
    plan: RemovalPlan, trash: Path | None, folder: Path, shell: str = "sh"
) -> "subprocess.CompletedProcess[str]":
    script = folder / "plan.sh"
    script.write_bytes(script_of(plan, None if trash is None else os.fsencode(trash)))
    return subprocess.run(
        [shell, script], cwd=folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


@pytest.mark.parametrize("shell", SHELLS)
def test_files_of_all_names_are_moved_and_one_stays(photos: Photos, tmp_path: Path, shell: str) -> None:
    photos.add("a", b"album/1.jpg", *HOSTILE)
    trash = tmp_path / "it's\n trash"
    plan = photos.plan(prefer=[photos.folder / "album"], trash=trash)
    ran = execute(plan, trash, tmp_path, shell)
    assert (ran.returncode, ran.stderr) == (0, f"{len(HOSTILE)} done, 0 left alone\n")
    assert photos.here() == {b"album/1.jpg"}
    moved = Path(f"{trash}{photos.folder}")
    assert names_in(moved) == set(HOSTILE)
    assert {path.read_bytes() for path in moved.iterdir()} == {b"a" * 9}
    assert not list(tmp_path.rglob("pwned"))


def test_nothing_is_touched_before_the_script_runs(photos: Photos) -> None:
    photos.add("a", b"1.jpg", b"2.jpg")
    assert photos.planned() == {"1.jpg": {"2.jpg"}}
    assert photos.here() == {b"1.jpg", b"2.jpg"}


def test_exact_copies_of_near_copies_go_with_them(photos: Photos) -> None:
    photos.add("a", b"1.jpg", b"2.jpg", aged=9)
    photos.add("b", b"3.jpg", b"4.jpg")
    photos.add("c", b"5.jpg", b"6.jpg", code=bytes(range(8)))
    photos.find()
    assert photos.planned() == {"1.jpg": {"2.jpg", "3.jpg", "4.jpg"}, "5.jpg": {"6.jpg"}}
    assert photos.planned(["copy"]) == {"1.jpg": {"2.jpg", "3.jpg", "4.jpg"}}
    assert photos.planned(["exact"]) == {"1.jpg": {"2.jpg"}, "3.jpg": {"4.jpg"}, "5.jpg": {"6.jpg"}}
    assert photos.plan().savings == 4 * 9


@pytest.mark.parametrize(
    ("rules", "stays"),
    [
        ((), "old.jpg"),
        (("oldest",), "old.jpg"),
        (("resolution",), "wide.jpg"),
        (("date",), "dated.jpg"),
        (("format", "resolution"), "a.heic"),
        (("bytes", "resolution"), "wide.jpg"),
    ],
)
def test_which_file_stays_is_by_the_rules_in_their_order(
    photos: Photos, rules: tuple[str, ...], stays: str
) -> None:
    photos.add("a", b"old.jpg", aged=90)
    photos.add("b", b"wide.jpg", width=8)
    photos.add("c", b"dated.jpg")
    photos.add("d", b"a.heic")
    photos.conn.execute(
        "UPDATE imrec.image SET taken_at = '2024-01-01' WHERE image_id = %s", (image_id_of(b"c" * 9),)
    )
    photos.find()
    # Only now: a keeper that is HEIC would be the group's own.
    photos.conn.execute(
        "UPDATE imrec.image SET format = 'HEIF' WHERE image_id = %s", (image_id_of(b"d" * 9),)
    )
    names = {"old.jpg", "wide.jpg", "dated.jpg", "a.heic"}
    assert photos.planned(keep=rules) == {stays: names - {stays}}


def test_files_of_preferred_folders_stay_before_all_others(photos: Photos) -> None:
    photos.add("a", b"1.jpg", b"album/2.jpg", b"best/3.jpg", width=8)
    photos.add("b", b"album/4.jpg")
    photos.find()
    prefer = [photos.folder / "best", photos.folder / "album"]
    assert photos.planned(prefer=prefer, keep=["resolution"]) == {
        "best/3.jpg": {"1.jpg", "album/2.jpg", "album/4.jpg"}
    }
    # A folder is no beginning of a name.
    assert "1.jpg" in photos.planned(prefer=[photos.folder / "al"])


def test_what_is_not_near_to_the_one_that_stays_stays_too(photos: Photos) -> None:
    """Two ends of a star: each three bits from the keeper, and six from the other."""
    number = int.from_bytes(CODE, "big")
    photos.add("a", b"left.jpg", code=(number ^ 7).to_bytes(8, "big"), width=8)
    photos.add("b", b"middle.jpg", aged=9)
    photos.add("c", b"right.jpg", code=(number ^ 7 << 8).to_bytes(8, "big"))
    photos.find(Strictness.STRICT)
    assert photos.planned() == {"middle.jpg": {"left.jpg", "right.jpg"}}
    assert photos.planned(keep=["resolution"]) == {"left.jpg": {"middle.jpg"}}
    assert photos.plan(keep=["resolution"]).distant == 1


def test_a_camera_raw_and_its_picture_stay_both(photos: Photos) -> None:
    photos.add("a", b"1.dng", b"copy/1.dng")
    photos.add("b", b"1.jpg")
    photos.conn.execute("UPDATE imrec.image SET format = 'DNG' WHERE image_id = %s", (image_id_of(b"a" * 9),))
    photos.find()
    assert photos.planned() == {"1.dng": {"copy/1.dng"}}
    assert photos.planned(keep=["oldest"], prefer=[photos.folder / "1.jpg"]) == {"1.dng": {"copy/1.dng"}}


def test_alternates_and_bursts_stay(photos: Photos) -> None:
    photos.add("a", b"1.jpg", width=8)
    photos.add("b", b"2.jpg")
    photos.add("c", b"3.jpg")
    photos.conn.execute(
        "UPDATE imrec.image SET camera_model = 'A', taken_at = timestamp '2024-01-01' + "
        "CASE image_id WHEN %s THEN interval '1s' WHEN %s THEN interval '1h' ELSE '0' END",
        (image_id_of(b"b" * 9), image_id_of(b"c" * 9)),
    )
    photos.find()
    assert photos.planned() == {"1.jpg": {"3.jpg"}}
    assert photos.planned(["burst"]) == {"1.jpg": {"2.jpg"}}
    with Library(photos._settings) as library:
        library.set_verdict(photos.folder / "1.jpg", photos.folder / "3.jpg", "alternate")
    assert "3.jpg" not in {name for names in photos.planned().values() for name in names}


def test_the_last_file_stays_when_the_others_have_vanished(photos: Photos) -> None:
    photos.add("a", b"1.jpg", b"2.jpg", width=8)
    photos.add("b", b"3.jpg")
    photos.find()
    (photos.folder / "1.jpg").unlink()
    assert photos.planned() == {"2.jpg": {"3.jpg"}}
    assert photos.plan().absent == 1
    (photos.folder / "2.jpg").write_bytes(b"longer than it was")
    assert photos.planned() == {}
    assert photos.plan().absent == 2


def test_a_second_name_of_the_same_file_is_no_copy(photos: Photos, tmp_path: Path) -> None:
    photos.add("a", b"1.jpg", b"2.jpg", b"3.jpg")
    (photos.folder / "2.jpg").unlink()
    (photos.folder / "2.jpg").hardlink_to(photos.folder / "1.jpg")
    assert photos.planned() == {"1.jpg": {"3.jpg"}}
    plan = photos.plan()
    # And if it becomes one only after the plan was made.
    (photos.folder / "3.jpg").unlink()
    (photos.folder / "3.jpg").hardlink_to(photos.folder / "1.jpg")
    ran = execute(plan, tmp_path / "trash", tmp_path)
    assert (ran.returncode, photos.here()) == (3, {b"1.jpg", b"2.jpg", b"3.jpg"})
    assert "since it is the very file to keep" in ran.stderr


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("what", ["kept changed", "kept gone", "kept a link", "changed", "gone", "a link"])
def test_what_has_changed_since_the_plan_is_left_alone(
    photos: Photos, tmp_path: Path, shell: str, what: str
) -> None:
    photos.add("a", b"1.jpg", b"2.jpg")
    plan = photos.plan()
    file = photos.folder / ("1.jpg" if "kept" in what else "2.jpg")
    other = photos.folder / ("2.jpg" if "kept" in what else "1.jpg")
    file.unlink()
    if what.endswith("changed"):
        file.write_bytes(b"b" * 9)
    elif what.endswith("link"):
        file.symlink_to(other)
    ran = execute(plan, tmp_path / "trash", tmp_path, shell)
    assert ran.returncode == 3
    assert ran.stderr.endswith("0 done, 1 left alone\n")
    assert other.read_bytes() == b"a" * 9
    assert not (tmp_path / "trash").exists()


def test_the_photo_that_stays_is_read_again_before_each_of_the_others_goes(
    photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos.add("a", b"1.jpg", b"2.jpg", b"3.jpg")
    plan = photos.plan()
    (kept,) = (Path(os.fsdecode(group.keep.path)) for group in plan.groups)
    # A program that spoils it as soon as the first is moved.
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "mv").write_text(f'#!/bin/sh\n{shutil.which("mv")} "$@"\necho b > "{kept}"\n')
    (programs / "mv").chmod(0o700)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    ran = execute(plan, tmp_path / "trash", tmp_path)
    assert (ran.returncode, ran.stderr.splitlines()[-1]) == (3, "1 done, 1 left alone")
    assert "since the photo to keep is gone or has changed" in ran.stderr
    assert [path.read_bytes() for path in photos.folder.iterdir()].count(b"a" * 9) == 1


def test_the_trash_replaces_nothing(photos: Photos, tmp_path: Path) -> None:
    photos.add("a", b"1.jpg", b"2.jpg")
    trash = tmp_path / "trash"
    there = Path(f"{trash}{photos.folder}/2.jpg")
    there.parent.mkdir(parents=True)
    there.write_text("another one")
    ran = execute(photos.plan(), trash, tmp_path)
    assert (ran.returncode, there.read_text()) == (3, "another one")
    assert photos.here() == {b"1.jpg", b"2.jpg"}


@pytest.mark.parametrize("shell", SHELLS)
def test_exact_copies_become_names_of_one_file(photos: Photos, tmp_path: Path, shell: str) -> None:
    photos.add("a", b"1.jpg", *HOSTILE)
    photos.add("b", b"near.jpg")
    photos.find()
    plan = photos.plan(["exact"])
    ran = execute(plan, None, tmp_path, shell)
    assert ran.stderr == f"{len(HOSTILE)} done, 0 left alone\n"
    assert {path.stat().st_nlink for path in photos.folder.iterdir()} == {1, len(HOSTILE) + 1}
    assert (photos.folder / "near.jpg").stat().st_nlink == 1
    assert photos.here() == {b"1.jpg", b"near.jpg", *HOSTILE}
    assert photos.planned(["exact"]) == {}


def test_a_trash_in_which_ingest_would_find_the_files_is_refused(photos: Photos, tmp_path: Path) -> None:
    photos.add("a", b"1.jpg", b"2.jpg")
    with pytest.raises(UsageError, match="where ingest would find the photos again"):
        photos.plan(trash=photos.folder / "trash")
    for trash in (photos.folder / ".trash", photos.folder / ".x" / "y", tmp_path / "photos2"):
        assert len(photos.plan(trash=trash).groups) == 1
    with pytest.raises(InvalidQueryError, match="no keep rule 'best': choose from resolution"):
        photos.plan(keep=["best"])


def test_no_file_both_stays_and_goes(photos: Photos) -> None:
    rng = np.random.default_rng(1)
    for n in range(60):
        number = int.from_bytes(CODE, "big") ^ 1 << int(rng.integers(64))
        photos.add(chr(60 + n), *(b"%d-%d.jpg" % (n, m) for m in range(2)), code=number.to_bytes(8, "big"))
    photos.find()
    groups = photos.plan(["copy", "exact", "burst"], keep=["oldest"]).groups
    stay = {group.keep.path for group in groups}
    go = [file.path for group in groups for file in group.remove]
    assert len(go) == len(set(go))
    assert not stay & set(go)
    assert len(stay | set(go)) == 120
    assert isinstance(groups[0].keep.image_id, UUID)
