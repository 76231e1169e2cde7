"""Exact searches by reduced vectors: the same rows and distances as comparing all, whatever the vectors are."""

import json
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray
from support import AddImage

from imrec_pg.analysis.reducing import reduce_all
from imrec_pg.analysis.reduction import Axes
from imrec_pg.catalogue.index import build_index
from imrec_pg.db.connection import Connection
from imrec_pg.db.rows import value, values
from imrec_pg.records import Feature, Metric

VECTORS = (Feature.EMBEDDING, Feature.HISTOGRAM)
PAIRS = [
    ("embedding", "cosine"),
    ("embedding", "euclidean"),
    ("histogram", "cosine"),
    ("histogram", "euclidean"),
    ("histogram", "manhattan"),
]
NUMBER = 400


def histograms(rng: np.random.Generator, number: int) -> NDArray[np.float64]:
    rows = rng.gamma(0.05, size=(number, 512)) + 1e-9
    return np.asarray(rows / rows.sum(axis=1, keepdims=True))


def ordinary(rng: np.random.Generator, number: int) -> NDArray[np.float64]:
    """Vectors that vary in a dozen directions, and a little in all others."""
    directions = np.random.default_rng(1).normal(size=(12, 512))
    return np.asarray(
        np.abs(rng.normal(size=(number, 12)) @ directions + 0.1 * rng.normal(size=(number, 512)))
    )


def strange() -> list[NDArray[np.float64]]:
    """Vectors that are equal, huge, tiny, sparse, opposite, or beyond what half precision holds."""
    rng = np.random.default_rng(5)
    one = np.abs(rng.normal(size=512))
    sparse = np.zeros(512)
    sparse[7] = 1
    return [
        *([one] * 40),
        *(one * scale for scale in (1e18, 1e12, 70_000, 1e-6, 1e-12, 1e-18, 3e-23)),
        sparse,
        sparse * 1e-38,
        sparse * 3e38,
        -one,
        np.full(512, 1e-40),  # subnormal in single precision
        np.where(np.arange(512) == 3, 3e18, 1e-3),
    ]


def add(conn: Connection, prefix: str, embeddings: Iterable[Any], hists: Iterable[Any]) -> list[UUID]:
    adder = AddImage(conn)
    rng = np.random.default_rng(list(prefix.encode()))
    return [
        stored.image_id
        for stored in adder.many(
            {
                "name": f"{prefix}/{n}.jpg",
                "embedding": embedding,
                "histogram": histogram,
                "image_id": UUID(bytes=rng.bytes(16)),
            }
            for n, (embedding, histogram) in enumerate(zip(embeddings, hists, strict=True))
        )
    ]


def fill(conn: Connection) -> list[UUID]:
    """Store ordinary images and strange ones; return the ids."""
    rng = np.random.default_rng(3)
    odd = strange()
    return add(
        conn,
        "trips/a",
        [*ordinary(rng, NUMBER), *odd],
        [*histograms(rng, NUMBER), *(np.abs(row) for row in odd)],
    )


def answer(conn: Connection, *arguments: object, **options: object) -> list[tuple[UUID, float, str]]:
    named = "".join(f", {name} => %({name})s" for name in options)
    places = ", ".join(f"%(p{number})s" for number in range(len(arguments)))
    return conn.execute(  # type: ignore[return-value]
        f"SELECT image_id, distance, certainty FROM imrec.recommend({places}{named})",
        {f"p{number}": value for number, value in enumerate(arguments)} | options,
    ).fetchall()


def both(conn: Connection, *arguments: object, **options: object) -> list[tuple[UUID, float, str]]:
    """Return the answer by reduced vectors, which must be the one without."""
    conn.execute("UPDATE imrec.reduction SET complete = false")
    plain = answer(conn, *arguments, **options)
    conn.execute("UPDATE imrec.reduction SET complete = true")
    by_reduced = answer(conn, *arguments, **options)
    assert by_reduced == plain or str(by_reduced) == str(plain)  # NaN is not equal to itself
    assert {certainty for _, _, certainty in by_reduced} <= {"exact"}
    return by_reduced


