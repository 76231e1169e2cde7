"""The benchmark: its references against hand calculations, its sections at tiny sizes; nothing is timed."""

import dataclasses
import io
import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import UUID

import numpy as np
import psutil
import psycopg
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

from benchmarks import bulk, from_library, ingesting, photos, rivals, run
from benchmarks.__main__ import command
from benchmarks.dataset import Dataset, generate
from benchmarks.fidelity import differing_bits, l1, similarity
from benchmarks.generated import BLOCK, HELD_OUT, Block, Mixture
from benchmarks.ground import load as load_rows
from benchmarks.measure import Effort, recall, side_by_side, summary
from benchmarks.processes import Usage, shares
from benchmarks.report import as_dict, as_markdown, print_table, verdict
from benchmarks.results import (
    Line,
    Report,
    Section,
    Value,
    at_least,
    at_most,
    ratio_at_least,
    ratio_at_most,
    ratio_below,
)
from benchmarks.rivals import faiss_indexes, seed_compare
from benchmarks.rivals.plain_pgvector import PlainPgvector
from benchmarks.rivals.seed_loop import SeedLoop
from benchmarks.run import Options, new_report
from benchmarks.scratch import Scratch, scratch
from imrec_pg.catalogue.index import valid_index
from imrec_pg.catalogue.roots import add_root
from imrec_pg.cli.common import Invocation
from imrec_pg.db.connection import Connection
from imrec_pg.db.session import open_session
from imrec_pg.embedded import EmbeddedServer
from imrec_pg.errors import StoreError, UsageError
from imrec_pg.features.embedding import Embedder, crop
from imrec_pg.features.weights import Weights
from imrec_pg.records import Feature, Features, FeatureTable, Metric
from imrec_pg.settings import Settings

TINY = Effort(rounds=2, seconds=0, least=1)


@pytest.fixture(scope="module")
def blocks() -> tuple[Block, Block]:
    return Mixture().block(0)


@pytest.fixture
def rows(tmp_path: Path) -> Dataset:
    return generate(tmp_path / "rows", 300)


def floats(*values: float) -> NDArray[np.float32]:
    return np.array(values, dtype=np.float32)


# The references


def test_seed_compare_by_hand() -> None:
    features = np.array([[3, 4, 0], [0, 1, 0], [-3, -4, 0]], dtype=np.float32)
    query = np.array([3, 4, 0], dtype=np.float32)
    assert seed_compare.cosine(features, query) == pytest.approx([0, 1 - 4 / 5, 2])
    assert seed_compare.euclidean(features, query) == pytest.approx([0, 18**0.5, 10])
    assert seed_compare.manhattan(features, query) == pytest.approx([0, 6, 14])


def test_seed_hamming_by_hand() -> None:
    hashes = np.array([[0] * 8, [0b1010_0000] + [0] * 7, [255] * 8], dtype=np.uint8)
    bits = seed_compare.unpacked(hashes)
    assert bits.shape == (3, 64)
    assert seed_compare.hamming(bits, bits[1]).tolist() == [2, 0, 62]


def test_seed_takes_the_k_smallest_in_order() -> None:
    distances = np.array([5, 1, 4, 1, 3])
    assert seed_compare.nearest(distances, 3) == ([1, 3, 4], [1, 1, 3])
    assert seed_compare.nearest(distances, 9)[1] == [1, 1, 3, 4, 5]


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "manhattan"])
def test_faiss_and_plain_pgvector_give_what_the_seed_gives(
    blocks: tuple[Block, Block], empty_dsn: str, metric: str
) -> None:
    features, query = blocks[0].embedding[:200], blocks[1].embedding[0]
    expected = seed_compare.nearest(seed_compare.DISTANCES[metric](features, query), 10)
    with psycopg.connect(empty_dsn, autocommit=True) as conn:
        conn.execute("CREATE EXTENSION vector")
    plain = PlainPgvector(empty_dsn, "items")
    plain.load([features[:150], features[150:]])
    for found, distances in (
        faiss_indexes.Flat(features, metric).nearest(query, 10),
        plain.nearest(query, metric, 10),
    ):
        assert list(found) == expected[0]
        assert list(distances) == pytest.approx(expected[1], rel=1e-4, abs=1e-5)
    plain.build_index()
    assert len(plain.nearest(query, metric, 10)[0]) == 10
    plain.close()


def test_faiss_hamming_gives_what_the_seed_gives(blocks: tuple[Block, Block]) -> None:
    hashes, query = blocks[0].average_hash[:200], blocks[1].average_hash[0]
    bits = seed_compare.unpacked(hashes)
    expected = seed_compare.nearest(seed_compare.hamming(bits, seed_compare.unpacked(query[None])[0]), 10)
    assert faiss_indexes.BinaryFlat(hashes).nearest(query, 10)[1] == expected[1]


