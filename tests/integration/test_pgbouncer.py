"""Through PgBouncer in transaction mode: two sessions of the server for any number of clients."""

import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psycopg
import pytest
from PIL import Image
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from support import settings_for

import imrec_pg
from imrec_pg.catalogue import claims
from imrec_pg.catalogue.index import build_index
from imrec_pg.db import migrate
from imrec_pg.db.connection import connect
from imrec_pg.db.pooler import is_pooled
from imrec_pg.db.session import open_session
from imrec_pg.doctor import examine
from imrec_pg.embedded.account import server_account
from imrec_pg.records import Feature, Metric
from imrec_pg.settings import this_host

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs PgBouncer (Debian: apt-get install pgbouncer)")

_CONFIGURATION = """
[databases]
* = host={server} port={port} user=imrec
[pgbouncer]
unix_socket_dir = {folder}
listen_port = 6432
auth_type = any
pool_mode = transaction
default_pool_size = 2
max_client_conn = 100
logfile = {folder}/log
"""


@dataclass(frozen=True)
class Bouncer:
    """A running PgBouncer; path leads to it, dsn past it."""

    dsn: str
    path: str

    def on_the_server(self, setting: str) -> set[str]:
        """Return the values that the pool's sessions of the server have of a setting."""
        found = set()
        with (
            psycopg.connect(self.path, prepare_threshold=None) as one,
            psycopg.connect(self.path, prepare_threshold=None) as two,
        ):
            for conn in (one, two):
                row = conn.execute("SELECT pg_catalog.current_setting(%s, true)", (setting,)).fetchone()
                assert row is not None
                found.add(row[0] or "")
        return found


def started(dsn: str, folder: Path) -> "subprocess.Popen[bytes]":
    account = server_account()
    parts = conninfo_to_dict(dsn)
    file = folder / "pgbouncer.ini"
    file.write_text(_CONFIGURATION.format(server=parts["host"], port=parts["port"], folder=folder))
    if account.switch:
        os.chown(folder, account.uid, account.gid)
    file.chmod(0o644)
    assert PROGRAM is not None
    process = subprocess.Popen(
        [PROGRAM, "--quiet", file],
        user=account.uid if account.switch else None,
        group=account.gid if account.switch else None,
        extra_groups=[] if account.switch else None,
        cwd="/",
    )
    for _ in range(600):
        if (folder / ".s.PGSQL.6432").exists():
            break
        assert process.poll() is None, (folder / "log").read_text()
        time.sleep(0.05)
    return process


@pytest.fixture
def bouncer(dsn: str) -> Iterator[Bouncer]:
    with tempfile.TemporaryDirectory(prefix="imrec-bouncer-", dir="/tmp") as name:
        process = started(dsn, Path(name))
        try:
            yield Bouncer(dsn, make_conninfo(dsn, host=name, port=6432))
        finally:
            process.terminate()
            process.wait()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(5)
    (tmp_path / "photos").mkdir()
    for i in range(30):
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(
            tmp_path / "photos" / f"{i:02}.png"
        )
    return tmp_path / "photos"


FEATURES = ["histogram", "average_hash", "difference_hash", "perceptual_hash"]


def test_a_pooler_is_noticed(bouncer: Bouncer) -> None:
    with connect(settings_for(bouncer.path)) as through, connect(settings_for(bouncer.dsn)) as past:
        assert (is_pooled(through), is_pooled(past)) == (True, False)


def test_nothing_that_a_session_sets_stays_behind_for_others(bouncer: Bouncer) -> None:
    before = {
        name: bouncer.on_the_server(name) for name in ("search_path", "lock_timeout", "statement_timeout")
    }
    with open_session(settings_for(bouncer.path)) as conn:
        assert conn.execute("SELECT pg_catalog.current_setting('imrec.host')").fetchone() == (this_host(),)
        assert conn.execute("SHOW search_path").fetchone() == ("pg_catalog, pg_temp",)
        with conn.transaction():
            assert conn.execute("SELECT pg_catalog.current_setting('imrec.host')").fetchone() == (
                this_host(),
            )
    examine(settings_for(bouncer.path))
    assert {name: bouncer.on_the_server(name) for name in before} == before
    assert bouncer.on_the_server("imrec.host") == {""}