def compared(conn: Connection, table: str) -> int:
    """How many rows of a table were read by key or in a scan by this session so far."""
    return value(
        conn,
        int,
        "SELECT pg_catalog.pg_stat_get_xact_tuples_returned(%(table)s::regclass) + "
        "coalesce((SELECT sum(pg_catalog.pg_stat_get_xact_tuples_returned(x.indexrelid)) "
        "FROM pg_catalog.pg_index AS x WHERE x.indrelid = %(table)s::regclass), 0)::bigint",
        {"table": table},
    )


def reduced_ids(conn: Connection, feature: Feature) -> set[UUID]:
    """The images that are in blocks, or have a row of their own."""
    query = (
        f"SELECT image_id FROM imrec.{feature}_reduced "
        f"UNION ALL SELECT unnest(image_ids) FROM imrec.{feature}_block"
    )
    return set(values(conn, UUID, query))


@pytest.fixture
def ids(conn: Connection) -> list[UUID]:
    stored = fill(conn)
    assert set(reduce_all(conn, least=1)) == set(VECTORS)
    return stored


def test_answers_are_those_of_comparing_all(conn: Connection, ids: list[UUID]) -> None:
    rng = np.random.default_rng(8)
    chosen = [*rng.choice(NUMBER, 5), *range(NUMBER + 39, len(ids))]
    for feature, metric in PAIRS:
        for number in chosen:
            for k in (1, 60):
                both(conn, [ids[number]], [], k, feature, metric)


@pytest.mark.parametrize(("feature", "metric"), PAIRS[::2])
def test_so_are_those_to_several_likes_and_dislikes_within_filters(
    conn: Connection, ids: list[UUID], feature: str, metric: str
) -> None:
    rng = np.random.default_rng(9)
    for combine in ("mean", "min"):
        for likes, dislikes in ((3, 0), (2, 2), (1, 5)):
            chosen = [ids[number] for number in rng.choice(NUMBER, likes + dislikes, replace=False)]
            question = (chosen[:likes], chosen[likes:], 20, feature, metric, combine)
            both(conn, *question)
            conn.execute("SET imrec.few_images = 0")
            both(conn, *question, among=[ids[number] for number in range(0, len(ids), 2)])
            conn.execute("RESET imrec.few_images")


def test_few_are_compared_by_their_whole_vectors(conn: Connection, ids: list[UUID]) -> None:
    add(
        conn,
        "more",
        ordinary(np.random.default_rng(30), 1_500),
        histograms(np.random.default_rng(31), 1_500),
    )
    reduce_all(conn, least=1)
    conn.execute("ANALYZE imrec.embedding")
    with conn.transaction():
        before = compared(conn, "imrec.embedding")
        answer(conn, [ids[1]], [], 5)
        assert compared(conn, "imrec.embedding") - before < 700
    conn.execute("UPDATE imrec.reduction SET complete = false")
    with conn.transaction():
        before = compared(conn, "imrec.embedding")
        answer(conn, [ids[1]], [], 5)
        assert compared(conn, "imrec.embedding") - before > 1_900


def test_with_an_index_the_answer_is_exact_still(conn: Connection, ids: list[UUID]) -> None:
    build_index(conn, Feature.EMBEDDING, Metric.COSINE)
    for number in (0, 5, NUMBER, NUMBER + 50):
        both(conn, [ids[number]], [], 10)
        both(conn, [ids[number]], [ids[3], ids[4]], 10, combine="min")


def test_as_many_as_take_60_ms_are_compared_and_more_are_asked_of_the_index(
    conn: Connection, ids: list[UUID]
) -> None:
    build_index(conn, Feature.EMBEDDING, Metric.COSINE)
    conn.execute("ANALYZE imrec.embedding")
    assert value(conn, int, "SELECT exact_images FROM imrec.reduction WHERE feature = 'embedding'") >= 5_000
    assert answer(conn, [ids[0]], [], 5)[0][2] == "exact"
    conn.execute("UPDATE imrec.reduction SET exact_images = 10")
    assert answer(conn, [ids[0]], [], 5)[0][2] == "approximate"
    assert answer(conn, [ids[0]], [], 5, method="exact")[0][2] == "exact"