def test_faiss_hnsw_finds_nearly_all(blocks: tuple[Block, Block]) -> None:
    features = blocks[0].embedding[:1000]
    hnsw = faiss_indexes.Hnsw(features)
    found = [hnsw.nearest(query, 10)[0] for query in features[:20]]
    truth = [seed_compare.nearest(seed_compare.cosine(features, query), 10)[0] for query in features[:20]]
    assert recall(found, truth) > 0.95


def test_seed_loop_is_the_definition(tmp_path: Path, real_weights: Weights) -> None:
    photos.make(tmp_path / "photos", photos.sources(None), 2, (300, 400))
    loop = SeedLoop(real_weights.tensors)
    assert loop.run(tmp_path / "photos", tmp_path / "features.pickle") == 2
    path = tmp_path / "photos" / "000001.jpg"
    features = loop.extract(path)
    with Image.open(path) as image:
        (reference,) = Embedder(real_weights, device="cpu").embed([crop(image.convert("RGB"))])
        grey = np.asarray(image.convert("L").resize((8, 8), Image.Resampling.LANCZOS))
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3).astype(int) // 32
    assert similarity(features["embedding"], reference) > 0.9999
    counts = np.bincount(pixels @ [64, 8, 1], minlength=512)
    assert features["histogram"] == pytest.approx(counts / counts.sum(), abs=1e-6)
    assert features["average_hash"].tolist() == (grey > grey.mean()).reshape(-1).tolist()
    assert features["difference_hash"].shape == (64,)


def test_recall_by_hand() -> None:
    assert recall([[1, 2, 3], [4, 5, 6]], [[3, 2, 9], [6, 5, 4]]) == pytest.approx(5 / 6)
    assert recall([[]], [[1, 2]]) == 0


def test_summary_by_hand() -> None:
    assert summary([float(n) for n in range(101)]) == Value(50, 99, 101)


def test_contenders_take_turns_at_the_same_tasks() -> None:
    calls: list[tuple[str, int]] = []

    def a(number: int) -> int:
        calls.append(("a", number))
        return number

    def b(number: int) -> int:
        calls.append(("b", number))
        return -number

    timings = side_by_side({"a": a, "b": b}, Effort(rounds=3, seconds=100), title="")
    assert calls[2:] == [("a", 0), ("b", 0), ("b", 1), ("a", 1), ("a", 2), ("b", 2)]
    assert calls[:2] == [("a", 0), ("b", 0)]  # warming up
    assert timings["b"].answers == [0, -1, -2]
    assert timings["a"].value.count == 3


def test_no_round_begins_when_the_time_is_over() -> None:
    timings = side_by_side({"a": lambda _: None}, Effort(rounds=50, seconds=0, least=4), title="")
    assert len(timings["a"].seconds) == 4


# The data


def test_generated_rows_repeat(blocks: tuple[Block, Block]) -> None:
    for again, first in zip(Mixture().block(0), blocks, strict=True):
        assert all(np.array_equal(getattr(again, name), getattr(first, name)) for name in Block.__slots__)
    other = Mixture(1).block(0)[0]
    assert not np.array_equal(other.embedding, blocks[0].embedding)


def test_a_smaller_set_is_the_beginning_of_a_larger_one(tmp_path: Path) -> None:
    small, large = generate(tmp_path / "small", 100), generate(tmp_path / "large", BLOCK + 10)
    assert np.array_equal(small.column("embedding"), large.column("embedding")[:100])
    assert np.array_equal(small.image_ids, large.image_ids[:100])
    assert len(large.queries) == 2 * HELD_OUT


def test_generated_features_are_features(blocks: tuple[Block, Block]) -> None:
    for block in blocks:
        assert block.embedding.dtype == block.histogram.dtype == np.float32
        assert np.isfinite(block.embedding).all()
        assert (block.embedding >= 0).all()
        assert (np.linalg.norm(block.embedding, axis=1) > 0).all()
        assert block.histogram.sum(axis=1) == pytest.approx(1, abs=1e-5)
        assert (block.histogram >= 0).all()
        assert block.average_hash.shape == block.difference_hash.shape == (len(block), 8)


