"""kill -9 of an ingester at random moments: what it was told is stored is stored, and nothing by halves."""

import random
import time
from pathlib import Path

import pytest
from e2e.database import SESSIONS, assert_no_half_batch, one
from faults.checks import check_batches, check_end
from faults.figures import Figures
from faults.ingester import FEATURES, Orders
from faults.photos import make_folder
from faults.running import Ingester, left_behind, started, until

_EVERY = 16
"""Each such round also computes embeddings."""


@pytest.mark.parametrize(("kills", "photos"), [(2, 60), pytest.param(56, 240, marks=pytest.mark.slow)])
@pytest.mark.timeout(900)
def test_kill_9_of_an_ingester_loses_nothing(
    kills: int, photos: int, database: str, tmp_path: Path, figures: Figures
) -> None:
    rng = random.Random(kills)  # noqa: S311 - repeatable
    folders = [make_folder(tmp_path / "0", photos)]
    done = 0
    while done < kills:
        orders = _orders(database, folders, tmp_path / f"{done}.log", done)
        group = done % 2 == 0
        with started(orders) as ingester:
            _wait(ingester, rng, done)
            if not ingester.running:  # it was faster: there must be more to do
                ingester.end()
                folders.append(make_folder(tmp_path / str(len(folders)), photos))
                continue
            ingester.kill(group=group)
        figures.injected(f"kill -9 of an ingester, {'with its workers' if group else 'alone'}")
        done += 1
        until(lambda: one(database, SESSIONS) == 0, "the server gives up the killed one's transaction")
        check_batches(figures, database, ingester.batches)
        assert_no_half_batch(database, "histogram,average_hash,difference_hash")
    with started(_orders(database, folders, tmp_path / "last.log", 0)) as ingester:
        counts = ingester.end()
        assert counts["done"] == counts["found"]
    check_batches(figures, database, ingester.batches)
    check_end(figures, database, folders)
    for number in range(kills):
        until(lambda: not left_behind(tmp_path / f"{number}.log"), "workers end with their ingester")  # noqa: B023 - called at once


def _orders(dsn: str, folders: list[Path], log: Path, number: int) -> Orders:
    # Of all folders, for what is there must be told from what is not; in small batches, so that many are cut.
    features = ("embedding", *FEATURES) if number % _EVERY == _EVERY - 1 else FEATURES
    return Orders(tuple(map(str, folders)), str(log), dsn, features=features, batch=4, lease_s=60)


def _wait(ingester: Ingester, rng: random.Random, number: int) -> None:
    """Let it come to a random moment: of its start, of decoding, or of writing a batch."""
    match number % 4:
        case 0:
            time.sleep(rng.uniform(0, 2))
        case 1:
            until(lambda: ingester.decodes or not ingester.running, "it decodes")
            time.sleep(rng.uniform(0, 0.1))
        case _:
            batches = rng.randint(1, 10)
            until(lambda: len(ingester.batches) >= batches or not ingester.running, "it writes")
            time.sleep(rng.uniform(0, 0.02))