@pytest.mark.parametrize("feature", VECTORS)
def test_numpy_and_sql_reduce_alike(conn: Connection, ids: list[UUID], feature: Feature) -> None:
    """What is in blocks was reduced by NumPy; now all is by SQL."""
    blocks: list[Any] = conn.execute(
        f"SELECT image_ids, reduced::text, sums::text, least_norm, largest_norm FROM imrec.{feature}_block".encode()
    ).fetchall()
    by_numpy = {}
    for images, *halves, least, largest in blocks:
        parts = [json.loads(str(values)) if values else [] for values in halves]
        for number, image in enumerate(images):
            pieces = [np.reshape(values, (len(images), -1))[number] if values else None for values in parts]
            by_numpy[image] = (*pieces, least, largest)
    assert len(ids) - len(strange()) - 32 < len(by_numpy) < len(ids)
    conn.execute(f"DELETE FROM imrec.{feature}_reduced".encode())
    conn.execute(f"DELETE FROM imrec.{feature}_block".encode())
    conn.execute("SELECT imrec_internal.reduce_images(NULL)")
    by_sql: list[Any] = conn.execute(
        f"SELECT image_id, reduced::text, sums::text, norm FROM imrec.{feature}_reduced".encode()
    ).fetchall()
    assert {row[0] for row in by_sql} == set(ids)
    for image, reduced, sums, norm in by_sql:
        if image in by_numpy:
            left, right, least, largest = by_numpy[image]
            np.testing.assert_allclose(json.loads(str(reduced)), left, atol=2e-3)
            assert (sums is None) == (right is None)
            if sums:
                np.testing.assert_allclose(json.loads(str(sums)), right, atol=2e-3)
            assert least <= norm <= largest


def test_distances_of_reduced_vectors_are_lower_bounds() -> None:
    rng = np.random.default_rng(2)
    rows = ordinary(rng, 200)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    _, _, directions = np.linalg.svd(unit - unit.mean(axis=0))
    for dims in (1, 5, 100):
        axes = Axes(unit.mean(axis=0), directions[:dims], np.zeros((0, 512)))
        reduced = axes.reduce(rows.astype(np.float32))[0].astype(np.float64)
        lower = np.linalg.norm(reduced[:, None] - reduced[None], axis=2)
        true = np.linalg.norm(unit[:, None] - unit[None], axis=2)
        assert (lower <= true + 0.004).all()


def test_photos_that_come_later_change_or_go_are_in_the_answers_at_once(
    conn: Connection, ids: list[UUID]
) -> None:
    rng = np.random.default_rng(12)
    new = ordinary(rng, 30)
    later = add(conn, "later", [*new, new[0]], histograms(rng, 31))
    found = both(conn, [later[0]], [], 3)
    assert later[30] in [image for image, _, _ in found]
    assert found[0][1] == pytest.approx(0, abs=1e-6)
    conn.execute("DELETE FROM imrec.file WHERE image_id = %s", (later[30],))
    conn.execute("DELETE FROM imrec.image WHERE image_id = %s", (later[30],))
    assert later[30] not in [image for image, _, _ in both(conn, [later[0]], [], 3)]
    assert reduced_ids(conn, Feature.EMBEDDING) == {*ids, *later[:30]}


def test_photos_stored_while_vectors_are_reduced_are_not_forgotten(conn: Connection) -> None:
    fill(conn)
    rng = np.random.default_rng(21)
    steps: list[str] = []

    def store_more(step: str, _done: int, _total: int | None) -> None:
        steps.append(step)
        add(conn, f"during/{len(steps)}", ordinary(rng, 3), histograms(rng, 3))

    reduce_all(conn, store_more, least=1)
    assert len(steps) >= 4
    for feature in VECTORS:
        stored = set(values(conn, UUID, f"SELECT image_id FROM imrec.{feature}"))
        assert reduced_ids(conn, feature) == stored


