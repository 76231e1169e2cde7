"""A network that swallows all packets, as a pulled cable does: the client notices by itself."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from faults.checks import check_batches, check_end
from faults.figures import Figures
from faults.ingester import Orders
from faults.photos import make_folder
from faults.proxy import Proxy
from faults.running import started
from psycopg.conninfo import conninfo_to_dict, make_conninfo

_SPACE, _OUTSIDE, _INSIDE = f"imrec-{os.getpid()}", "10.213.77.1", "10.213.77.2"
_LINK = f"im{os.getpid()}"
_QUICK = {"keepalives_idle": 1, "keepalives_interval": 1, "keepalives_count": 2, "tcp_user_timeout": 3000}


@contextmanager
def a_network() -> Iterator[tuple[str, ...]]:
    """Yield the words before a command that is to run at the other end of a cable."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("needs root and the program ip, to lay a cable that can be pulled")
    if _ip("netns", "add", _SPACE) != 0:
        pytest.skip("the kernel gives no network namespace")
    try:
        for command in (
            f"link add {_LINK} type veth peer name inside netns {_SPACE}",
            f"addr add {_OUTSIDE}/30 dev {_LINK}",
            f"link set {_LINK} up",
            f"-n {_SPACE} addr add {_INSIDE}/30 dev inside",
            f"-n {_SPACE} link set inside up",
        ):
            assert _ip(*command.split()) == 0, command
        yield ("ip", "netns", "exec", _SPACE)
    finally:
        _ip("link", "del", _LINK)
        _ip("netns", "del", _SPACE)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [_QUICK, {}], ids=["quick", "as imrec-pg sets it"])
@pytest.mark.timeout(300)
def test_a_pulled_cable_is_noticed_and_ingest_goes_on_once_it_is_back(
    settings: dict[str, int], database: str, tmp_path: Path, figures: Figures
) -> None:
    folder = make_folder(tmp_path / "photos", 150)
    with a_network() as there:
        proxy = Proxy(Path(str(conninfo_to_dict(database)["host"])) / ".s.PGSQL.5432", _OUTSIDE)
        through: dict[str, str | int] = {
            "host": _OUTSIDE,
            "hostaddr": _OUTSIDE,
            "port": proxy.port,
            "sslmode": "disable",
        }
        dsn = make_conninfo(database, **(through | {"gssencmode": "disable"} | settings))
        with started(Orders((str(folder),), str(tmp_path / "log"), dsn, batch=4), *there) as ingester:
            ingester.until(lambda: len(ingester.batches) > 3, "it writes")
            assert _ip("link", "set", _LINK, "down") == 0
            figures.injected("cable pulled")
            began = time.monotonic()
            ingester.until(lambda: "trying again" in ingester.err, "it notices")
            name = "the defaults" if not settings else "quick keepalives"
            figures.add(
                f"seconds until a pulled cable was noticed, with {name}", round(time.monotonic() - began, 1)
            )
            assert _ip("link", "set", _LINK, "up") == 0
            counts = ingester.end()
        proxy.close()
    assert counts["found"] == counts["done"]
    check_batches(figures, database, ingester.batches)
    check_end(figures, database, [folder])


def _ip(*words: str) -> int:
    return subprocess.run(["ip", *words], check=False, capture_output=True).returncode