def test_several_ingest_and_search_at_once(bouncer: Bouncer, photos: Path) -> None:
    found: list[object] = []
    stored = photos / "00.png"
    with imrec_pg.open(bouncer.path) as library:
        library.ingest(photos, features=FEATURES, workers=1, batch=2)
        assert library.status().images == 30

    def search() -> None:
        try:
            with imrec_pg.open(bouncer.path) as library:
                for _ in range(12):
                    found.append(library.search(stored, feature="histogram", include_self=True)[0].path)
                    fused = library.fuse(
                        stored, weights={"histogram": 1, "average_hash": 1}, include_self=True
                    )
                    found.append(fused[0].path)
        except Exception as error:  # noqa: BLE001 - told to the test below
            found.append(error)

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    with imrec_pg.open(bouncer.path) as library:
        library.ingest(photos, features=FEATURES, workers=1, batch=2, refresh=True)
    for thread in threads:
        thread.join()
    assert found == [str(stored)] * 96


def test_no_session_lock_is_left_in_the_pool(bouncer: Bouncer, photos: Path) -> None:
    with imrec_pg.open(bouncer.path) as library:
        library.ingest(photos, features=["histogram"], workers=1)
    with open_session(settings_for(bouncer.path)) as conn:
        assert build_index(conn, Feature.HISTOGRAM, Metric.COSINE)
        assert not build_index(conn, Feature.HISTOGRAM, Metric.COSINE)
    with psycopg.connect(bouncer.dsn) as past:
        held = past.execute("SELECT count(*) FROM pg_catalog.pg_locks WHERE locktype = 'advisory'").fetchone()
        assert held == (0,)


def test_a_worker_has_no_lock_but_lives_by_its_lease(bouncer: Bouncer) -> None:
    from datetime import timedelta
    from uuid import uuid4

    worker = claims.Worker(uuid4(), "host", 1, timedelta(minutes=1))
    with open_session(settings_for(bouncer.path)) as conn:
        claims.renew(conn, worker, locked=claims.lock(conn, worker))
        assert [(one.host, one.pid) for one in claims.running(conn)] == [("host", 1)]


def test_only_one_of_two_builds_an_index_at_a_time(bouncer: Bouncer, photos: Path) -> None:
    with imrec_pg.open(bouncer.path) as library:
        library.ingest(photos, features=["histogram"], workers=1)
    built: list[object] = []

    def build() -> None:
        try:
            with open_session(settings_for(bouncer.dsn)) as conn:
                built.append(build_index(conn, Feature.HISTOGRAM, Metric.COSINE))
        except Exception as error:  # noqa: BLE001 - told to the test below
            built.append(error)

    with open_session(settings_for(bouncer.path)) as conn:
        thread = threading.Thread(target=build)
        thread.start()
        built.append(build_index(conn, Feature.HISTOGRAM, Metric.COSINE))
        thread.join()
    assert sorted(map(str, built)) == ["False", "True"]


def test_an_upgrade_goes_through(bouncer: Bouncer, empty_dsn: str) -> None:
    through = make_conninfo(bouncer.path, dbname=conninfo_to_dict(empty_dsn)["dbname"])
    migrate.upgrade(settings_for(through))
    migrate.check(settings_for(through))
    with open_session(settings_for(through)) as conn:
        assert conn.execute("SELECT count(*) FROM imrec.photo").fetchone() == (0,)


def test_an_export_and_an_import_go_through(bouncer: Bouncer, photos: Path, tmp_path: Path) -> None:
    with imrec_pg.open(bouncer.path) as library:
        library.ingest(photos, features=FEATURES, workers=1)
        library.export(tmp_path / "export")
        library.import_(tmp_path / "export")
        assert library.status().images == 30
