"""What doctor says of an index that finds too little."""

import numpy as np
import pytest
from support import AddImage, settings_for

from imrec_pg.catalogue.index import build_index
from imrec_pg.db.connection import Connection
from imrec_pg.doctor import Finding, Level, examine, indexes
from imrec_pg.records import Feature, Metric

TUNE = (
    "INSERT INTO imrec.tuning (feature, metric, ef_search, k, wanted, recall, worst_decile, self_found, p50_ms, "
    "queries, images) VALUES ('embedding', 'cosine', 1000, 10, 0.99, %s, 0.9, %s, 1, 500, 5000) "
    "ON CONFLICT (feature, metric) DO UPDATE SET recall = excluded.recall, self_found = excluded.self_found"
)


def findings(conn: Connection, check: str, *, full: bool = False) -> list[Finding]:
    found = examine(settings_for(conn.info.dsn), full=full)
    return [finding for finding in found if finding.check == check]


@pytest.fixture
def indexed(conn: Connection, add_image: AddImage) -> Connection:
    add_image("a.jpg")
    build_index(conn, Feature.EMBEDDING, Metric.COSINE)
    return conn


def test_a_recall_under_the_one_asked_for_is_a_warning(indexed: Connection) -> None:
    indexed.execute(TUNE, (0.995, 1))
    assert [finding.level for finding in findings(indexed, "recall")] == [Level.OK]
    indexed.execute(TUNE, (0.951, 1))
    (found,) = findings(indexed, "recall")
    assert found.level is Level.WARNING
    assert "finds 0.951 of the 10 nearest" in found.what
    assert "0.99 was asked for" in found.what
    assert "--exact" in found.fix
    indexed.execute(TUNE, (0.995, 0.4))
    (found,) = findings(indexed, "recall")
    assert (found.level, "40.0% of the photos find themselves" in found.what) == (Level.WARNING, True)
    indexed.execute("DROP INDEX imrec.embedding_cosine_hnsw")
    assert [finding.level for finding in findings(indexed, "recall")] == [Level.OK]


def test_a_thousand_equal_vectors_are_a_warning(
    indexed: Connection, add_image: AddImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    rows = [rng.random(512) for _ in range(200)] + [np.ones(512)] * 999
    add_image.many({"name": f"{n}.jpg", "embedding": row} for n, row in enumerate(rows))
    assert [finding.level for finding in findings(indexed, "equal-vectors")] == [Level.OK]
    add_image("one more.jpg", embedding=np.ones(512))
    (found,) = findings(indexed, "equal-vectors")
    assert (found.level, found.what) == (Level.WARNING, "1,000 rows of imrec.embedding are equal")
    # Of a large table a sample is enough.
    monkeypatch.setattr(indexes, "_SAMPLE", 600)
    monkeypatch.setattr(indexes, "_MANY_EQUAL", 500)
    indexed.execute("ANALYZE imrec.embedding")
    (found,) = findings(indexed, "equal-vectors")
    assert found.what.startswith("about ")
    assert [f.what for f in findings(indexed, "equal-vectors", full=True)] == [
        "1,000 rows of imrec.embedding are equal"
    ]
