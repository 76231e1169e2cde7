import os
import subprocess
from pathlib import Path

import pytest

from imrec_pg.embedded import (
    locks,
)
from imrec_pg.errors import EmbeddedServerError


def test_lock_keeps_others_out_until_released(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not locks.is_held(path)
    with locks.exclusive(path, timeout=0):
        assert locks.is_held(path)
        with pytest.raises(EmbeddedServerError, match="another process has held"), locks.exclusive(path, 0):
            pass
    assert not locks.is_held(path)
    with locks.exclusive(path, timeout=0):
        pass


def test_lock_lives_on_in_a_child_that_inherits_it(tmp_path: Path) -> None:
    lock = locks.acquire(tmp_path / "lock", timeout=0)
    child = subprocess.Popen(["sleep", "60"], pass_fds=[lock])
    os.close(lock)
    try:
        assert locks.is_held(tmp_path / "lock")
    finally:
        child.kill()
        child.wait()
    assert not locks.is_held(tmp_path / "lock")


def test_lock_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"):
        locks.acquire(tmp_path / "lock", timeout=0)
    assert not (tmp_path / "elsewhere").exists()
