"""Several ingesters on the same folders, of which one is stopped past its lease, or killed."""

import signal
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from e2e.database import one
from faults.checks import check_batches, check_end
from faults.figures import Figures
from faults.ingester import Orders
from faults.photos import make_folder
from faults.running import Ingester, started, until

_SOME, _INDEXES = 4, 5
_CLAIMS = "SELECT count(*) FROM imrec.claim"


def _start_some(
    stack: ExitStack, dsn: str, folder: Path, number: int, lease_s: float, *, index: bool = False
) -> list[Ingester]:
    logs = [folder.parent / f"{folder.name}.{n}.log" for n in range(number)]
    # A batch holds all that one claims at a time, so that a stopped one has much that it has not written.
    options = {"batch": 64, "lease_s": lease_s, "decode_s": 0.005, "index": index}
    return [
        stack.enter_context(started(Orders((str(folder),), str(log), dsn, **options)))  # type: ignore[arg-type]
        for log in logs
    ]


def _first_to_decode(ingesters: list[Ingester]) -> Ingester:
    """Return one that has claimed and read files, and has not written them yet."""
    until(lambda: any(len(ingester.decodes) > _SOME for ingester in ingesters), "one decodes")
    return max(ingesters, key=lambda ingester: len(ingester.decodes))


def _check(figures: Figures, dsn: str, folder: Path, ingesters: list[Ingester], lost_by: Ingester) -> None:
    for ingester in ingesters:
        # Of what it left to others, another content may be stored.
        check_batches(figures, dsn, [batch for batch in ingester.batches if not batch.elsewhere])
    check_end(figures, dsn, [folder])
    assert one(dsn, _CLAIMS) == 0 or lost_by.process.returncode < 0
    # Nothing was decoded twice but what was taken over from that one.
    theirs = [path for ingester in ingesters if ingester is not lost_by for path in ingester.decodes]
    assert len(theirs) == len(set(theirs))
    figures.add("files decoded twice, as they were taken over", len(set(theirs) & set(lost_by.decodes)))
    figures.add(
        "rows of a late write that were fenced off", sum(batch.elsewhere for batch in lost_by.batches)
    )


@pytest.mark.parametrize("rounds", [1, pytest.param(10, marks=pytest.mark.slow)])
@pytest.mark.timeout(600)
def test_what_a_stopped_ingester_claimed_is_taken_over_and_its_late_writes_are_fenced(
    rounds: int, database: str, tmp_path: Path, figures: Figures
) -> None:
    for number in range(rounds):
        folder = make_folder(tmp_path / str(number), 150)
        with ExitStack() as stack:
            ingesters = _start_some(stack, database, folder, 2 + number % 3, lease_s=1.5)
            stopped = _first_to_decode(ingesters)
            stopped.signal(signal.SIGSTOP, group=True)
            figures.injected("SIGSTOP past the lease")
            for path in stopped.decodes:
                # Else nobody could tell its late write from the others'.
                with Path(path).open("ab") as file:
                    file.write(b"changed")
            for ingester in set(ingesters) - {stopped}:
                ingester.end()
            check_end(figures, database, [folder])
            stopped.signal(signal.SIGCONT, group=True)
            counts = stopped.end()
            assert counts["done"] == counts["found"]
            assert counts["elsewhere"] >= sum(batch.elsewhere for batch in stopped.batches) > 0
            _check(figures, database, folder, ingesters, stopped)


@pytest.mark.parametrize("rounds", [1, pytest.param(10, marks=pytest.mark.slow)])
@pytest.mark.timeout(600)
def test_what_a_killed_ingester_claimed_comes_back_long_before_its_lease_ends(
    rounds: int, database: str, tmp_path: Path, figures: Figures
) -> None:
    for number in range(rounds):
        folder = make_folder(tmp_path / str(number), 150)
        with ExitStack() as stack:
            # An hour: the suite would end in a timeout if the lease had to be waited for.
            ingesters = _start_some(stack, database, folder, 2 + number % 3, lease_s=3600)
            killed = _first_to_decode(ingesters)
            killed.kill(group=number % 2 == 0)
            figures.injected("kill -9 of one of several ingesters")
            began = time.monotonic()
            for ingester in set(ingesters) - {killed}:
                ingester.end()
            figures.add(
                "seconds from kill -9 of one to the end of the others, in all",
                round(time.monotonic() - began, 1),
            )
            _check(figures, database, folder, ingesters, killed)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ingesters_that_end_together_build_the_index_once(
    database: str, tmp_path: Path, figures: Figures
) -> None:
    for number in range(_INDEXES):
        folder = make_folder(tmp_path / str(number), 60)
        with ExitStack() as stack:
            ingesters = _start_some(stack, database, folder, 3, lease_s=60, index=True)
            for ingester in ingesters:
                ingester.end()
        figures.injected("three ingesters that end and index together")
        check_end(figures, database, [folder])
        assert one(database, "SELECT indisvalid FROM pg_index WHERE indexrelid::regclass::text LIKE '%hnsw'")
