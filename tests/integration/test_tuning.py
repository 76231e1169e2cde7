"""What tune says of an index, and what searches then go by."""

import numpy as np
import pytest
from support import AddImage

from imrec_pg.catalogue.index import build_index
from imrec_pg.catalogue.tuning import LEAST_EF_SEARCH, summary, tune
from imrec_pg.db.connection import Connection
from imrec_pg.db.rows import value
from imrec_pg.errors import UsageError
from imrec_pg.records import Feature, Metric

NUMBER = 400
PAIR = (Feature.EMBEDDING, Metric.COSINE)


@pytest.fixture
def indexed(conn: Connection, add_image: AddImage, monkeypatch: pytest.MonkeyPatch) -> Connection:
    """So poor a graph that much is out of reach."""
    rng = np.random.default_rng(4)
    add_image.many({"name": f"{n}.jpg", "embedding": rng.random(512)} for n in range(NUMBER))
    monkeypatch.setattr("imrec_pg.catalogue.index._M", 2)
    monkeypatch.setattr("imrec_pg.catalogue.index._EF_CONSTRUCTION", 4)
    build_index(conn, *PAIR)
    return conn


def test_the_worst_tenth_and_who_finds_itself_are_measured(indexed: Connection) -> None:
    poor = tune(indexed, *PAIR, k=1, wanted=0.01, queries=NUMBER, least=1)
    assert poor.ef_search == 1
    asked = value(
        indexed,
        int,
        "SELECT count(*) FROM imrec.embedding AS e WHERE e.image_id IN (SELECT n.image_id FROM imrec.recommend("
        "imrec_internal.stored_features(ARRAY[e.image_id]), '{}', 2, method => 'approximate') AS n)",
    )
    with indexed.transaction():
        indexed.execute(
            "SELECT set_config('imrec.min_index_rows', '0', true), set_config('imrec.ef_search', '1', true)"
        )
        found = value(
            indexed,
            int,
            "SELECT count(*) FROM imrec.embedding AS e WHERE e.image_id IN (SELECT n.image_id FROM imrec.recommend("
            "imrec_internal.stored_features(ARRAY[e.image_id]), '{}', 2, method => 'approximate') AS n)",
        )
    assert asked == NUMBER  # few are all compared
    assert 0.1 < found / NUMBER < 0.95
    assert poor.self_found == pytest.approx(found / NUMBER)
    assert poor.worst_decile < poor.recall < 1
    assert f"{poor.self_found:.1%} find themselves" in summary(poor)


def test_less_than_100_is_tried_at_the_users_word_alone(indexed: Connection) -> None:
    assert tune(indexed, *PAIR, wanted=0.01, queries=20).ef_search == LEAST_EF_SEARCH
    assert tune(indexed, *PAIR, wanted=0.01, queries=20, least=40).ef_search == 40
    with pytest.raises(UsageError, match="ef_search between 1 and"):
        tune(indexed, *PAIR, least=0)


def test_recall_alone_is_not_enough_where_photos_do_not_find_themselves(indexed: Connection) -> None:
    tuned = tune(indexed, *PAIR, k=1, wanted=0.72, queries=NUMBER, least=600)
    assert tuned.self_found < 0.72 < tuned.recall
    assert tuned.ef_search == 1000
