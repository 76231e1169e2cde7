"""The nearest photos are the right ones: altered copies, orientations, NumPy brute force, plain SQL."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from e2e.command import Album, Run
from e2e.database import Features, features
from numpy.typing import NDArray

FEATURES = ["embedding", "histogram", "average_hash", "difference_hash", "perceptual_hash"]
VECTOR_METRICS = ["cosine", "euclidean", "manhattan"]
PAIRS = [
    *itertools.product(FEATURES[:2], VECTOR_METRICS),
    *itertools.product(FEATURES[2:], ["hamming"]),
]
OPERATORS = {"cosine": "<=>", "euclidean": "<->", "manhattan": "<+>", "hamming": "<~>"}
K = 20


def distances(rows: NDArray[np.float64], query: NDArray[np.float64], metric: str) -> NDArray[np.float64]:
    """Return the distance of each row to the query, by the textbook."""
    found: NDArray[np.float64]
    if metric == "cosine":
        found = 1 - rows @ query / (np.linalg.norm(rows, axis=1) * np.linalg.norm(query))
    elif metric == "euclidean":
        found = np.sqrt(((rows - query) ** 2).sum(axis=1))
    else:
        found = np.abs(rows - query).sum(axis=1)
    return found


def expected(
    stored: Features, queries: list[int], feature: str, metric: str, combine: str
) -> list[tuple[float, str]]:
    """Return (distance, id) of all images but the queries, nearest first."""
    rows = stored.rows[feature]
    chosen = rows[queries]
    if combine == "min":
        found = np.min([distances(rows, query, metric) for query in chosen], axis=0)
    elif metric == "hamming":  # the mean of hashes is no hash: the mean of the distances
        found = np.mean([distances(rows, query, metric) for query in chosen], axis=0)
    else:
        found = distances(rows, chosen.mean(axis=0), metric)
    ranked = sorted(zip(found.tolist(), stored.ids, strict=True))
    return [pair for pair in ranked if stored.ids.index(pair[1]) not in queries]


def assert_nearest(answer: list[tuple[float, str]], truth: list[tuple[float, str]], *, exactly: bool) -> None:
    """Hold an answer against all images ranked; images equally far may change places unless exactly."""
    assert len(answer) == min(K, len(truth))
    assert len({key for _, key in answer}) == len(answer)
    if exactly:
        assert answer == truth[: len(answer)]
        return
    tolerance = 1e-4 * max(1.0, truth[-1][0])
    by_rank = [distance for distance, _ in truth[: len(answer)]]
    by_id = {key: distance for distance, key in truth}
    for true in (by_rank, [by_id[key] for _, key in answer]):
        np.testing.assert_allclose([d for d, _ in answer], true, atol=tolerance, rtol=0)


def neighbours(run: Run) -> list[tuple[float, str]]:
    return [(n["distance"], n["image_id"]) for n in run.json["neighbours"]]


@pytest.fixture(scope="module")
def stored(album: Album) -> Features:
    return features(album.dsn)


@pytest.fixture(scope="module")
def paths(album: Album, stored: Features) -> list[Path]:
    """Return the file of each image, in the order of ids."""
    answer = album.run("search", album.folder / "original.png", "-k", "1000", "--include-self", "--json").json
    by_id = {n["image_id"]: Path(n["path"]) for n in answer["neighbours"]}
    return [by_id[key] for key in stored.ids]


@pytest.mark.parametrize(("feature", "metric"), PAIRS)
def test_answers_equal_brute_force(
    feature: str, metric: str, album: Album, stored: Features, paths: list[Path]
) -> None:
    asked = [(queries, combine) for queries in ([3], [11, 42]) for combine in ("mean", "min")]
    common = ["--feature", feature, "--metric", metric, "-k", str(K), "--json"]
    runs = album.run.all(
        [
            ["search", *(paths[i] for i in queries), "--combine", combine, *common]
            for queries, combine in asked
        ]
    )
    for (queries, combine), run in zip(asked, runs, strict=True):
        truth = expected(stored, queries, feature, metric, combine)
        assert_nearest(neighbours(run), truth, exactly=metric == "hamming")
        assert run.json["exact"]
        assert [query["stored"] for query in run.json["queries"]] == [True] * len(queries)


def test_psql_gives_the_same_rows_by_plain_order_by(
    album: Album, stored: Features, paths: list[Path], tmp_path: Path
) -> None:
    query = paths[7]
    script = tmp_path / "same.sql"
    script.write_text(
        "".join(
            f"SELECT '{feature}', '{metric}', image_id, {feature} {OPERATORS[metric]} "
            f"(SELECT {feature} FROM imrec.photo WHERE path = '{query}') AS distance\n"
            f"FROM imrec.photo ORDER BY {feature} {OPERATORS[metric]} "
            f"(SELECT {feature} FROM imrec.photo WHERE path = '{query}') LIMIT {K};\n"
            for feature, metric in PAIRS
        )
    )
    rows: dict[tuple[str, str], list[tuple[float, str]]] = {pair: [] for pair in PAIRS}
    for line in album.run("psql", "-qAtX", "-f", script).out.splitlines():
        feature, metric, image_id, distance = line.split("|")
        rows[feature, metric].append((float(distance), image_id))
    common = ["-k", str(K), "--include-self", "--json"]
    runs = album.run.all(
        [["search", query, "--feature", feature, "--metric", metric, *common] for feature, metric in PAIRS]
    )
    for (feature, metric), run in zip(PAIRS, runs, strict=True):
        distance_only = [distance for distance, _ in rows[feature, metric]]
        np.testing.assert_allclose([d for d, _ in neighbours(run)], distance_only, atol=1e-6)
        # Plain ORDER BY leaves ties, here all those of hashes, in any order.
        ranked = sorted(
            zip(distances(stored.rows[feature], stored.rows[feature][7], metric), stored.ids, strict=True)
        )
        truth = [(float(distance), key) for distance, key in ranked]
        assert_nearest(rows[feature, metric], truth, exactly=False)
        assert_nearest(neighbours(run), truth, exactly=False)


def test_altered_copies_come_first(album: Album) -> None:
    copies = {path.name for path in (album.folder / "copies").iterdir()}
    assert len(copies) == 4
    answer = album.run("search", album.folder / "original.png", "-k", "4", "--json").json["neighbours"]
    assert {Path(n["path"]).name for n in answer} == copies
    assert [n["rank"] for n in answer] == [1, 2, 3, 4]


@pytest.mark.parametrize("feature", FEATURES)
def test_the_eight_orientations_are_each_others_nearest(feature: str, album: Album) -> None:
    images = sorted((album.folder / "orientations").iterdir())
    runs = album.run.all(
        [["search", image, "-k", "8", "--feature", feature, "--include-self", "--json"] for image in images]
    )
    for run in runs:
        assert sorted(Path(n["path"]) for n in run.json["neighbours"]) == images
