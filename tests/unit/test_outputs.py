"""What an output may replace, and that it follows no planted name."""

import errno
import logging
import os
from pathlib import Path

import pytest

from imrec_pg import outputs
from imrec_pg.errors import FileInTheWayError, ImrecError, KeptFileError, OutputExistsError, UsageError


def is_ours(path: Path) -> bool:
    return path.read_bytes().startswith(b"ours")


def write(target: Path, *, overwrite: bool = True, force: bool = False) -> None:
    replaced = outputs.check(target, "a dump", is_ours, overwrite=overwrite, force=force)
    with outputs.new_file(target, replaced) as file:
        file.write(b"ours, new")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("content", "options", "error"),
    [
        (b"ours", {}, None),
        (b"ours", {"overwrite": False}, OutputExistsError),
        (b"ours", {"overwrite": False, "force": True}, None),
        (b"mine", {}, FileInTheWayError),
        (b"mine", {"overwrite": False}, FileInTheWayError),
        (b"mine", {"force": True}, None),
        (b"", {}, FileInTheWayError),
    ],
)
def test_only_an_earlier_output_is_replaced_unless_forced(
    tmp_path: Path, content: bytes, options: dict[str, bool], error: type[ImrecError] | None
) -> None:
    target = tmp_path / "x"
    target.write_bytes(content)
    if error is None:
        write(target, **options)
        assert target.read_bytes() == b"ours, new"
    else:
        with pytest.raises(error):
            write(target, **options)
        assert target.read_bytes() == content
    assert names(tmp_path) == ["x"]


def test_what_is_kept_is_not_even_replaced_by_force(tmp_path: Path) -> None:
    target = tmp_path / "x"
    target.write_bytes(b"ours")
    with pytest.raises(KeptFileError, match="x is a stored photo, and those are never replaced"):
        outputs.check(target, "a dump", is_ours, force=True, kept=lambda _path: "a stored photo")


def test_a_link_is_in_the_way_and_force_replaces_the_link_alone(tmp_path: Path) -> None:
    target, leads_to = tmp_path / "x", tmp_path / "y"
    leads_to.write_bytes(b"ours")
    target.symlink_to(leads_to)
    with pytest.raises(FileInTheWayError):
        write(target)
    write(target, force=True)
    assert not target.is_symlink()
    assert leads_to.read_bytes() == b"ours"


def test_folders_and_pipes_are_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "pipe", "nowhere/x"):
        with pytest.raises(UsageError):
            write(tmp_path / name, force=True)


def test_files_and_folders_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write(tmp_path / "x")
        folder = outputs.new_folder(tmp_path / "y")
        with outputs.create(folder / "z") as file:
            file.write(b"data")
    finally:
        os.umask(before)
    modes = [path.stat().st_mode & 0o777 for path in (tmp_path / "x", folder, folder / "z")]
    assert modes == [0o600, 0o700, 0o600]


def test_planted_links_lead_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if somebody guesses the random name, or takes the target's while the file is written."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"root's")
    monkeypatch.setattr("secrets.token_hex", lambda _length: "guessed")
    guessed = outputs.unused_name(tmp_path / "x")
    for planted in (guessed, tmp_path / "x.partial", tmp_path / "x"):
        planted.symlink_to(victim)
    with pytest.raises(FileExistsError):
        outputs.create(guessed)
    with pytest.raises(FileExistsError):
        outputs.new_folder(tmp_path / "x")
    guessed.unlink()
    write(tmp_path / "x", force=True)
    assert victim.read_bytes() == b"root's"
    assert (tmp_path / "x.partial").readlink() == victim


@pytest.mark.parametrize("hard_links", [True, False])
@pytest.mark.parametrize("before", [None, b"ours"])
def test_what_appears_while_it_is_written_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bytes | None, hard_links: bool
) -> None:
    def no_link(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    if not hard_links:
        monkeypatch.setattr(os, "link", no_link)
    target = tmp_path / "x"
    if before is not None:
        target.write_bytes(before)
    replaced = outputs.check(target, "a dump", is_ours)
    other = tmp_path / "other"
    other.write_bytes(b"somebody else's")

    def overtaken() -> None:
        with outputs.new_file(target, replaced) as file:
            file.write(b"ours, new")
            other.replace(target)

    with pytest.raises(ImrecError, match="another program has just written"):
        overtaken()
    assert target.read_bytes() == b"somebody else's"
    assert names(tmp_path) == ["x"]


def test_without_hard_links_files_are_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_link(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", no_link)
    write(tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"ours, new"
    assert names(tmp_path) == ["x"]


def test_a_swapped_file_does_not_become_the_output(tmp_path: Path) -> None:
    target = tmp_path / "x"

    def swapped() -> None:
        with outputs.new_file(target, None) as file:
            file.write(b"ours")
            (unfinished,) = tmp_path.iterdir()
            unfinished.unlink()
            unfinished.symlink_to("/etc/passwd")

    with pytest.raises(ImrecError, match="took away what was written"):
        swapped()
    assert names(tmp_path) == []


def test_what_a_killed_run_left_is_told_of_and_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = tmp_path / ".imrec-pg-0123456789abcdef.partial", tmp_path / ".imrec-pg-ab.partial"
    for path in (old, new):
        path.write_bytes(b"half of it")
    os.utime(old, (1e9, 1e9))
    with caplog.at_level(logging.WARNING):
        write(tmp_path / "x")
    assert [record.getMessage() for record in caplog.records] == [
        f"{old} was left by a run that was killed: delete it"
    ]
    assert names(tmp_path) == [old.name, new.name, "x"]


def test_a_mark_counts_at_the_ends_of_a_file_of_its_kind_alone(tmp_path: Path) -> None:
    path, far = tmp_path / "x", b"\0" * 200_000
    for data, marked in (
        (b"HEAD..mark" + far, True),
        (b"HEAD" + far + b"mark", True),
        (b"HEADmark", True),
        (b"HEAD" + far + b"mark" + far, False),
        (b"mark", False),
        (b"", False),
    ):
        path.write_bytes(data)
        assert outputs.is_marked(path, (b"HEAD",), b"mark") is marked
    path.write_bytes(b"HEADmark")
    (tmp_path / "link").symlink_to(path)
    assert not outputs.is_marked(tmp_path / "link", (b"HEAD",), b"mark")
    assert not outputs.is_marked(tmp_path / "nowhere", (b"HEAD",), b"mark")
