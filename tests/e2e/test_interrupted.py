"""Ctrl-C, SIGTERM and a lost server in the middle of an ingest: nothing reported is lost."""

import signal
import time
from pathlib import Path

import psycopg
import pytest
from e2e.command import Imrec, Run, Started, until
from e2e.database import SESSIONS, assert_no_half_batch, counts, one, query
from e2e.photos import save_many

# Two workers decode these in two seconds or more.
LIGHT = ("--features", "histogram,average_hash,difference_hash", "--workers", "2")
NUMBER = 150


@pytest.fixture(scope="module")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of large photos."""
    folder = tmp_path_factory.mktemp("heavy")
    save_many(folder, NUMBER, 2000, 1500)
    return folder


@pytest.fixture
def started(run: Imrec, heavy: Path, dsn: str) -> Started:
    """Return an ingest in small batches that has stored something and has more to do."""
    running = run.start("ingest", heavy, *LIGHT, "--batch", "4")
    running.until(lambda: one(dsn, "SELECT count(*) FROM imrec.image"))
    return running


def assert_stopped(started: Started, done: Run, dsn: str) -> int:
    """Return how many images are stored: some, not all, none of them by halves, and no process is left."""
    until(lambda: not started.others(), "the workers end")
    stored = counts(dsn)["image"]
    assert 0 < stored < NUMBER, done
    assert counts(dsn)["failure"] == 0
    assert_no_half_batch(dsn, LIGHT[1])
    return stored


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("group", [True, False], ids=["group", "single"])
def test_a_signal_ends_cleanly_and_the_next_run_completes(
    number: signal.Signals, group: bool, started: Started, run: Imrec, heavy: Path, dsn: str
) -> None:
    assert started.others()
    started.signal(number, group=group)
    done = started.wait()
    assert done.code == 130
    stored = assert_stopped(started, done, dsn)
    assert done.out.startswith(f"{stored} new, 0 unchanged, 0 duplicates, 0 failed, ")
    assert "interrupt again to stop at once" in done.err
    assert "interrupted: run the same command again to continue" in done.err
    assert "internal error" not in done.err
    if number is signal.SIGINT and group:
        again = run("ingest", heavy, *LIGHT, "--json").json
        assert (again["unchanged"], again["new"]) == (stored, NUMBER - stored)
        assert counts(dsn)["average_hash"] == NUMBER


def test_as_json_the_answer_is_still_json(started: Started, run: Imrec, heavy: Path, dsn: str) -> None:
    started.signal(signal.SIGKILL, group=True)
    started.wait()
    before = counts(dsn)["image"]
    second = run.start("ingest", heavy, *LIGHT, "--batch", "4", "--json")
    second.until(lambda: counts(dsn)["image"] > before)
    second.signal(signal.SIGINT, group=True)
    done = second.wait()
    assert done.code == 130
    assert done.json["interrupted"]
    assert done.json["new"] + before == assert_stopped(second, done, dsn)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_at_once(number: signal.Signals, started: Started, dsn: str) -> None:
    started.signal(number, group=True)
    stderr = started.process.stderr
    assert stderr is not None
    assert b"interrupt again to stop at once" in stderr.readline() + stderr.readline()
    if started.process.poll() is None:
        started.signal(number, group=True)
    done = started.wait()
    # -2: Python was already on its way out.
    assert done.code in (130, -number)
    assert "internal error" not in done.err
    assert_stopped(started, done, dsn)


@pytest.mark.parametrize("delay", [0, 0.1, 0.2, 0.4, 0.7])
def test_ctrl_c_while_it_starts(delay: float, run: Imrec, heavy: Path, dsn: str) -> None:
    """Also while the workers start, whom Ctrl-C reaches as well."""
    running = run.start("ingest", heavy, *LIGHT)
    # Not before: until Python has read the program, Ctrl-C shows a traceback.
    running.until(lambda: one(dsn, SESSIONS))
    time.sleep(delay)
    running.signal(signal.SIGINT, group=True)
    done = running.wait()
    assert done.code in (130, -signal.SIGINT)
    assert "internal error" not in done.err
    until(lambda: not running.others(), "the workers end")
    assert_no_half_batch(dsn, LIGHT[1])


def test_a_search_or_status_can_be_interrupted(run: Imrec, dsn: str) -> None:
    """Here while it waits for a lock that somebody else holds."""
    with psycopg.connect(dsn) as blocker:
        blocker.execute("LOCK TABLE imrec.image IN ACCESS EXCLUSIVE MODE")
        waiting = run.start("status")
        waiting.until(lambda: one(dsn, "SELECT count(*) FROM pg_locks WHERE NOT granted"))
        waiting.signal(signal.SIGINT, group=True)
        done = waiting.wait()
    assert done.code == 130
    assert done.err.strip() == "imrec-pg: interrupted"


def test_an_index_build_can_be_interrupted(run: Imrec, dsn: str) -> None:
    with psycopg.connect(dsn) as blocker:
        # CREATE INDEX CONCURRENTLY waits for every older transaction that writes to the table.
        blocker.execute("LOCK TABLE imrec.histogram IN ROW EXCLUSIVE MODE")
        building = run.start("index", "build", "histogram", "cosine")
        building.until(lambda: one(dsn, "SELECT to_regclass('imrec.histogram_cosine_hnsw') IS NOT NULL"))
        building.signal(signal.SIGINT, group=True)
        dropping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DROP INDEX%'"
        until(lambda: one(dsn, dropping), "it removes what it began")
    done = building.wait()
    assert done.code == 130
    assert not any(state["name"] for state in run("index", "list", "--json").json)


TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


def test_lost_connections_are_opened_again(started: Started, dsn: str) -> None:
    assert query(dsn, TERMINATE)
    done = started.wait()
    assert done.code == 0
    assert "trying again for 300 s" in done.err
    assert counts(dsn)["average_hash"] == NUMBER


def test_without_retries_a_lost_server_is_one_line_and_the_next_run_goes_on(
    run: Imrec, heavy: Path, dsn: str
) -> None:
    started = run.start("ingest", heavy, *LIGHT, "--batch", "4", "--retry-for", "0")
    started.until(lambda: one(dsn, "SELECT count(*) FROM imrec.image"))
    assert query(dsn, TERMINATE)
    done = started.wait()
    assert done.code == 4
    assert "try again when it is back" in done.message
    stored = assert_stopped(started, done, dsn)
    again = run("ingest", heavy, *LIGHT, "--json").json
    assert (again["unchanged"], again["new"]) == (stored, NUMBER - stored)
