"""The Python API, as a program uses it."""

import multiprocessing
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import numpy as np
import psycopg
import pyarrow as pa
import pytest
from PIL import Image
from support import new_database

import imrec_pg
from imrec_pg import Feature, Library

COLOURS = {"feature": "histogram"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(4)
    (tmp_path / "photos" / "2024").mkdir(parents=True)
    for i in range(12):
        pixels = rng.integers(0, 256, (30 + i, 40, 3), dtype=np.uint8)
        place = tmp_path / "photos" / ("2024" if i % 2 else ".")
        Image.fromarray(pixels).save(place / f"{i:02}.png")
    return tmp_path / "photos"


@pytest.fixture
def library(dsn: str, folder: Path) -> Iterator[Library]:
    with imrec_pg.open(dsn) as opened:
        result = opened.ingest(folder, features=["histogram", "average_hash"], workers=1)
        assert result.tally.new == 12
        yield opened


def test_everything_that_is_exported_is_there() -> None:
    for name in imrec_pg.__all__:
        assert getattr(imrec_pg, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = imrec_pg.nothing


def test_a_query_may_be_a_path_bytes_a_picture_or_an_array(library: Library, folder: Path) -> None:
    path = folder / "00.png"
    answers = [
        library.search(query, k=4, include_self=True, feature="histogram")
        for query in (path, str(path), path.read_bytes(), Image.open(path), np.asarray(Image.open(path)))
    ]
    expected = [n.image_id for n in answers[0]]
    assert answers[0][0].raw_path == os.fsencode(path)
    for answer in answers:
        assert [n.image_id for n in answer] == expected
        assert answer[0].distance == pytest.approx(0, abs=1e-6)
    assert [answer.queries[0].stored for answer in answers[:3]] == [True] * 3
    assert answers[3].queries[0].path is None


def test_a_query_may_be_an_id_or_features_that_are_known(library: Library, folder: Path) -> None:
    path, new = folder / "00.png", np.asarray(Image.open(folder / "00.png"))[::-1].copy()
    (stored,) = library.search(path, k=1, include_self=True, feature="histogram").neighbours
    by_id = library.search(stored.image_id, k=4, feature="histogram")
    assert by_id.neighbours == library.search(path, k=4, feature="histogram").neighbours
    assert library.images.get(stored.image_id).files[0].path == str(path)
    known = library.know(new, ["histogram", "average_hash"])
    assert not known.stored
    assert known.features.difference_hash is None
    for feature in ("histogram", "average_hash"):
        by_known = library.search([known, stored.image_id], k=4, feature=feature)
        assert by_known.neighbours == library.search([new, path], k=4, feature=feature).neighbours
    with pytest.raises(imrec_pg.InvalidQueryError, match="lacks difference_hash"):
        library.search(known, feature="difference_hash")
    with pytest.raises(imrec_pg.InvalidQueryError, match="lacks embedding"):
        library.search(stored.image_id)
    with pytest.raises(imrec_pg.ImageNotFoundError, match="no image 00000000"):
        library.search(UUID(int=1), feature="histogram")
    with pytest.raises(imrec_pg.InvalidQueryError, match="only the id"):
        library.embed(stored.image_id)


def test_several_queries_of_several_kinds_are_one_question(library: Library, folder: Path) -> None:
    mixed = library.search([folder / "00.png", (folder / "02.png").read_bytes()], k=3, feature="histogram")
    paths = library.search([folder / "00.png", folder / "02.png"], k=3, feature="histogram")
    assert [n.image_id for n in mixed] == [n.image_id for n in paths]
    assert len(mixed.queries) == 2


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)]
)
def test_another_array_is_refused_with_what_it_should_be(library: Library, pixels: np.ndarray) -> None:
    with pytest.raises(imrec_pg.InvalidQueryError, match=r"uint8 of shape \(height, width, 3\)"):
        library.search(pixels, feature="histogram")


def test_filters_are_keywords(library: Library, folder: Path) -> None:
    answer = library.search(
        folder / "00.png", k=20, feature="histogram", under=folder / "2024", min_height=35
    )
    names = sorted(Path(n.path).name for n in answer)
    assert names == ["05.png", "07.png", "09.png", "11.png"]
    with pytest.raises(imrec_pg.InvalidQueryError, match="no root 'elsewhere'"):
        library.search(folder / "00.png", feature="histogram", root="elsewhere")
    with pytest.raises(imrec_pg.InvalidQueryError, match="a filter has no colour"):
        library.search(folder / "00.png", feature="histogram", colour="red")  # type: ignore[call-arg]


