"""One library in a program that runs for long, in many threads, and through restarts of the server."""

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import psycopg
import pytest
from PIL import Image
from support import settings_for

import imrec_pg
from imrec_pg import Library
from imrec_pg.db import sessions as sessions_module
from imrec_pg.db.sessions import Sessions
from imrec_pg.errors import DatabaseUnreachableError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(8)
    for folder, count in (("stored", 8), ("new", 16), ("later", 30)):
        (tmp_path / folder).mkdir()
        for i in range(count):
            pixels = rng.integers(0, 256, (60, 60, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / f"{i:02}.png")
    return tmp_path


@pytest.fixture
def library(dsn: str, photos: Path) -> Iterator[Library]:
    with imrec_pg.open(dsn) as opened:
        opened.ingest(photos / "stored", features=["histogram"], workers=1)
        yield opened


def connections(dsn: str, but: int = 0) -> list[int]:
    """Return the processes of the server that serve imrec-pg in a database."""
    with psycopg.connect(dsn) as conn:
        rows = conn.execute(
            "SELECT pid FROM pg_catalog.pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'imrec-pg' AND pid <> %s",
            (but,),
        ).fetchall()
    return [row[0] for row in rows]


def cut(dsn: str) -> None:
    """End all connections, as a restart of the server does."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        for pid in connections(dsn):
            conn.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
    assert connections(dsn) == []


def calls(library: Library, photos: Path) -> list[Callable[[], object]]:
    stored, new = photos / "stored" / "00.png", photos / "new" / "00.png"
    return [
        lambda: library.search(stored, feature="histogram"),
        lambda: library.search(new, feature="histogram"),
        lambda: library.fuse(stored, weights={"histogram": 1}),
        library.status,
        library.failures,
        library.missing,
        library.indexes,
        library.tunings,
        library.has_embeddings,
        library.prune,
        library.doctor,
        library.roots.states,
        lambda: library.roots.contents(str(photos / "stored")),
        lambda: library.build_index("histogram", "cosine"),
        lambda: library.drop_index("histogram", "cosine"),
        lambda: library.ingest(photos / "stored", features=["histogram"], workers=1),
    ]


def test_every_call_survives_a_lost_connection(library: Library, photos: Path, dsn: str) -> None:
    for call in calls(library, photos):
        cut(dsn)
        call()


def test_a_connection_lost_between_two_calls_on_roots_is_replaced(
    library: Library, photos: Path, dsn: str
) -> None:
    roots = library.roots
    assert [root.files for root in roots.states()] == [8]
    cut(dsn)
    roots.rename(str(photos / "stored"), "pictures")
    assert [root.name for root in roots.states()] == ["pictures"]


def test_a_call_is_made_once_more_and_not_again(dsn: str) -> None:
    sessions = Sessions(settings_for(dsn))
    attempts = []

    def lose(conn: psycopg.Connection[tuple[object, ...]]) -> None:
        attempts.append(conn)
        conn.close()
        raise DatabaseUnreachableError("lost the database")

    with pytest.raises(DatabaseUnreachableError):
        sessions.run(lose)
    assert len(attempts) == 2
    assert sessions.run(lambda conn: conn.execute("SELECT 1").fetchone()) == (1,)
    sessions.close()


def test_what_is_no_lost_connection_is_not_tried_again(dsn: str) -> None:
    sessions = Sessions(settings_for(dsn))
    attempts = []

    def full(conn: object) -> None:
        attempts.append(conn)
        raise DatabaseUnreachableError("the database's disk is full")

    with pytest.raises(DatabaseUnreachableError, match="disk is full"):
        sessions.run(full)
    assert len(attempts) == 1
    sessions.close()


def in_threads(work: Callable[[int], object], number: int) -> list[object]:
    """Return what work(0), work(1) … return or raise, all at once."""
    found: list[object] = [None] * number
    meeting = threading.Barrier(number)

    def run(i: int) -> None:
        try:
            meeting.wait(60)
            found[i] = work(i)
        except Exception as error:  # noqa: BLE001 - told to the caller
            found[i] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_threads_search_new_photos_while_one_ingests(
    library: Library, photos: Path, real_weights: object
) -> None:
    """Extraction, model and database at once; each thread's answers are those of a lone search."""
    del real_weights
    library.ingest(photos / "stored", workers=1)
    new = sorted((photos / "new").iterdir())
    under = photos / "stored"
    alone = [[n.path for n in library.search(path, under=under)] for path in new]

    def work(i: int) -> object:
        if i == 16:
            return library.ingest(photos / "later", workers=1, batch=4).tally.new
        return [[n.path for n in library.search(path, under=under)] for path in (new[i], new[i - 1])]

    found = in_threads(work, 17)
    assert found[16] == 30
    assert found[:16] == [[alone[i], alone[i - 1]] for i in range(16)]


def test_two_ingests_of_one_library_share_the_work(library: Library, photos: Path) -> None:
    found = in_threads(
        lambda _i: library.ingest(photos / "later", features=["histogram"], workers=1, batch=4).tally.new, 2
    )
    assert sum(int(str(one)) for one in found) == 30


def test_a_callback_of_an_ingest_may_use_the_library(library: Library, photos: Path) -> None:
    seen = []
    library.ingest(
        photos / "later",
        features=["histogram"],
        workers=1,
        batch=4,
        on_progress=lambda _tally: seen.append(library.status().images),
    )
    assert seen[-1] == 38


def test_ended_threads_leave_no_connections_behind(
    library: Library, photos: Path, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = photos / "stored" / "00.png"
    for _ in range(10):
        in_threads(lambda _i: library.search(stored, feature="histogram"), 3)
    assert len(connections(dsn)) <= 3
    monkeypatch.setattr(sessions_module, "_IDLE_S", 0)
    library.status()
    library.status()
    for _ in range(100):
        if len(connections(dsn)) == 1:
            break
        time.sleep(0.1)
    assert len(connections(dsn)) == 1


def test_after_closing_no_connection_is_left(photos: Path, dsn: str) -> None:
    del photos
    library = imrec_pg.open(dsn)
    in_threads(lambda _i: library.status(), 4)
    library.close()
    for _ in range(100):
        if not connections(dsn):
            break
        time.sleep(0.1)
    assert connections(dsn) == []


def close_in_fork(library: Library) -> None:
    with library, suppress(imrec_pg.LibraryInUseError):
        library.status()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_does_not_close_the_connections_of_its_parent(library: Library, dsn: str) -> None:
    before = connections(dsn)
    child = multiprocessing.get_context("fork").Process(target=close_in_fork, args=(library,))
    child.start()
    child.join()
    assert child.exitcode == 0
    assert connections(dsn) == before
    assert library.status().images == 8
    assert connections(dsn) == before
