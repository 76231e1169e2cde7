"""Bulk load into a library, and back out of one."""

import itertools
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from benchmarks import bulk, from_library
from benchmarks.dataset import Dataset
from benchmarks.feature_rows import METRICS
from benchmarks.generated import HELD_OUT
from benchmarks.rivals import seed_compare
from benchmarks.workload import load
from imrec_pg.catalogue.index import valid_index
from imrec_pg.catalogue.roots import add_root
from imrec_pg.db.connection import Connection
from imrec_pg.db.session import open_session
from imrec_pg.errors import StoreError, UsageError
from imrec_pg.records import Feature, Features, Metric
from imrec_pg.settings import Settings


def test_bulk_load_stores_what_it_was_given(
    conn: Connection, rows: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "_CHUNK", 128)
    add_root(conn, rows.root)
    shown: list[tuple[str, int, int | None]] = []
    loaded = bulk.load_features(
        conn, rows.images(), total=300, on_progress=lambda *progress: shown.append(progress)
    )
    assert loaded.images == 300
    assert shown == [("rows", 128, 300), ("rows", 256, 300), ("rows", 300, 300)]
    stored = conn.execute("SELECT image_id, path, size, width FROM imrec.photo ORDER BY path").fetchall()
    assert [row[0] for row in stored] == rows.ids_of(range(300))
    assert stored[299][1:] == ("/imrec-pg-bench/000/000000299.jpg", 100_000, 548)


@pytest.mark.parametrize("feature", Feature)
def test_bulk_load_stores_each_feature(conn: Connection, rows: Dataset, feature: Feature) -> None:
    add_root(conn, rows.root)
    bulk.load_features(conn, rows.images())
    stored = conn.execute(
        f"SELECT {feature}, version FROM imrec.{feature} JOIN imrec.file USING (image_id) ORDER BY path".encode()
    ).fetchall()
    assert {row[1] for row in stored} == {1}
    if feature.is_hash:
        bits = seed_compare.unpacked(np.asarray(rows.column(feature), dtype=np.uint8))
        assert [row[0] for row in stored] == ["".join(str(int(bit)) for bit in row) for row in bits]
    else:
        assert np.array_equal([row[0].to_numpy() for row in stored], rows.column(feature))  # type: ignore[attr-defined]


def test_bulk_load_leaves_out_features_that_are_not_there(conn: Connection, rows: Dataset) -> None:
    add_root(conn, rows.root)
    images = [replace(image, features=Features()) for image in itertools.islice(rows.images(), 3)]
    assert bulk.load_features(conn, images).images == 3
    for table in Feature:
        assert conn.execute(f"SELECT count(*) FROM imrec.{table}".encode()).fetchone() == (0,)


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
    loaded = load(settings, rows, indexed=True)
    assert loaded.index_seconds > 0
    with open_session(settings) as conn:
        assert valid_index(conn, Feature.EMBEDDING, Metric.COSINE)


def test_users_features_are_copied_and_some_held_out(
    settings: Settings, rows: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(settings, rows, indexed=False)
    with pytest.raises(UsageError, match="300 images"):
        from_library.copy_of(settings, tmp_path / "few", 1000)
    monkeypatch.setattr(from_library, "_LEAST", 100)
    copied = from_library.copy_of(settings, tmp_path / "copy", 200)
    assert (len(copied), len(copied.queries)) == (200, HELD_OUT)
    by_id = np.argsort([str(UUID(bytes=raw.tobytes())) for raw in rows.image_ids])
    for feature in Feature:
        original = rows.column(feature)[by_id]
        assert np.array_equal(copied.queries[feature], original[:HELD_OUT])
        assert np.array_equal(copied.column(feature), original[HELD_OUT : HELD_OUT + 200])


def test_all_pairs_of_feature_and_metric_are_measured(conn: Connection) -> None:
    stored = conn.execute("SELECT feature, metrics FROM imrec.feature").fetchall()
    assert sorted(stored) == sorted((feature, list(metrics)) for feature, metrics in METRICS.items())