def test_answers_are_rows_dicts_and_tables(library: Library, folder: Path) -> None:
    answer = library.search(folder / "00.png", k=3, feature="histogram")
    rows = answer.to_dicts()
    assert len(answer) == len(rows) == 3
    assert [row["rank"] for row in rows] == [1, 2, 3]
    assert rows[0]["image_id"] == str(answer[0].image_id)
    table = pa.table(answer)
    assert table.column("path").to_pylist() == [n.path for n in answer]
    fused = library.fuse(folder / "00.png", k=3, weights={"histogram": 2, "average_hash": 1})
    assert fused.to_dicts()[0]["features"]["histogram"]["rank"] == fused[0].features[Feature.HISTOGRAM].rank
    assert pa.table(fused).num_rows == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"feature": "smell"}, "no feature 'smell': choose from embedding, histogram"),
        ({"feature": "histogram", "metric": "hamming"}, "histogram has no hamming distance"),
        ({"feature": "histogram", "combine": "max"}, "no combine 'max'"),
        ({"feature": "histogram", "k": 0}, "from 1 to 1,000,000, not 0"),
    ],
)
def test_errors_can_be_caught_by_name_and_speak_of_no_command(
    library: Library, folder: Path, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(imrec_pg.InvalidQueryError, match=message) as caught:
        library.search(folder / "00.png", **arguments)  # type: ignore[arg-type]
    assert "--" not in str(caught.value)


def test_what_is_no_image_is_a_decode_error_with_its_data(library: Library) -> None:
    with pytest.raises(imrec_pg.DecodeError) as caught:
        library.search(b"no image", feature="histogram")
    assert (caught.value.path, caught.value.kind) == ("the image given as bytes", "NotAnImage")


def test_embed_gives_what_an_ingest_stores(library: Library, folder: Path, dsn: str) -> None:
    made = library.embed(folder / "00.png", ["histogram", "average_hash"])
    assert made.embedding is None
    with psycopg.connect(dsn) as other:
        stored = other.execute(
            "SELECT average_hash::text FROM imrec.average_hash AS a INNER JOIN imrec.file AS f USING (image_id) "
            "WHERE path LIKE '%/00.png'"
        ).fetchone()
    assert stored == (made.literal(Feature.AVERAGE_HASH),)


def test_threads_share_a_library(library: Library, folder: Path) -> None:
    """Each has a connection of its own: none waits for another, and transactions do not mix."""
    expected = [n.image_id for n in library.search(folder / "00.png", feature="histogram")]
    found: list[object] = []
    meeting = threading.Barrier(8)

    def search() -> None:
        try:
            meeting.wait(30)
            for _ in range(5):
                answer = library.search(folder / "00.png", feature="histogram")
                found.append([n.image_id for n in answer])
        except Exception as error:  # noqa: BLE001 - told to the test below
            found.append(error)

    threads = [threading.Thread(target=search) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 40


def search_after_fork(library: Library, path: Path, answers: "multiprocessing.Queue[str]") -> None:
    try:
        library.search(path, feature="histogram")
        answers.put("answered")
    except imrec_pg.LibraryInUseError as error:
        answers.put(str(error))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_after_fork_a_library_refuses_clearly(library: Library, folder: Path) -> None:
    context = multiprocessing.get_context("fork")
    answers: multiprocessing.Queue[str] = context.Queue()
    child = context.Process(target=search_after_fork, args=(library, folder / "00.png", answers))
    child.start()
    assert "open another one after fork()" in answers.get(timeout=60)
    child.join()
    assert len(library.search(folder / "00.png", feature="histogram")) == 5


def test_upgrade_dump_and_restore(empty_dsn: str, template: str, library: Library, tmp_path: Path) -> None:
    imrec_pg.upgrade(empty_dsn)
    with imrec_pg.open(empty_dsn) as empty:
        assert empty.status().images == 0
    library.dump(tmp_path / "library.dump")
    with new_database(template, "template1") as target:
        imrec_pg.restore(tmp_path / "library.dump", target)
        with imrec_pg.open(target) as restored:
            assert restored.status().images == 12


def test_status_says_what_is_lacking(library: Library) -> None:
    lacking = library.status().lacking
    assert (lacking[Feature.HISTOGRAM], lacking[Feature.EMBEDDING]) == (0, 12)
