"""A server that cancels what takes long, and tables that somebody else has locked."""

import threading
import time
from pathlib import Path

import psycopg
import pytest
from e2e.database import query
from faults.checks import check_batches, check_end
from faults.figures import Figures
from faults.ingester import Orders
from faults.photos import make_folder
from faults.running import started
from psycopg.conninfo import make_conninfo

_SLOW = """
CREATE FUNCTION public.wait() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_sleep(0.01); RETURN NEW; END $$;
CREATE TRIGGER slow BEFORE INSERT ON imrec.image FOR EACH ROW EXECUTE FUNCTION public.wait()
"""
_LOCK_S = 3


def test_batches_that_take_longer_than_the_server_allows_are_stored_in_parts(
    database: str, tmp_path: Path, figures: Figures
) -> None:
    """10 ms a row: 64 rows take over twice of what a statement may."""
    for statement in _SLOW.split(";\nCREATE TRIGGER"):
        query(database, statement if statement.startswith("\nCREATE F") else f"CREATE TRIGGER{statement}")
    folder = make_folder(tmp_path / "photos", 100)
    dsn = make_conninfo(database, options="-c statement_timeout=300")
    with started(Orders((str(folder),), str(tmp_path / "log"), dsn, batch=64)) as ingester:
        assert ingester.end()["new"] == 101
    figures.injected("statement_timeout shorter than a batch takes")
    sizes = [len(batch.rows) for batch in ingester.batches]
    assert max(sizes[1:]) < 64, "it learns what the server allows"
    check_batches(figures, database, ingester.batches)
    check_end(figures, database, [folder])


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    ["", "-c lock_timeout=100", "-c statement_timeout=200"],
    ids=["waiting", "lock_timeout", "statement_timeout"],
)
def test_a_table_that_is_locked_for_seconds_is_waited_for(
    options: str, database: str, tmp_path: Path, figures: Figures
) -> None:
    folder = make_folder(tmp_path / "photos", 100)
    dsn = make_conninfo(database, options=options)

    def lock() -> None:
        with psycopg.connect(database) as conn:
            conn.execute("LOCK TABLE imrec.file")
            locked.set()
            time.sleep(_LOCK_S)

    locked = threading.Event()
    with started(Orders((str(folder),), str(tmp_path / "log"), dsn, batch=4)) as ingester:
        ingester.until(lambda: len(ingester.batches) > 2, "it writes")
        thread = threading.Thread(target=lock)
        thread.start()
        assert locked.wait(10)
        figures.injected(f"table locked for {_LOCK_S} s")
        counts = ingester.end()
        thread.join()
    assert counts["new"] == 101
    check_batches(figures, database, ingester.batches)
    check_end(figures, database, [folder])
