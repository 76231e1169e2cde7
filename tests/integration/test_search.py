"""Answers against NumPy brute force, and against plain ORDER BY in SQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray
from support import AddImage, at_angle

from imrec_pg.catalogue.index import build_index, index_name, valid_index
from imrec_pg.db.connection import Connection
from imrec_pg.errors import InvalidQueryError, UsageError
from imrec_pg.records import Certainty, Combine, Feature, Features, Metric
from imrec_pg.search import Neighbour, ranking

VECTOR_METRICS = (Metric.COSINE, Metric.EUCLIDEAN, Metric.MANHATTAN)
PAIRS = [
    (feature, metric)
    for feature in Feature
    for metric in ((Metric.HAMMING,) if feature.is_hash else VECTOR_METRICS)
]
OPERATORS = {"cosine": "<=>", "euclidean": "<->", "manhattan": "<+>", "hamming": "<~>"}


@pytest.fixture
def always_index(conn: Connection) -> None:
    """Take the index on small tables too."""
    conn.execute("SET imrec.min_index_rows = 0")


@dataclass(frozen=True)
class Ranked:
    neighbours: list[Neighbour]
    certainty: Certainty

    @property
    def exact(self) -> bool:
        return self.certainty is Certainty.EXACT


def rank(
    conn: Connection, queries: Sequence[object], feature: Feature, metric: Metric, k: int, **how: Any
) -> Ranked:
    likes = [Features.of(feature, query) for query in queries]  # type: ignore[arg-type]
    return Ranked(*ranking.recommend(conn, likes, feature, metric, k=k, **how))


def brute_force(queries: Sequence[object], rows: NDArray[np.generic], metric: Metric) -> NDArray[np.float64]:
    """Return the distance of each row to each query, by the textbook, in float64."""
    x = rows.astype(np.float64)
    distances = []
    for query in queries:
        q = np.asarray(query, dtype=np.float64)
        match metric:
            case Metric.COSINE:
                d = 1 - (x @ q) / (np.linalg.norm(x, axis=1) * np.linalg.norm(q))
            case Metric.EUCLIDEAN:
                d = np.sqrt(((x - q) ** 2).sum(axis=1))
            case Metric.MANHATTAN | Metric.HAMMING:
                d = np.abs(x - q).sum(axis=1)
        distances.append(d)
    return np.stack(distances)


def bits(hashes: Sequence[bytes]) -> NDArray[np.uint8]:
    return np.unpackbits(np.frombuffer(b"".join(hashes), dtype=np.uint8).reshape(-1, 8), axis=1)


@pytest.fixture
def library(add_image: AddImage) -> dict[Feature, object]:
    """Store 120 images with random features; return those features by kind."""
    rng = np.random.default_rng(7)
    vectors = rng.normal(size=(120, 512)).astype(np.float32)
    colours = rng.random((120, 512)).astype(np.float32)
    # Few distinct hashes, so that there are ties.
    hashes = [bytes([int(b)] * 4 + [0] * 4) for b in rng.integers(0, 20, size=120)]
    add_image.many(
        {
            "name": f"{i:03}.jpg",
            "embedding": vectors[i],
            "histogram": colours[i],
            "average_hash": hashes[i],
            "difference_hash": hashes[-1 - i],
            "perceptual_hash": hashes[(i + 60) % 120],
        }
        for i in range(120)
    )
    return {
        Feature.EMBEDDING: vectors,
        Feature.HISTOGRAM: colours,
        Feature.AVERAGE_HASH: hashes,
        Feature.DIFFERENCE_HASH: hashes[::-1],
        Feature.PERCEPTUAL_HASH: hashes[60:] + hashes[:60],
    }


def as_rows(features: object) -> NDArray[np.generic]:
    return bits(features) if isinstance(features, list) else np.asarray(features)


@pytest.mark.parametrize(("feature", "metric"), PAIRS)
@pytest.mark.parametrize("combine", list(Combine))
@pytest.mark.parametrize("number", [1, 3])
def test_answers_equal_brute_force(
    conn: Connection,
    library: dict[Feature, object],
    feature: Feature,
    metric: Metric,
    combine: Combine,
    number: int,
) -> None:
    stored = library[feature]
    queries = stored[:number]  # type: ignore[index]
    rows = as_rows(stored)
    query_rows = list(rows[:number])
    if combine is Combine.MIN:
        expected = brute_force(query_rows, rows, metric).min(axis=0)
    elif metric is Metric.HAMMING:
        expected = brute_force(query_rows, rows, metric).mean(axis=0)
    else:
        mean = np.mean(np.stack(query_rows), axis=0, dtype=np.float64)
        expected = brute_force([mean], rows, metric)[0]
    ranked = np.lexsort((np.arange(120), expected.round(5)))
    order = [int(i) for i in ranked if i >= number][:40]

    answer = rank(
        conn,
        list(queries),
        feature,
        metric,
        40,
        combine=combine,
        exclude=[UUID(int=i + 1) for i in range(number)],
    )
    assert answer.exact
    assert [n.distance for n in answer.neighbours] == pytest.approx(list(expected[order]), abs=1e-4)
    if metric is Metric.HAMMING:
        assert [n.image_id.int - 1 for n in answer.neighbours] == order  # ties go by id
    else:
        assert {n.image_id.int - 1 for n in answer.neighbours} == set(order)


@pytest.mark.parametrize(("feature", "metric"), PAIRS)
def test_plain_order_by_on_the_view_gives_the_same_distances(
    conn: Connection, library: dict[Feature, object], feature: Feature, metric: Metric
) -> None:
    query = library[feature][0]  # type: ignore[index]
    answer = rank(conn, [query], feature, metric, 30)
    column, operator = str(feature), OPERATORS[metric]
    distance = f"{column} {operator} (SELECT {column} FROM imrec.photo WHERE path = '/photos/000.jpg')"
    rows = conn.execute(f"SELECT path, {distance} FROM imrec.photo ORDER BY {distance} LIMIT 30").fetchall()
    assert [float(str(row[1])) for row in rows] == pytest.approx([n.distance for n in answer.neighbours])
    if metric is not Metric.HAMMING:
        assert [row[0] for row in rows] == [n.path for n in answer.neighbours]


def test_the_metrics_by_hand(conn: Connection, add_image: AddImage) -> None:
    add_image("right.jpg", embedding=at_angle(90), average_hash=b"\xff" + bytes(7))
    query = at_angle(0).astype(np.float32)
    distances = {
        metric: rank(conn, [query], Feature.EMBEDDING, metric, 1).neighbours[0].distance
        for metric in VECTOR_METRICS
    }
    assert distances == pytest.approx({"cosine": 1.0, "euclidean": 2**0.5, "manhattan": 2.0}, abs=1e-6)
    (neighbour,) = rank(conn, [b"\x0f" + bytes(7)], Feature.AVERAGE_HASH, Metric.HAMMING, 1).neighbours
    assert neighbour.distance == 4


def test_k_beyond_ef_search_is_filled(conn: Connection, add_image: AddImage, always_index: None) -> None:
    """k = 100 gives 100 rows, though HNSW by default stops at 40."""
    del always_index
    ids = [add_image(f"{a}.jpg", embedding=at_angle(a / 2)).image_id for a in range(101)]
    build_index(conn, Feature.EMBEDDING, Metric.COSINE)
    query = at_angle(0).astype(np.float32)
    answer = rank(conn, [query], Feature.EMBEDDING, Metric.COSINE, 100, exclude=ids[:1])
    assert answer.certainty is Certainty.APPROXIMATE
    assert [n.image_id for n in answer.neighbours] == ids[1:]


def test_an_index_that_comes_up_short_is_made_up_for_by_the_scan(
    conn: Connection, add_image: AddImage, always_index: None
) -> None:
    del always_index
    for a in range(30):
        add_image(f"{a}.jpg", embedding=at_angle(a))
    build_index(conn, Feature.EMBEDDING, Metric.COSINE)
    query = at_angle(0).astype(np.float32)
    answer = rank(conn, [query], Feature.EMBEDDING, Metric.COSINE, 50)
    assert len(answer.neighbours) == 30
    assert answer.exact


def test_min_of_several_queries_uses_the_index_for_each(
    conn: Connection, add_image: AddImage, always_index: None
) -> None:
    del always_index
    ids = [add_image(f"{a}.jpg", embedding=at_angle(a)).image_id for a in range(91)]
    build_index(conn, Feature.EMBEDDING, Metric.COSINE)
    queries = [at_angle(0).astype(np.float32), at_angle(90).astype(np.float32)]
    answer = rank(conn, queries, Feature.EMBEDDING, Metric.COSINE, 4, combine=Combine.MIN)
    assert answer.certainty is Certainty.APPROXIMATE
    assert {n.image_id for n in answer.neighbours} == {ids[0], ids[1], ids[89], ids[90]}


def test_exact_never_takes_the_index(conn: Connection, add_image: AddImage, always_index: None) -> None:
    del always_index
    for a in range(30):
        add_image(f"{a}.jpg", embedding=at_angle(a))
    build_index(conn, Feature.EMBEDDING, Metric.COSINE)
    query = at_angle(0).astype(np.float32)
    assert rank(conn, [query], Feature.EMBEDDING, Metric.COSINE, 5, exact=True).exact


def test_a_small_table_is_answered_exactly_though_it_has_an_index(
    conn: Connection, add_image: AddImage
) -> None:
    add_image("a.jpg")
    build_index(conn, Feature.EMBEDDING, Metric.COSINE)
    query = at_angle(0).astype(np.float32)
    assert rank(conn, [query], Feature.EMBEDDING, Metric.COSINE, 1).exact


def test_copies_are_one_row_that_tells_how_many(conn: Connection, add_image: AddImage) -> None:
    key = add_image("b.jpg", embedding=at_angle(0)).image_id
    add_image("a.jpg", embedding=at_angle(0), image_id=key)
    query = at_angle(0).astype(np.float32)
    (neighbour,) = rank(conn, [query], Feature.EMBEDDING, Metric.COSINE, 5).neighbours
    assert (neighbour.path, neighbour.raw_path, neighbour.copies) == ("/photos/a.jpg", b"/photos/a.jpg", 2)


def test_the_natural_query_in_psql_uses_the_hnsw_index(conn: Connection, add_image: AddImage) -> None:
    for a in range(200):
        add_image(f"{a}.jpg", embedding=at_angle(a / 3))
    build_index(conn, Feature.EMBEDDING, Metric.COSINE)
    for table in ("image", "file", *Feature):
        conn.execute(f"ANALYZE imrec.{table}")
    query = (
        "SELECT path FROM imrec.photo ORDER BY embedding <=> "
        "(SELECT embedding FROM imrec.photo WHERE path = '/photos/7.jpg') LIMIT 5"
    )
    plan = "\n".join(str(row[0]) for row in conn.execute(f"EXPLAIN {query}"))
    assert "Index Scan using embedding_cosine_hnsw" in plan
    assert "Sort" not in plan
    assert next(row[0] for row in conn.execute(query)) == "/photos/7.jpg"


def test_pairs_that_make_no_sense_are_refused_with_those_that_do(conn: Connection) -> None:
    with pytest.raises(InvalidQueryError, match=r"average_hash has no cosine distance\. .*: hamming"):
        rank(conn, [bytes(8)], Feature.AVERAGE_HASH, Metric.COSINE, 5)
    with pytest.raises(InvalidQueryError, match="cosine, euclidean, manhattan"):
        rank(conn, [at_angle(0).astype(np.float32)], Feature.EMBEDDING, Metric.HAMMING, 5)
    assert ranking.default_metric(conn, Feature.DIFFERENCE_HASH) is Metric.HAMMING


@pytest.mark.parametrize("k", [0, -1, 10**9])
def test_k_out_of_range_is_refused(conn: Connection, k: int) -> None:
    with pytest.raises(InvalidQueryError, match="from 1 to"):
        rank(conn, [bytes(8)], Feature.AVERAGE_HASH, Metric.HAMMING, k)


def test_an_index_left_by_a_broken_build_is_not_used_and_is_built_anew(
    conn: Connection, add_image: AddImage
) -> None:
    add_image("a.jpg")
    build_index(conn, Feature.EMBEDDING, Metric.COSINE)
    name = index_name(Feature.EMBEDDING, Metric.COSINE)
    conn.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass(%s)", (f"imrec.{name}",)
    )
    assert valid_index(conn, Feature.EMBEDDING, Metric.COSINE) is None
    assert build_index(conn, Feature.EMBEDDING, Metric.COSINE)
    assert valid_index(conn, Feature.EMBEDDING, Metric.COSINE) == name
    assert not build_index(conn, Feature.EMBEDDING, Metric.COSINE)


def test_hashes_get_no_hnsw_index(conn: Connection) -> None:
    with pytest.raises(UsageError, match="exactly"):
        build_index(conn, Feature.AVERAGE_HASH, Metric.HAMMING)
