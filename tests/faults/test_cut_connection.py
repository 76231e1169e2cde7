"""The network between ingest and its database breaks: what was sent twice is stored once."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from e2e.database import assert_same, content
from faults.checks import check_batches, check_end
from faults.figures import Figures
from faults.ingester import Orders
from faults.photos import make_folder
from faults.proxy import Cut, Proxy
from faults.running import started
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from support import new_database

from imrec_pg.embedded import EmbeddedServer


@contextmanager
def a_proxy(dsn: str) -> Iterator[tuple[Proxy, str]]:
    """Yield a proxy before the server and the dsn that leads through it."""
    parts = conninfo_to_dict(dsn)
    proxy = Proxy(Path(str(parts["host"])) / f".s.PGSQL.{parts['port']}")
    place = make_conninfo(host="127.0.0.1", port=proxy.port, sslmode="disable", gssencmode="disable")
    try:
        yield proxy, make_conninfo(dsn, **(conninfo_to_dict(place) | {"hostaddr": "127.0.0.1"}))
    finally:
        proxy.close()


@pytest.mark.parametrize("cuts", [3, pytest.param(32, marks=pytest.mark.slow)])
@pytest.mark.timeout(600)
def test_a_cut_connection_stores_nothing_twice_and_loses_nothing(
    cuts: int, database: str, own_server: EmbeddedServer, tmp_path: Path, figures: Figures
) -> None:
    rng = random.Random(cuts)  # noqa: S311 - repeatable
    kinds = [list(Cut)[number % 4] for number in range(cuts)]
    rng.shuffle(kinds)
    folder = make_folder(tmp_path / "photos", 40 * cuts)
    with a_proxy(database) as (proxy, dsn):
        orders = Orders((str(folder),), str(tmp_path / "log"), dsn, batch=4, lease_s=2)
        with started(orders) as ingester:
            for kind in kinds:
                # Not a second cut of the same batch: each may be retried anew.
                before = ingester.acknowledged
                ingester.until(lambda: ingester.acknowledged > before, "it goes on")  # noqa: B023 - called at once
                proxy.arm(kind)
                assert proxy.cut.wait(60), (kind, ingester.err, ingester.running)
                figures.injected(f"connection cut {kind.value}")
            counts = ingester.end()
    # Each file counts once, though some batches were sent twice: what was stored before counts as elsewhere.
    assert counts["found"] == counts["done"]
    check_batches(figures, database, ingester.batches)
    check_end(figures, database, [folder])
    with new_database(own_server.dsn, "template1") as undisturbed:
        with started(Orders((str(folder),), str(tmp_path / "other"), undisturbed, batch=64)) as other:
            other.end()
        assert_same(content(database), content(undisturbed))
