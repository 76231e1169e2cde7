"""The database's disk is full for a while, on a small file system in memory."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.checks import check_batches, check_end
from faults.figures import Figures
from faults.ingester import Orders
from faults.photos import make_folder
from faults.running import Ingester, started, until

from imrec_pg.embedded import EmbeddedServer

_SIZE = "176m"  # an empty server takes 120: its log 64 MB, two databases, the templates


@pytest.fixture
def small_disk(server_folder: Path) -> Iterator[Path]:
    """Yield the folder of a server on a file system of its own."""
    folder = server_folder / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_SIZE},mode=0711", "tmpfs", folder],
        check=False,
        capture_output=True,
    )
    if mounted.returncode != 0:
        folder.rmdir()
        pytest.skip("only root may mount a small file system")
    try:
        yield folder
        EmbeddedServer(folder / "db").stop()
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
        folder.rmdir()


def _fill(ballast: Path) -> None:
    with ballast.open("ab", buffering=0) as file:
        for size in (1 << 20, 4096):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


def _orders(folder: Path, disk: Path, log: Path, retry_for_s: float) -> Orders:
    return Orders((str(folder),), str(log), data_dir=str(disk / "db"), batch=4, retry_for_s=retry_for_s)


def _wait_for_trouble(ingester: Ingester, ballast: Path) -> None:
    ingester.until(lambda: len(ingester.batches) > 3, "it writes")
    # Again and again, for the server frees some now and then.
    until(lambda: _fill(ballast) or "trying again" in ingester.err or not ingester.running, "it fails")  # type: ignore[func-returns-value]


@pytest.mark.parametrize("times", [1, pytest.param(5, marks=pytest.mark.slow)])
@pytest.mark.timeout(300)
def test_a_full_disk_is_waited_for_and_nothing_acknowledged_is_lost(
    times: int, small_disk: Path, tmp_path: Path, figures: Figures
) -> None:
    server = EmbeddedServer(small_disk / "db")
    ballast = small_disk / "ballast"
    for number in range(times):
        folder = make_folder(tmp_path / f"retrying{number}", 150)
        with started(_orders(folder, small_disk, tmp_path / f"{number}.log", 120)) as ingester:
            _wait_for_trouble(ingester, ballast)
            figures.injected("disk full")
            assert ingester.running
            ballast.unlink()
            counts = ingester.end()
        assert counts["done"] == counts["found"]
        assert "disk is full" in ingester.err or "no space left" in ingester.err, ingester.err
        check_batches(figures, server.start(), ingester.batches)
        check_end(figures, server.dsn, [folder])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_without_retries_a_full_disk_ends_ingest_with_one_line_and_the_next_run_goes_on(
    small_disk: Path, tmp_path: Path, figures: Figures
) -> None:
    server, ballast = EmbeddedServer(small_disk / "db"), small_disk / "ballast"
    folder = make_folder(tmp_path / "photos", 300)
    with started(_orders(folder, small_disk, tmp_path / "log", 0)) as ingester:
        _wait_for_trouble(ingester, ballast)
        figures.injected("disk full")
        ingester.end(4)
    assert len(ingester.err.splitlines()) == 1
    ballast.unlink()
    dsn = server.start()
    check_batches(figures, dsn, ingester.batches)
    with started(_orders(folder, small_disk, tmp_path / "next.log", 0)) as ingester:
        counts = ingester.end()
        assert counts["unchanged"]
    check_end(figures, dsn, [folder])
