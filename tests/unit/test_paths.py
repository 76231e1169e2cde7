"""Paths lead where the system would go, and links stay as they are spelled."""

import os
from pathlib import Path

import pytest

from imrec_pg import settings
from imrec_pg.errors import UsageError
from imrec_pg.ingest.find import check_folders
from imrec_pg.paths import absolute, is_url


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working folder: in it "link" leads to far/away, and "near" is a folder."""
    base = tmp_path.resolve()
    for folder in ("here/near", "far/away", "far/photos", "here/photos"):
        (base / folder).mkdir(parents=True)
    (base / "here/link").symlink_to(base / "far/away")
    monkeypatch.chdir(base / "here")
    return base


@pytest.mark.parametrize(
    ("given", "leads_to"),
    [
        ("near/../photos", "here/photos"),
        ("link/../photos", "far/photos"),
        ("link/./..//photos/", "far/photos"),
        ("link", "here/link"),
        ("link/x.jpg", "here/link/x.jpg"),
        ("./near/./x", "here/near/x"),
        ("nowhere/../photos", "here/photos"),
        ("link/../away/../../here/link", "here/link"),
        (".", "here"),
        ("..", ""),
    ],
)
def test_a_path_leads_where_the_system_goes(tree: Path, given: str, leads_to: str) -> None:
    assert absolute(given) == os.fsencode(tree / leads_to)
    if os.path.exists(given):  # noqa: PTH110 - as it is given
        assert os.path.samefile(absolute(given), given)  # noqa: PTH121 - bytes


def test_a_folder_to_ingest_is_the_one_that_the_system_means(tree: Path) -> None:
    assert check_folders(["link/../photos"]) == [os.fsencode(tree / "far/photos")]
    assert check_folders(["link"]) == [os.fsencode(tree / "here/link")]


def test_more_dots_than_folders_end_at_the_top() -> None:
    assert absolute("/../..//x") == b"/x"
    assert absolute("/") == b"/"


def test_home_is_expanded_and_odd_bytes_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert absolute("~/Pictures") == b"/home/me/Pictures"
    assert absolute(b"/caf\xe9/~") == b"/caf\xe9/~"


@pytest.mark.parametrize("given", ["", b""])
def test_an_empty_path_is_never_the_working_folder(given: str | bytes) -> None:
    with pytest.raises(UsageError, match="a path is empty"):
        absolute(given)
    with pytest.raises(UsageError, match="a path is empty"):
        check_folders([given])


def test_an_empty_dsn_is_not_that_of_the_environment() -> None:
    with pytest.raises(UsageError, match="the dsn is empty"):
        settings.load(dsn="", environ={"PGHOST": "elsewhere"})


def test_a_deleted_working_folder_matters_to_relative_paths_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(UsageError, match="the working folder was deleted"):
        absolute("x")
    assert absolute("/x") == b"/x"


def test_urls_are_told_from_paths() -> None:
    for url in ("https://a.example/b.jpg", "s3://bucket/b.jpg", "FILE:///b.jpg"):
        assert is_url(url)
        assert is_url(Path(url))
    for path in ("a:b.jpg", "/http://x", "c:/x.jpg", "b.jpg", "photos/http://x"):
        assert not is_url(path)
