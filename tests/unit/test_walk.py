"""Walking folders: what is found, in which order, and what is left out."""

import os
import socket
from pathlib import Path

import pytest

from imrec_pg.images.walk import Walk, WalkEntry, count


def no_error(path: bytes, error: OSError) -> None:
    raise AssertionError((path, error))


def walked(folder: Path) -> list[str]:
    """The paths found, relative to the folder."""
    top = os.fsencode(folder) + b"/"
    return [os.fsdecode(entry.path.removeprefix(top)) for entry in Walk([os.fsencode(folder)], no_error)]


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_entry_holds_raw_path_size_and_mtime(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"12345")
    os.utime(tmp_path / "a.jpg", ns=(1, 1_700_000_000_123_456_789))
    entries = list(Walk([os.fsencode(tmp_path)], no_error))
    assert entries == [WalkEntry(os.fsencode(tmp_path / "a.jpg"), 5, 1_700_000_000_123_456_789)]


def test_files_come_before_subfolders_each_sorted_by_bytes(tmp_path: Path) -> None:
    touch(tmp_path, "z.jpg", "B.jpg", "a.jpg", "é.jpg", "a/2.jpg", "a/10.jpg", "a-b/1.jpg", "a/c/0.jpg")
    assert walked(tmp_path) == [
        "B.jpg",
        "a.jpg",
        "z.jpg",
        "é.jpg",
        "a/10.jpg",
        "a/2.jpg",
        "a/c/0.jpg",
        "a-b/1.jpg",
    ]


def test_only_image_names_are_candidates_and_the_rest_is_counted(tmp_path: Path) -> None:
    touch(tmp_path, "a.JPG", "b.Jpeg", "c.png", "d.webp", "e.tiff", "f.heic", "g.NEF", "h.avif")
    touch(tmp_path, "notes.txt", "jpg", "clip.mp4", "drawing.svg", "x.jpg.part", "v1.jpg/readme")
    walk = Walk([os.fsencode(tmp_path)], no_error)
    names = [os.fsdecode(entry.path).rpartition("/")[2] for entry in walk]
    assert names == ["a.JPG", "b.Jpeg", "c.png", "d.webp", "e.tiff", "f.heic", "g.NEF", "h.avif"]
    assert walk.ignored == 6


def test_hidden_and_system_folders_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", ".b.jpg", "._a.jpg", ".hidden/c.jpg", "@eaDir/d.jpg", "#recycle/e.jpg")
    touch(tmp_path, "$RECYCLE.BIN/f.jpg", "$Recycle.Bin2/g.jpg", "System Volume Information/h.jpg")
    touch(tmp_path, "lost+found/i.jpg", "__MACOSX/j.jpg", ".Trash-1000/k.jpg")
    assert walked(tmp_path) == ["a.jpg", "$Recycle.Bin2/g.jpg"]


def test_hidden_folder_that_the_user_named_is_walked(tmp_path: Path) -> None:
    touch(tmp_path, ".hidden/a.jpg")
    assert walked(tmp_path / ".hidden") == ["a.jpg"]


def test_linked_folder_that_the_user_named_keeps_its_name(tmp_path: Path) -> None:
    touch(tmp_path, "real/a.jpg")
    (tmp_path / "link").symlink_to("real")
    assert walked(tmp_path / "link") == ["a.jpg"]


def test_relative_folder_gives_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "sub/a.jpg")
    monkeypatch.chdir(tmp_path)
    assert [entry.path for entry in Walk([b"sub"], no_error)] == [os.fsencode(tmp_path / "sub/a.jpg")]


def test_links_that_form_loops_end(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg", "b/2.jpg")
    (tmp_path / "a/up").symlink_to(tmp_path)
    (tmp_path / "a/self").symlink_to(".")
    (tmp_path / "a/to_b").symlink_to("../b")
    (tmp_path / "b/to_a").symlink_to("../a")
    assert walked(tmp_path) == ["a/1.jpg", "b/2.jpg"]


def test_photo_is_found_under_its_real_path_though_a_link_sorts_first(tmp_path: Path) -> None:
    touch(tmp_path, "z_real/1.jpg")
    (tmp_path / "a_link").symlink_to("z_real")
    assert walked(tmp_path) == ["z_real/1.jpg"]


def test_folder_outside_is_followed_once_through_the_first_link(tmp_path: Path) -> None:
    touch(tmp_path, "outside/deep/1.jpg", "top/a.jpg")
    (tmp_path / "top/link1").symlink_to(tmp_path / "outside")
    (tmp_path / "top/link2").symlink_to(tmp_path / "outside")
    (tmp_path / "top/link3").symlink_to(tmp_path / "outside/deep")
    assert walked(tmp_path / "top") == ["a.jpg", "link1/deep/1.jpg"]


def test_link_to_a_file_is_a_file_and_link_to_nothing_is_not(tmp_path: Path) -> None:
    touch(tmp_path, "photo.bin")
    (tmp_path / "link.jpg").symlink_to("photo.bin")
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    walk = Walk([os.fsencode(tmp_path)], no_error)
    assert [(entry.path, entry.size) for entry in walk] == [(os.fsencode(tmp_path / "link.jpg"), 1)]
    assert walk.ignored == 2


def test_fifo_and_socket_are_never_candidates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    monkeypatch.chdir(tmp_path)  # a socket's path is limited to 107 bytes
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.jpg")
        walk = Walk([os.fsencode(tmp_path)], no_error)
        assert list(walk) == []
    assert walk.ignored == 2


@pytest.mark.parametrize(
    "name",
    [b"\xff\xfe.jpg", b"caf\xe9.jpg", b"new\nline.jpg", b"a'b\"c\\d.jpg", "🏔️ 山.jpg".encode(), b"%s{0}.jpg"],
)
def test_any_name_leads_back_to_its_file(tmp_path: Path, name: bytes) -> None:
    path = os.fsencode(tmp_path) + b"/" + name
    Path(os.fsdecode(path)).write_bytes(b"content")
    (entry,) = Walk([os.fsencode(tmp_path)], no_error)
    assert entry.path == path
    assert entry.size == 7


def test_overlapping_folders_give_each_file_once(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg", "a/b/2.jpg")
    folders = [os.fsencode(tmp_path / name) for name in ("a/b", "a", "a")]
    found = [os.fsdecode(entry.path).removeprefix(f"{tmp_path}/") for entry in Walk(folders, no_error)]
    assert found == ["a/b/2.jpg", "a/1.jpg"]


def test_count_agrees_with_the_walk_and_stats_only_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a.jpg", "b.heic", "c.txt", ".d.jpg", "sub/e.png", "sub/f.png")
    (tmp_path / "again").symlink_to("sub")
    statted: list[bytes] = []
    real_stat = os.stat

    def stat(path: bytes) -> os.stat_result:
        statted.append(path)
        return real_stat(path)

    monkeypatch.setattr("os.stat", stat)
    counted = count(os.fsencode(tmp_path))
    monkeypatch.undo()
    assert counted == len(walked(tmp_path)) == 4
    assert statted == [os.fsencode(tmp_path / name) for name in ("", "sub", "again")]


def test_count_of_a_missing_folder_is_zero(tmp_path: Path) -> None:
    assert count(os.fsencode(tmp_path / "missing")) == 0
