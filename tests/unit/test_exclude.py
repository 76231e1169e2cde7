"""What a walk leaves out on request, and of the libraries of other programs."""

import os
from pathlib import Path

import pytest

from imrec_pg.images.exclude import exclusion, is_excluded
from imrec_pg.images.walk import Walk, count, is_passed_over
from imrec_pg.ingest.watch import scope_of


def make(top: Path, *names: str) -> None:
    for name in names:
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def met(top: Path, *exclude: str) -> set[str]:
    walk = Walk([os.fsencode(top)], lambda path, error: pytest.fail(f"{path!r}: {error}"), exclude)
    found = {os.path.relpath(os.fsdecode(entry.path), top) for entry in walk}
    # The total of the progress bar, and what watch looks at one by one, are the same.
    assert count(os.fsencode(top), exclude) == len(found)
    files = {str(p) for p in top.rglob("*.*") if p.is_file() and p.suffix in {".jpg", ".gif"}}
    kept = {p for p in files if not is_passed_over(os.fsencode(p), os.fsencode(top), exclude)}
    assert {os.path.relpath(p, top) for p in kept} == found
    return found


# By git check-ignore (git 2.39), as paths below the folder of .gitignore.
@pytest.mark.parametrize(
    ("pattern", "excluded", "kept"),
    [
        ("*.gif", ["a.gif", "d/e/a.gif"], ["a.jpg", "a.gif.jpg", "A.GIF"]),
        ("cache", ["cache/", "d/cache/", "cache"], ["cached/"]),
        ("cache/", ["cache/", "d/cache/"], ["cache", "d/cache"]),
        ("/raw", ["raw", "raw/"], ["d/raw"]),
        ("a/raw", ["a/raw"], ["d/a/raw", "raw"]),
        ("**/raw", ["raw", "d/raw", "d/e/raw"], ["raws"]),
        ("a/**/z.jpg", ["a/z.jpg", "a/b/z.jpg", "a/b/c/z.jpg"], ["z.jpg", "b/a/z.jpg"]),
        ("a/**", ["a/b.jpg", "a/b/c.jpg"], ["b/a.jpg"]),
        ("a/*.jpg", ["a/b.jpg"], ["a/b/c.jpg", "b.jpg"]),
        ("IMG_000?.jpg", ["IMG_0001.jpg"], ["IMG_00010.jpg"]),
        ("[ab].jpg", ["a.jpg", "b.jpg"], ["c.jpg"]),
        ("[!ab].jpg", ["c.jpg"], ["a.jpg"]),
        (r"\#a.jpg", ["#a.jpg"], ["a.jpg"]),
        ("# a.jpg", [], ["a.jpg", "# a.jpg"]),
        ("", [], ["a.jpg"]),
        ("/", [], ["a.jpg"]),
    ],
)
def test_patterns_match_as_git_s_do(pattern: str, excluded: list[str], kept: list[str]) -> None:
    rules = [exclusion(b"/photos", [pattern])]

    def out(name: str) -> bool:
        return is_excluded(rules, b"/photos/" + name.rstrip("/").encode(), folder=name.endswith("/"))

    assert [name for name in excluded if not out(name)] == []
    assert [name for name in kept if out(name)] == []


def test_excluded_files_and_folders_are_not_met(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "a.gif", "cache/b.jpg", "d/cache/c.jpg", "d/e.jpg", "raw/f.jpg", "d/raw/g.jpg")
    assert met(tmp_path, "*.gif", "cache/", "/raw") == {"a.jpg", "d/e.jpg", "d/raw/g.jpg"}
    walk = Walk([os.fsencode(tmp_path)], lambda _path, _error: None, ["*.gif", "cache/", "/raw"])
    list(walk)
    assert walk.excluded == 4


def test_the_last_pattern_and_the_innermost_ignore_file_decide(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "keep.jpg", "in/a.jpg", "in/keep.jpg", "in/b.gif")
    (tmp_path / ".imrecignore").write_text("# comment\n*.jpg\n\n!keep.jpg\n")
    (tmp_path / "in" / ".imrecignore").write_text("!a.jpg\nkeep.jpg\n")
    assert met(tmp_path) == {"keep.jpg", "in/a.jpg", "in/b.gif"}
    assert met(tmp_path, "*.gif") == {"keep.jpg", "in/a.jpg"}


def test_a_folder_walked_by_itself_is_left_out_by_those_around_it(tmp_path: Path) -> None:
    make(tmp_path, "cache/deep/a.jpg", "d/b.jpg")
    top, deep = os.fsencode(tmp_path), os.fsencode(tmp_path / "cache" / "deep")
    below = Walk([deep], lambda _path, _error: None, ["/cache"], [top])
    assert (list(below.paths()), below.excluded) == ([], 1)
    # But not where the user names it.
    assert len(list(Walk([deep], lambda _path, _error: None, ["/cache"], [deep]).paths())) == 1
    changed = [str(tmp_path / "cache" / "deep" / "a.jpg"), str(tmp_path / "d" / "b.jpg")]
    scope = scope_of(changed, [top], ["/cache"])
    assert scope is not None
    assert scope.files == (os.fsencode(tmp_path / "d" / "b.jpg"),)


def test_of_the_libraries_of_other_programs_only_the_originals_are_met(tmp_path: Path) -> None:
    make(
        tmp_path,
        "P.photoslibrary/originals/0/a.jpg",
        "P.photoslibrary/resources/derivatives/a.jpg",
        "P.photoslibrary/database/a.jpg",
        "Old.photolibrary/Masters/b.jpg",
        "Old.photolibrary/Thumbnails/b.jpg",
        "Lr/Cat Previews.lrdata/c.jpg",
        "Lr/Cat Smart Previews.LRDATA/x/c.jpg",
        "Lr/c.jpg",
    )
    assert met(tmp_path) == {
        "P.photoslibrary/originals/0/a.jpg",
        "Old.photolibrary/Masters/b.jpg",
        "Lr/c.jpg",
    }
    walk = Walk([os.fsencode(tmp_path)], lambda _path, _error: None)
    list(walk)
    assert walk.previews == 5


def test_a_hostile_ignore_file_ends(tmp_path: Path) -> None:
    name = "a" * 200 + ".jpg"
    make(tmp_path, name, "/".join("a" * 30) + "/b.jpg")
    (tmp_path / ".imrecignore").write_bytes(
        b"*a" * 100 + b"*b\n" + b"**/a/" * 60 + b"c\n" + b"[" * 500 + b"\n\xff\xfe\0\n" + b"!" * 100 + b"\n"
    )
    assert len(met(tmp_path)) == 2


def test_names_in_no_encoding_can_be_excluded(tmp_path: Path) -> None:
    for name in (b"\xff1.jpg", b"\xfe2.jpg"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"x")
    (tmp_path / ".imrecignore").write_bytes(b"\xff*\n")
    walk = Walk([os.fsencode(tmp_path)], lambda _path, _error: None)
    assert [os.path.basename(path) for path in walk.paths()] == [b"\xfe2.jpg"]  # noqa: PTH119 - bytes