def test_generated_features_spread_as_real_ones_do(blocks: tuple[Block, Block]) -> None:
    """Between the extremes that would flatter an index: all far apart, or all alike."""
    block = blocks[0]
    unit = block.embedding / np.linalg.norm(block.embedding, axis=1, keepdims=True)
    nearest = np.sort(1 - unit[:500] @ unit.T, axis=1)[:, 1]
    # Of 160 real photos: 0.5 between any two; near duplicates are below 0.1.
    assert 0.4 < np.median(1 - unit[:500] @ unit[500:1000].T) < 0.6
    assert 0.02 < (nearest < 0.1).mean() < 0.4
    assert (nearest > 0.15).mean() > 0.2
    bits = seed_compare.unpacked(block.average_hash)
    assert len(np.unique(block.average_hash, axis=0)) > 0.8 * BLOCK
    assert 0.3 < bits.mean() < 0.7
    correlation = np.abs(np.corrcoef(bits[:, :8].T.astype(float)))
    # Bits of real hashes depend on their neighbours; random ones give 0.02.
    assert np.median(correlation[np.triu_indices(8, 1)]) > 0.1
    assert 20 < np.median((block.histogram > 0).sum(axis=1)) < 300


def test_queries_are_not_stored(blocks: tuple[Block, Block]) -> None:
    stored, queries = blocks
    assert not (queries.embedding[:, None, :8] == stored.embedding[None, :, :8]).all(axis=2).any()


def test_photos_repeat_and_differ(tmp_path: Path) -> None:
    sources = photos.sources(None)
    first = photos.make(tmp_path / "a", sources, 3, (64, 48))
    again = photos.make(tmp_path / "b", sources, 2, (64, 48), first=1)
    assert [path.read_bytes() for path in first[1:]] == [path.read_bytes() for path in again]
    assert len({path.read_bytes() for path in first}) == 3
    with Image.open(first[0]) as image:
        assert (image.format, image.size, image.mode) == ("JPEG", (64, 48), "RGB")


