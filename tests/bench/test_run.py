"""Whole sections at tiny sizes, and what a run leaves behind: nothing. Nothing is timed."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil
import psycopg
import pytest
from numpy.typing import NDArray
from support import needs

from benchmarks import ingesting, rivals, run
from benchmarks.measure import Effort
from benchmarks.report import as_dict, as_markdown
from benchmarks.results import Line, Report, Section
from benchmarks.rivals.one_hash import BkTree, brute_force
from benchmarks.run import Options, new_report
from benchmarks.scratch import Scratch, open_scratch
from imrec_pg.embedded import EmbeddedServer
from imrec_pg.errors import UsageError

TINY = Effort(rounds=2, seconds=0, least=1)


def check(report: Report, sections: Sequence[Section]) -> dict[str, Line]:
    assert report.complete
    assert {line.section for line in report.lines} == set(sections)
    for line in report.lines:
        assert np.isfinite(line.ours.number)
        assert line.theirs is None or line.theirs.number > 0
    json.dumps(as_dict(report), default=str)
    assert as_markdown(report)
    return {line.what: line for line in report.lines}


def databases(dsn: str) -> NDArray[np.str_]:
    with psycopg.connect(dsn) as conn:
        return np.array([row[0] for row in conn.execute("SELECT datname FROM pg_database ORDER BY 1")])


def test_rows_are_measured_on_a_named_server_and_it_is_left_as_it_was(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    before = databases(server.dsn)
    sections = (Section.SEARCH, Section.HAMMING, Section.LOAD)
    options = Options(sections=sections, rows=300, effort=TINY, dsn=server.dsn, scratch=tmp_path)
    report = new_report(options)
    run.run(options, report, lambda _: None)
    lines = check(report, sections)
    assert lines["exact answers whose distances are NumPy's"].ours.number == 1
    assert lines["answers whose distances are the scan's"].ours.number == 1
    assert lines["approximate embedding cosine, fewest rows for k = 100"].ours.number == 100
    assert lines["approximate embedding cosine, recall@10 against NumPy"].ours.number > 0.9
    assert np.array_equal(databases(server.dsn), before)
    assert list(tmp_path.iterdir()) == []


def test_the_rest_api_is_measured_beside_sql(server: EmbeddedServer, tmp_path: Path) -> None:
    options = Options(sections=(Section.SERVE,), rows=300, effort=TINY, dsn=server.dsn, scratch=tmp_path)
    report = new_report(options)
    run.run(options, report, lambda _: None)
    lines = check(report, (Section.SERVE,))
    assert lines["search by REST, 50 clients"].ours.count >= 50
    assert lines["server's memory, after the clients and before"].ours.number > 10**7


@needs("umap")
def test_clusters_and_a_map_are_measured_beside_their_libraries(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    options = Options(sections=(Section.MAP,), rows=300, effort=TINY, dsn=server.dsn, scratch=tmp_path)
    report = new_report(options)
    run.run(options, report, lambda _: None)
    lines = check(report, (Section.MAP,))
    inertia = lines["inertia an image"]
    assert inertia.ratio is not None
    assert 0.9 < inertia.ratio < 1.1
    assert 0.7 < lines["trustworthiness"].ours.number <= 1
    assert list(tmp_path.iterdir()) == []


def test_duplicates_are_measured_and_none_is_missed(server: EmbeddedServer, tmp_path: Path) -> None:
    options = Options(sections=(Section.DUPLICATES,), rows=300, effort=TINY, dsn=server.dsn, scratch=tmp_path)
    report = new_report(options)
    run.run(options, report, lambda _: None)
    lines = check(report, (Section.DUPLICATES,))
    assert lines["planted copies found"].ours.number == 1
    assert lines["pairs that are those of brute force"].ours.number == 1
    assert lines["planted copies found"].ours.count > 20
    assert list(tmp_path.iterdir()) == []


def test_a_tree_finds_what_brute_force_does() -> None:
    codes = np.random.default_rng(2).integers(0, 2**12, 200, dtype=np.uint64) << np.uint64(40)
    tree = BkTree(codes.tolist())
    found = {
        (number, other)
        for number, code in enumerate(codes.tolist())
        for other in tree.within(code, 2)
        if number < other
    }
    assert found == brute_force(codes, 2)
    assert len(found) > 20


@pytest.fixture
def place(server_folder: Path) -> Iterator[Path]:
    """Yield a folder for an own server, which must be as empty afterwards."""
    folder = server_folder / "bench"
    folder.mkdir()
    folder.chmod(0o711)
    yield folder
    assert list(folder.iterdir()) == []
    folder.rmdir()


def test_ingest_is_measured_on_an_own_server(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = ingesting.Kind("tiny", (200, 150), 4.0, 1.0)
    monkeypatch.setattr(ingesting, "KINDS", (small,))
    options = Options(sections=(Section.INGEST,), images=6, effort=TINY, scratch=place)
    report = new_report(options)
    run.run(options, report, lambda _: None)
    lines = check(report, [Section.INGEST])
    assert lines["tiny: embedding against the seed's, cosine similarity, median"].ours.number > 0.99
    assert lines["tiny: average_hash within 2 bits of the seed's"].ours.number > 0.8
    assert lines["tiny: peak memory without the database"].ours.number > 50e6


def test_startup_is_measured_on_an_own_server(place: Path) -> None:
    options = Options(sections=(Section.STARTUP,), effort=Effort(1, 0, 1), scratch=place)
    report = new_report(options)
    run.run(options, report, lambda _: None)
    assert len(check(report, [Section.STARTUP])) == 3


def test_ctrl_c_leaves_no_server_behind(server_folder: Path) -> None:
    seen: list[Scratch] = []
    processes: list[psutil.Process] = []

    def work() -> None:
        with open_scratch(None, server_folder) as scratch:
            seen.append(scratch)
            processes.extend(scratch.server_processes())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert not seen[0].folder.exists()
    assert processes
    assert not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)


def test_ctrl_c_leaves_no_database_behind(server: EmbeddedServer, tmp_path: Path) -> None:
    before = databases(server.dsn)
    during: list[NDArray[np.str_]] = []

    def work() -> None:
        with open_scratch(server.dsn, tmp_path) as scratch:
            scratch.library("x")
            during.append(databases(server.dsn))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert len(during[0]) == len(before) + 1
    assert np.array_equal(databases(server.dsn), before)


def test_without_faiss_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "find_spec", lambda _: None)
    options = Options(sections=(Section.SEARCH,), rows=100)
    with pytest.raises(UsageError, match=r"pip install 'imrec-pg\[bench\]'"):
        run.run(options, new_report(options), lambda _: None)


def test_faiss_can_be_left_out(
    server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "find_spec", lambda _: None)
    monkeypatch.delattr(rivals, "faiss_indexes", raising=False)
    monkeypatch.setitem(sys.modules, "benchmarks.rivals.faiss_indexes", None)
    options = Options(
        sections=(Section.SEARCH, Section.HAMMING),
        rows=100,
        effort=TINY,
        dsn=server.dsn,
        scratch=tmp_path,
        without=frozenset({"faiss", "seed", "pgvector"}),
    )
    report = new_report(options)
    run.run(options, report, lambda _: None)
    assert {line.rival for line in report.lines} == {
        None,
        "NumPy, norms prepared",
        "ORDER BY … <~> … in the same table",
    }
