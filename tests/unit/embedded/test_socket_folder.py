"""Where the server's socket lies: its path must be short."""

from pathlib import Path

import pytest
from unit.embedded.accounts import MYSELF

from imrec_pg.embedded import (
    folders,
)
from imrec_pg.embedded.folders import SOCKET_NAME, Layout
from imrec_pg.errors import EmbeddedServerError


@pytest.fixture
def no_session(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A normal user without XDG_RUNTIME_DIR; returns a folder."""
    temporary = tmp_path / "t"
    temporary.mkdir()
    monkeypatch.setattr("os.geteuid", lambda: 1234)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/tmp")  # noqa: S108 - nothing is written
    return temporary


def test_socket_lies_in_the_data_folder_when_its_path_fits() -> None:
    fits = Path("/" + "x" * (103 - len(f"/run/{SOCKET_NAME}") - 1))
    assert Layout(fits).socket_dir() == fits / "run"


@pytest.mark.usefixtures("no_session")
@pytest.mark.parametrize(
    "data_dir", ["/" + "x" * 90, "/" + "ü" * 45, "/with,comma", "/with\nnewline", "/\udcff"]
)
def test_socket_moves_to_a_short_folder(data_dir: str) -> None:
    folder = Layout(Path(data_dir)).socket_dir()
    assert folder.parent == Path("/tmp/imrec-pg-1234")  # noqa: S108 - nothing is written
    assert folder != Layout(Path(data_dir + "x")).socket_dir()


def test_session_folder_is_preferred_when_it_is_the_callers(
    no_session: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = Layout(Path("/" + "x" * 90))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(no_session))
    assert long.socket_dir().parent == Path("/tmp/imrec-pg-1234")  # noqa: S108 - folder of another uid
    monkeypatch.setattr("os.geteuid", lambda: no_session.stat().st_uid)
    if no_session.stat().st_uid != 0:
        assert long.socket_dir().parent == no_session / "imrec-pg"


def test_root_has_its_sockets_under_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert Layout(Path("/" + "x" * 90)).socket_dir().parent == Path("/run/imrec-pg")


def test_no_short_folder_at_all_is_an_error(no_session: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: f"{no_session}/{'y' * 90}")
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(EmbeddedServerError, match="TMPDIR"):
        Layout(Path("/" + "x" * 90)).socket_dir()


def test_private_folder_is_made_and_found_again(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folders.make_private_dir(folder, MYSELF)
    folders.make_private_dir(folder, MYSELF)
    assert folder.stat().st_mode & 0o7777 == 0o700


@pytest.mark.parametrize(
    ("kind", "wrong"), [("link", "is not a folder"), ("file", "is not a folder"), ("open", "mode 0755")]
)
def test_other_things_in_place_of_a_private_folder_are_refused(tmp_path: Path, kind: str, wrong: str) -> None:
    folder = tmp_path / "run"
    (tmp_path / "target").mkdir(mode=0o700)
    match kind:
        case "link":
            folder.symlink_to(tmp_path / "target")
        case "file":
            folder.touch()
        case "open":
            folder.mkdir()
            folder.chmod(0o755)
    with pytest.raises(EmbeddedServerError, match=wrong):
        folders.make_private_dir(folder, MYSELF)


def test_another_users_private_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    with pytest.raises(EmbeddedServerError, match="belongs to"):
        folders.check_private_dir(folder, MYSELF.uid + 1)
