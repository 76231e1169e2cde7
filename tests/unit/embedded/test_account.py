"""The user that the server runs as."""

import os
from pathlib import Path

import pytest
from unit.embedded.accounts import MYSELF

from imrec_pg.embedded import (
    account,
)
from imrec_pg.embedded.account import Account
from imrec_pg.errors import EmbeddedServerError

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's files")


def test_a_server_process_gets_little_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LC_CTYPE", "LANG", "PGPORT", "PGDATA", "SECRET"):
        monkeypatch.setenv(name, "xx_XX.UTF-8")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    lines = set(MYSELF.run(["env"]).stdout.splitlines())
    # The shell that may stand behind env adds its own.
    assert {line.partition("=")[0] for line in lines} <= {"PATH", "TZ", "LC_ALL", "PWD", "LD_LIBRARY_PATH"}
    assert {"LC_ALL=C", "TZ=Europe/Berlin"} <= lines


def fake_command(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def root_without_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Root on a machine without the server's user; returns the only folder of commands."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(account, "SERVER_USER", "imrec-pg-absent")
    monkeypatch.setattr(
        "shutil.which",
        lambda name, path: tmp_path / name if path and (tmp_path / name).exists() else None,
    )
    return tmp_path


def test_no_way_to_create_the_user_is_an_error(root_without_user: Path) -> None:
    assert not list(root_without_user.iterdir())
    with pytest.raises(EmbeddedServerError, match="neither useradd nor adduser"):
        account.server_account()


def test_why_the_user_could_not_be_created_is_told(root_without_user: Path) -> None:
    fake_command(root_without_user, "useradd", "echo read-only passwd >&2; exit 1")
    fake_command(root_without_user, "adduser", "exit 7")
    with pytest.raises(EmbeddedServerError, match="read-only passwd; adduser ended with 7"):
        account.server_account()


def test_busybox_adduser_is_tried_next(root_without_user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    created = root_without_user / "created"
    fake_command(root_without_user, "adduser", f'echo "$@" > {created}')
    monkeypatch.setattr(account, "_lookup", lambda _name: (777, 778) if created.exists() else None)
    found = account.server_account()
    assert (found.uid, found.gid, found.switch) == (777, 778, True)
    assert created.read_text().split()[-1] == "imrec-pg-absent"


@as_root
def test_a_command_runs_as_the_servers_user_without_roots_groups() -> None:
    nobody = Account(name="nobody", uid=65534, gid=65534, switch=True)
    assert nobody.run(["id", "-u"]).stdout.strip() == "65534"
    assert nobody.run(["id", "-G"]).stdout.split() == ["65534"]