def test_photos_come_from_the_folder_named(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    Image.new("RGB", (30, 20), "red").save(tmp_path / "deep" / "a.PNG")
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    assert photos.sources(tmp_path) == [tmp_path / "deep" / "a.PNG"]
    with pytest.raises(UsageError, match="no JPEG or PNG"):
        photos.sources(tmp_path / "deep" / "nothing")


# Bulk load


def test_bulk_load_stores_what_it_was_given(
    conn: Connection, rows: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "_CHUNK", 128)
    add_root(conn, rows.root)
    told: list[tuple[str, int, int | None]] = []
    loaded = bulk.load_features(
        conn, rows.images(), total=300, on_progress=lambda *progress: told.append(progress)
    )
    assert loaded.images == 300
    assert told == [("rows", 128, 300), ("rows", 256, 300), ("rows", 300, 300)]
    stored = conn.execute(
        "SELECT image_id, embedding, histogram, average_hash, difference_hash, path, width "
        "FROM imrec.photo ORDER BY path"
    ).fetchall()
    assert [row[0] for row in stored] == rows.ids_of(range(300))
    assert np.array_equal([row[1].to_numpy() for row in stored], rows.column("embedding"))  # type: ignore[attr-defined]
    assert np.array_equal([row[2].to_numpy() for row in stored], rows.column("histogram"))  # type: ignore[attr-defined]
    for column, name in ((3, "average_hash"), (4, "difference_hash")):
        bits = seed_compare.unpacked(np.asarray(rows.column(name), dtype=np.uint8))
        assert [row[column] for row in stored] == ["".join(str(int(bit)) for bit in row) for row in bits]
    assert stored[299][5:] == ("/imrec-pg-bench/000/000000299.jpg", 548)


def test_bulk_load_leaves_out_features_that_are_not_there(conn: Connection, rows: Dataset) -> None:
    add_root(conn, rows.root)
    images = [dataclasses.replace(image, features=Features()) for image in itertools.islice(rows.images(), 3)]
    assert bulk.load_features(conn, images).images == 3
    for table in FeatureTable:
        assert conn.execute(f"SELECT count(*) FROM imrec.{table}").fetchone() == (0,)


def test_bulk_load_refuses_what_is_stored_and_keeps_earlier_chunks(
    conn: Connection, rows: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "_CHUNK", 100)
    add_root(conn, rows.root)
    images = list(rows.images())
    with pytest.raises(StoreError, match="image_pkey"):
        bulk.load_features(conn, [*images[:150], *images[:50]])
    assert conn.execute("SELECT count(*) FROM imrec.image").fetchone() == (100,)


def test_bulk_load_builds_the_indexes(settings: Settings, rows: Dataset) -> None:
    loaded = load_rows(settings, rows, indexed=True)
    assert loaded.index_seconds > 0
    with open_session(settings) as conn:
        assert valid_index(conn, Feature.EMBEDDING, Metric.COSINE)


def test_users_features_are_copied_and_some_held_out(
    settings: Settings, rows: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_rows(settings, rows, indexed=False)
    with pytest.raises(UsageError, match="300 images"):
        from_library.copy_of(settings, tmp_path / "few", 1000)
    monkeypatch.setattr(from_library, "_LEAST", 100)
    copied = from_library.copy_of(settings, tmp_path / "copy", 200)
    assert (len(copied), len(copied.queries)) == (200, HELD_OUT)
    by_id = np.argsort([str(UUID(bytes=raw.tobytes())) for raw in rows.image_ids])
    for name in Block.__slots__:
        original = rows.column(name)[by_id]
        assert np.array_equal(getattr(copied.queries, name), original[:HELD_OUT])
        assert np.array_equal(copied.column(name), original[HELD_OUT : HELD_OUT + 200])


# Figures and their presentation


def test_goals_are_met_or_not() -> None:
    one, two = Value(1.0), Value(2.0)
    assert [goal.met for goal in (ratio_at_most(0.5, one, two), ratio_at_most(0.4, one, two))] == [
        True,
        False,
    ]
    assert [goal.met for goal in (ratio_below(0.5, one, two), ratio_below(0.6, one, two))] == [False, True]
    assert [goal.met for goal in (ratio_at_least(2, two, one), ratio_at_least(3, two, one))] == [True, False]
    assert at_most(1, 1.001, "1").met is False
    assert at_least(0.99, 0.99, "99 %").met is True


def test_fidelity_by_hand() -> None:
    assert similarity(floats(1, 0), floats(1, 1)) == pytest.approx(0.5**0.5)
    assert l1(floats(0.5, 0.5), floats(1, 0)) == 1
    assert differing_bits("1100", np.array([[True, False], [True, False]])) == 2


def test_growth_and_shares_by_hand() -> None:
    usage = Usage([9, 9, 10, 10, 50, 50, 12, 14], {"main": 1.0, "workers": 3.0})
    assert usage.peak == 50
    assert usage.growth == 1.3
    assert shares(usage.cpu_seconds) == {"main": 0.25, "workers": 0.75}


def test_table_and_markdown_tell_what_was_missed() -> None:
    ours, numpy = Value(0.002, 0.003, 30), Value(0.001, 0.0015, 30)
    lines = [
        Line(Section.SEARCH, "exact", "s", ours, "NumPy", numpy, ratio_at_most(0.5, ours, numpy), "a note"),
        Line(Section.SEARCH, "exact", "s", ours, "A|B", Value(0.004, 0.004, 30), note="a note"),
        Line(Section.LOAD, "memory", "bytes", Value(1.4e9), goal=at_most(1.5e9, 1.4e9, "1.5 GB")),
    ]
    report = Report("2026-01-01T00:00:00+00:00", {}, lines=lines, complete=True)
    markdown = as_markdown(report).splitlines()
    assert "| exact [1] | 2 ms (p99 3 ms) | 1 ms (p99 1.5 ms), NumPy | 2 x | ≤ 0.5 x | no |" in markdown
    assert r"|  |  | 4 ms (p99 4 ms), A\|B | 0.5 x |  |  |" in markdown
    assert "| memory | 1.4 GB |  |  | ≤ 1.5 GB | yes |" in markdown
    assert verdict(report) == "1 of 2 goals met; missed: exact"
    console = Console(width=120, record=True, file=io.StringIO())
    print_table(report, console)
    assert "[1] a note" in console.export_text()


# The sections


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
        with scratch(None, server_folder) as place:
            seen.append(place)
            processes.extend(place.server_processes())
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
        with scratch(server.dsn, tmp_path) as place:
            place.library("x")
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
    monkeypatch.delattr(rivals, "faiss_indexes")
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
        "ORDER BY … <~> … in the same table",
    }


def test_it_refuses_to_work_in_the_users_own_folder(tmp_path: Path) -> None:
    found = CliRunner().invoke(command, ["search", "--data", str(tmp_path)], obj=Invocation())
    assert isinstance(found.exception, UsageError)


def test_json_on_stdout_is_nothing_else(server: EmbeddedServer, tmp_path: Path) -> None:
    markdown = tmp_path / "table.md"
    arguments = ["load", "--rows", "100", "--dsn", server.dsn, "--json", "-", "--markdown", str(markdown)]
    found = CliRunner().invoke(command, arguments, obj=Invocation())
    assert found.exception is None
    report = json.loads(found.stdout)
    assert report["complete"]
    assert report["machine"]["server"]["PostgreSQL"]
    assert {line["section"] for line in report["lines"]} == {"load"}
    assert "| what | ours | rival |" in markdown.read_text()
