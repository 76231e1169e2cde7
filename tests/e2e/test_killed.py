"""kill -9 at random moments: restarts end with the database of one undisturbed run; tests/faults has more."""

import random
import signal
import time
from pathlib import Path

import psycopg
import pytest
from e2e.command import Album, Imrec, until, url_of
from e2e.database import SESSIONS, assert_no_half_batch, assert_same, content, counts, one
from e2e.photos import GARBAGE, save_many, save_scenes
from support import new_database

LIGHT = "histogram,average_hash,difference_hash"
ALL = "embedding,histogram,average_hash,difference_hash,perceptual_hash"
COUNT = "SELECT count(*) FROM imrec.file"


def kill_at_random(run: Imrec, dsn: str, folder: Path, features: str, times: int, seed: int) -> None:
    """Start an ingest again and again and kill it; half the time only its main process."""
    rng = random.Random(seed)  # noqa: S311 - repeatable
    for round_ in range(times):
        before = one(dsn, COUNT)
        started = run.start("ingest", folder, "--features", features, "--batch", "8")
        if rng.random() < 0.75:
            # In the thick of it: something was written, and a batch is on its way.
            until(lambda: one(dsn, COUNT) > before or started.process.poll() is not None)  # noqa: B023
            time.sleep(rng.uniform(0, 0.05))
        else:
            time.sleep(rng.uniform(0, 1.5))
        started.signal(signal.SIGKILL, group=round_ % 2 == 0)
        started.process.communicate()
        until(lambda: not started.others(), "the workers end")  # noqa: B023
        until(lambda: one(dsn, SESSIONS) == 0, "the server gives up the killed one's transaction")
        assert_no_half_batch(dsn, features)


def test_light_features_survive_six_kills(imrec: Imrec, template: str, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    save_many(folder / "many", 500, 320, 240)
    save_scenes(folder, range(20))
    for number in range(20):
        (folder / f"broken{number}.jpg").write_bytes(GARBAGE + bytes([number]))
        (folder / f"twin{number}.jpg").write_bytes((folder / "many" / f"{number:06}.jpg").read_bytes())
    with (
        new_database(template, "imrec_template") as undisturbed,
        new_database(template, "imrec_template") as dsn,
    ):
        kill_at_random(imrec.on(url_of(dsn)), dsn, folder, LIGHT, 6, seed=1)
        assert counts(dsn)["image"] > 0
        for database in (undisturbed, dsn):
            # 3 where a broken file was left to this run.
            assert imrec.on(url_of(database)).start("ingest", folder, "--features", LIGHT).wait().code in (
                0,
                3,
            )
        assert counts(dsn)["file"] == 540
        assert counts(dsn)["image"] == 520
        assert counts(dsn)["failure"] == 20
        assert_same(content(dsn), content(undisturbed))


def test_all_features_survive_four_kills(run: Imrec, dsn: str, album: Album) -> None:
    kill_at_random(run, dsn, album.folder, ALL, 4, seed=2)
    run("ingest", album.folder, "--batch", "8")
    assert_same(content(dsn), content(album.dsn))
    states = run("index", "list", "--json").json
    assert [state["name"] for state in states if state["valid"]] == ["embedding_cosine_hnsw"]


@pytest.mark.parametrize("group", [True, False], ids=["group", "single"])
def test_a_killed_index_build_is_built_anew(group: bool, copied_album: Album) -> None:
    run, dsn = copied_album.run, copied_album.dsn
    with psycopg.connect(dsn) as blocker:
        blocker.execute("LOCK TABLE imrec.histogram IN ROW EXCLUSIVE MODE")
        building = run.start("index", "build", "histogram", "cosine")
        building.until(lambda: one(dsn, "SELECT to_regclass('imrec.histogram_cosine_hnsw') IS NOT NULL"))
        building.signal(signal.SIGKILL, group=group)
        building.process.communicate()
        cancel = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX%'"
        until(lambda: one(dsn, cancel), "the server gives up the build")
    image = copied_album.folder / "original.png"
    assert "incomplete" in run("index", "list").out
    assert run("search", image, "--feature", "histogram", "--json").json["exact"]
    run("index", "build", "histogram", "cosine")
    assert "incomplete" not in run("index", "list").out