def test_what_broke_off_is_taken_up_and_answers_are_right_meanwhile(conn: Connection) -> None:
    ids = fill(conn)

    def stop(step: str, done: int, _total: int | None) -> None:
        if "histogram" in step and done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reduce_all(conn, stop, least=1)
    assert conn.execute("SELECT feature, complete FROM imrec.reduction ORDER BY 1").fetchall() == [
        ("embedding", True),
        ("histogram", False),
    ]
    halfway = answer(conn, [ids[0]], [], 10, "histogram")
    assert reduce_all(conn, least=1) == [Feature.HISTOGRAM]
    assert answer(conn, [ids[0]], [], 10, "histogram") == halfway
    in_blocks = values(conn, UUID, "SELECT unnest(image_ids) FROM imrec.histogram_block")
    assert len(in_blocks) == len(set(in_blocks)) > 0
    assert reduce_all(conn, least=1) == []


def test_directions_are_found_again_when_the_library_has_doubled(conn: Connection, ids: list[UUID]) -> None:
    rng = np.random.default_rng(14)
    add(conn, "more", ordinary(rng, len(ids) + 5), histograms(rng, len(ids) + 5))
    assert set(reduce_all(conn, least=1)) == set(VECTORS)
    both(conn, [ids[0]], [], 10)


def test_rows_of_later_photos_become_blocks(
    conn: Connection, ids: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(16)
    later = add(conn, "later", ordinary(rng, 70), histograms(rng, 70))
    again = ids[3]  # in a block, and written again with another vector
    conn.execute(
        "UPDATE imrec.embedding SET embedding = (SELECT embedding FROM imrec.embedding WHERE image_id = %s) "
        "WHERE image_id = %s",
        (later[1], again),
    )
    conn.execute("SELECT imrec_internal.reduce_images(%s)", ([again],))
    answers = [both(conn, [later[0]], [], 20), both(conn, [later[1]], [], 20)]
    assert answers[1][0][0] == again
    monkeypatch.setattr("imrec_pg.analysis.blocks.UNMERGED", 30)
    blocks = value(conn, int, "SELECT count(*) FROM imrec.embedding_block")
    assert reduce_all(conn, least=1) == []
    assert value(conn, int, "SELECT count(*) FROM imrec.embedding_reduced WHERE reduced IS NOT NULL") < 30
    assert value(conn, int, "SELECT count(*) FROM imrec.embedding_block") > blocks
    assert [both(conn, [later[0]], [], 20), both(conn, [later[1]], [], 20)] == answers
    assert reduced_ids(conn, Feature.HISTOGRAM) == {*ids, *later}


def test_directions_are_found_again_when_half_the_library_is_gone(conn: Connection, ids: list[UUID]) -> None:
    gone = ids[: len(ids) // 2 + 5]
    conn.execute("DELETE FROM imrec.file WHERE image_id = ANY (%s)", (gone,))
    conn.execute("DELETE FROM imrec.image WHERE image_id = ANY (%s)", (gone,))
    both(conn, [ids[-30]], [], 10)
    assert set(reduce_all(conn, least=1)) == set(VECTORS)
    assert reduced_ids(conn, Feature.EMBEDDING) == set(ids) - set(gone)


def test_few_photos_have_no_reduction(conn: Connection) -> None:
    fill(conn)
    assert reduce_all(conn) == []
    assert conn.execute("SELECT count(*) FROM imrec.reduction").fetchone() == (0,)


def test_equal_photos_alone(conn: Connection) -> None:
    one = np.ones(512)
    ids = add(conn, "same", [one] * 30, [one / 512] * 30)
    reduce_all(conn, least=1)
    for feature, metric in PAIRS:
        found = both(conn, [ids[4]], [], 10, feature, metric)
        assert [image for image, _, _ in found] == sorted(set(ids) - {ids[4]}, key=lambda key: key.bytes)[:10]


@pytest.mark.usefixtures("ids")
def test_vectors_beyond_what_can_be_computed_have_no_bound(conn: Connection) -> None:
    unbounded = value(conn, int, "SELECT count(*) FROM imrec.embedding_reduced WHERE reduced IS NULL")
    assert 0 < unbounded < len(strange())


def test_explain_shows_how_candidates_are_found(conn: Connection, ids: list[UUID]) -> None:
    lines = conn.execute(
        "SELECT imrec_internal.explain(imrec_internal.stored_features(ARRAY[%s::uuid]), '{}', 'embedding', "
        "'cosine', 5, 'mean', '{}', '{}', NULL, 'auto')",
        (ids[0],),
    ).fetchall()
    assert "embedding_block" in str(lines)
