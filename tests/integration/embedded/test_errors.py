"""What the embedded server refuses, and the reason it gives."""

import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from integration.embedded.servers import MakeServer, ask, root_only

from imrec_pg.embedded import EmbeddedServer, binaries
from imrec_pg.embedded.account import server_account
from imrec_pg.errors import EmbeddedServerError


def test_broken_settings_fail_at_once_with_the_reason(expendable: EmbeddedServer) -> None:
    (expendable.data_dir / "pg18" / "user.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(EmbeddedServerError, match=r"did not start .*no_such_setting.*server\.log") as raised:
        expendable.start()
    assert "\n" not in str(raised.value)
    (expendable.data_dir / "pg18" / "user.conf").unlink()
    assert ask(expendable.start()) == 1


def test_cluster_of_another_version_is_refused(expendable: EmbeddedServer) -> None:
    (expendable.data_dir / "pg18" / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedServerError, match="is of PostgreSQL 17 and this imrec-pg runs 18"):
        expendable.start()


def test_folder_that_is_no_cluster_is_refused(expendable: EmbeddedServer) -> None:
    (expendable.data_dir / "pg18" / "PG_VERSION").unlink()
    with pytest.raises(EmbeddedServerError, match="holds no PostgreSQL database"):
        expendable.start()


def test_server_started_by_other_means_is_left_alone(running: EmbeddedServer) -> None:
    running.stop()
    cluster = running.data_dir / "pg18"
    account = server_account()
    pg_ctl = binaries.programs_for(account) / "pg_ctl"
    options = f"-k {running.data_dir}/run -p 5433"
    account.run([pg_ctl, "start", "-w", "-D", cluster, "-l", running.data_dir / "hand.log", "-o", options])
    try:
        with pytest.raises(EmbeddedServerError, match=r"not started by imrec-pg .*kill -INT \d+ ends it"):
            running.start()
        assert ask(f"host={running.data_dir}/run port=5433 user=imrec dbname=imrec") == 1
        assert not running.stop()
    finally:
        account.run([pg_ctl, "stop", "-m", "fast", "-D", cluster])
    assert ask(running.start()) == 1


@root_only
@pytest.mark.parametrize(("size", "stage"), [("20m", "for a database"), ("75m", "for the server")])
def test_full_disk_says_so(make_server: MakeServer, folder: Path, size: str, stage: str) -> None:
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=711", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("this container may not mount")
    try:
        embedded = make_server("disk/db")
        if stage == "for the server":
            embedded.start()
            embedded.stop()
            fill(disk)
        with pytest.raises(EmbeddedServerError, match=f"no space left {stage}"):
            embedded.start()
        if stage == "for the server":
            (disk / "ballast").unlink()
            assert ask(embedded.start()) == 1
            embedded.stop()
    finally:
        subprocess.run(["umount", disk], check=True)


def fill(disk: Path) -> None:
    """Leave no byte free."""
    with (disk / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
        while True:
            ballast.write(bytes(4096))
