"""Which folders are taken for data, and which are refused."""

import os
from pathlib import Path

import pytest
from unit.embedded.accounts import MYSELF

from imrec_pg.embedded import (
    EmbeddedServer,
    folders,
)
from imrec_pg.embedded.account import Account
from imrec_pg.embedded.folders import Layout
from imrec_pg.errors import EmbeddedServerError

as_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")


@pytest.mark.parametrize(
    ("names", "wrong"),
    [
        (["holiday.jpg"], "not empty and not imrec-pg's"),
        (["pg17", "server.log"], "PostgreSQL 17, and this imrec-pg runs 18"),
        (["PG_VERSION", "base"], "connect to its server"),
    ],
)
def test_a_folder_with_something_else_is_refused(tmp_path: Path, names: list[str], wrong: str) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(EmbeddedServerError, match=wrong):
        folders.prepare_data_dir(Layout(tmp_path), MYSELF)


def test_our_own_folder_may_hold_more(tmp_path: Path) -> None:
    (tmp_path / "pg18").mkdir()
    (tmp_path / "notes.txt").touch()
    folders.prepare_data_dir(Layout(tmp_path), MYSELF)


def test_what_an_interrupted_start_left_is_ours(tmp_path: Path) -> None:
    for name in ("pg18.unfinished", "start.lock", "use.lock", "server.log", "run"):
        (tmp_path / name).touch()
    folders.prepare_data_dir(Layout(tmp_path), MYSELF)


def test_a_folder_others_may_write_to_is_refused(tmp_path: Path) -> None:
    data_dir = tmp_path / "db"
    data_dir.mkdir()
    data_dir.chmod(0o770)
    with pytest.raises(EmbeddedServerError, match="chmod 700"):
        folders.prepare_data_dir(Layout(data_dir), MYSELF)


def test_another_users_data_folder_is_refused(tmp_path: Path) -> None:
    other = Account(name="nobody-at-all", uid=MYSELF.uid + 1, gid=MYSELF.gid, switch=False)
    (tmp_path / "pg18").mkdir()
    with pytest.raises(EmbeddedServerError, match="run imrec-pg as its owner"):
        folders.prepare_data_dir(Layout(tmp_path), other)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "db").touch()
    with (
        pytest.raises(EmbeddedServerError, match="Not a directory: choose another data folder"),
        folders.os_errors_explained(tmp_path),
    ):
        folders.prepare_data_dir(Layout(tmp_path / "db"), MYSELF)


@as_user
def test_a_folder_without_write_permission_is_refused(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(EmbeddedServerError, match=r"Permission denied.*another data folder"):
        EmbeddedServer(closed / "db").start()


def test_parents_are_open_to_the_servers_user_whatever_roots_umask(tmp_path: Path) -> None:
    other = Account(name="root", uid=os.geteuid(), gid=os.getegid(), switch=os.geteuid() == 0)
    before = os.umask(0o077)
    try:
        folders.prepare_data_dir(Layout(tmp_path / "a" / "b" / "db"), other)
    finally:
        os.umask(before)
    expected = 0o755 if os.geteuid() == 0 else 0o700
    assert (tmp_path / "a").stat().st_mode & 0o777 == expected
    assert (tmp_path / "a" / "b" / "db").stat().st_mode & 0o777 == 0o700


def test_operating_system_errors_name_the_way_out() -> None:
    with (
        pytest.raises(EmbeddedServerError, match="/x: No space left on device: free some space"),
        folders.os_errors_explained(Path("/data")),
    ):
        raise OSError(28, "No space left on device", "/x")
