"""kill -9 of the database server while an ingester runs, which waits for it and goes on.

fsync is on. A killed process leaves what it gave to the system in the system's memory, so this shows that
PostgreSQL's log is replayed and that ingest finds its way back; it shows nothing of a power failure, for
which the disk must keep what fsync promised.
"""

import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from e2e.database import assert_no_half_batch, one, query
from faults.checks import check_batches, check_deadlocks, check_end
from faults.figures import Figures
from faults.ingester import Orders
from faults.photos import make_folder
from faults.running import Ingester, started, until

from imrec_pg.embedded import EmbeddedServer

_KINDS = ("the server and all its processes", "the server's first process alone", "one backend")


@pytest.mark.parametrize(
    ("by", "kills"),
    [
        ("data", 2),
        pytest.param("data", 27, marks=pytest.mark.slow),
        pytest.param("dsn", 27, marks=pytest.mark.slow),
    ],
)
@pytest.mark.timeout(900)
def test_kill_9_of_the_server_loses_nothing(
    by: str, kills: int, own_server: EmbeddedServer, tmp_path: Path, figures: Figures
) -> None:
    """By data, the ingester starts the server again; by dsn, somebody else does."""
    rng = random.Random(kills)  # noqa: S311 - repeatable
    own_server.start()
    dsn = own_server.dsn
    _empty(dsn)
    assert one(dsn, "SHOW fsync") == "on"
    folders: list[Path] = []
    done = 0
    while done < kills:
        folders.append(make_folder(tmp_path / str(len(folders)), 300))
        orders = Orders(
            (str(folders[-1]),),
            str(tmp_path / f"{len(folders)}.log"),
            dsn if by == "dsn" else "",
            str(own_server.data_dir),
            batch=4,
        )
        with started(orders) as ingester:
            while done < kills and _goes_on(ingester, rng):
                kind = _KINDS[rng.randrange(3)]
                if not _kill(own_server, kind, rng):
                    continue
                figures.injected(f"kill -9 of {kind}")
                done += 1
                if by == "dsn":
                    time.sleep(rng.uniform(0, 0.5))
                    own_server.start()
            counts = ingester.end()
        own_server.start()  # the last kill may have come when the ingester had nothing more to ask
        check_batches(figures, dsn, ingester.batches)
        assert_no_half_batch(dsn, "histogram,average_hash,difference_hash")
        assert counts["done"] == counts["found"]
    check_end(figures, dsn, folders)
    check_deadlocks(figures, dsn, own_server.status().log)


def _goes_on(ingester: Ingester, rng: random.Random) -> bool:
    """Return whether it wrote something since, and is not at its end; then a random moment has passed."""
    before = ingester.acknowledged
    until(lambda: ingester.acknowledged > before or not ingester.running, "it goes on")
    time.sleep(rng.uniform(0, 0.1))
    return ingester.running


def _kill(server: EmbeddedServer, kind: str, rng: random.Random) -> bool:
    pid = server.status().pid
    if pid is None:
        return False
    with suppress(psutil.NoSuchProcess):
        first = psutil.Process(pid)
        children = first.children()
        # A client's backend says so in its title: cluster, role, database, address.
        backends = [child for child in children if " imrec " in " ".join(child.cmdline())]
        match kind:
            case "one backend":
                if not backends:
                    return False
                rng.choice(backends).send_signal(signal.SIGKILL)
            case "the server's first process alone":
                first.send_signal(signal.SIGKILL)
            case _:
                for process in (first, *children):
                    with suppress(psutil.NoSuchProcess):
                        process.send_signal(signal.SIGKILL)
        return True
    return False


def _empty(dsn: str) -> None:
    query(dsn, "TRUNCATE imrec.image, imrec.file, imrec.failure, imrec.root, imrec.worker CASCADE")
