"""Batches: all or nothing, idempotent, and safe beside other writers."""

import threading
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import numpy as np
import pytest
from support import AddImage

from imrec_pg.catalogue import files as catalogue_files
from imrec_pg.catalogue.files import Lacking
from imrec_pg.catalogue.model import check_model, claim_model
from imrec_pg.catalogue.roots import add_root, roots_here
from imrec_pg.catalogue.status import status
from imrec_pg.db.connection import Connection
from imrec_pg.db.session import open_session
from imrec_pg.errors import ModelMismatchError
from imrec_pg.extraction import wanted
from imrec_pg.ingest import write
from imrec_pg.ingest.find import root_of
from imrec_pg.ingest.write import Merged, write_batch
from imrec_pg.paths import file_id
from imrec_pg.records import (
    FailedFile,
    Feature,
    Features,
    FoundFile,
    ImageInfo,
    ModelIdentity,
    StoredImage,
    Wanted,
)
from imrec_pg.settings import Settings

ROOT = root_of(b"/photos")
TABLES = ("image", "file", *Feature, "failure")


@pytest.fixture(autouse=True)
def _root(conn: Connection) -> None:
    add_root(conn, ROOT)


def a_file(name: str, mtime_ns: int = 1) -> FoundFile:
    relative = name.encode()
    return FoundFile(
        ROOT.root_id, file_id(ROOT.root_id, relative), relative, b"/photos/" + relative, 9, mtime_ns
    )


def an_image(number: int, *names: str) -> StoredImage:
    key = UUID(int=number)
    row = np.full(512, 1.0, dtype=np.float32)
    row[number % 512] += 1
    hashes = {str(feature): bytes(8) for feature in Feature if feature.is_hash}
    features = Features(embedding=row, histogram=row / row.sum(), **hashes)
    info = ImageInfo(key, 9, 4, 3, "JPEG", None, None, None)
    return StoredImage(key, info, tuple(a_file(name) for name in names), features)


def counts(conn: Connection) -> dict[str, int]:
    found = {}
    for table in TABLES:
        row = conn.execute(f"SELECT count(*) FROM imrec.{table}").fetchone()
        assert row is not None
        found[table] = int(str(row[0]))
    return found


def image_at(conn: Connection, name: str) -> object:
    row = conn.execute("SELECT image_id FROM imrec.file WHERE path = %s", (f"/photos/{name}",)).fetchone()
    return row and row[0]


def test_a_batch_is_stored_and_a_replay_changes_nothing(conn: Connection) -> None:
    batch = [an_image(1, "a.jpg"), an_image(2, "b.jpg", "c.jpg")]
    assert write_batch(conn, batch) == Merged(new=2, duplicates=1, replaced=0)
    before = counts(conn)
    assert before == {"image": 2, "file": 3, "failure": 0} | dict.fromkeys(Feature, 2)
    assert write_batch(conn, batch) == Merged(new=0, duplicates=0, replaced=0)
    assert counts(conn) == before


def test_the_same_content_elsewhere_costs_one_row(conn: Connection) -> None:
    write_batch(conn, [an_image(1, "a.jpg")])
    known = StoredImage(UUID(int=1), None, (a_file("copy.jpg"),), Features())
    assert write_batch(conn, [known]) == Merged(new=0, duplicates=1, replaced=0)
    assert counts(conn)["image"] == 1
    assert counts(conn)["file"] == 2


def test_a_changed_file_replaces_its_old_row_and_the_image_nobody_holds_any_more(conn: Connection) -> None:
    write_batch(conn, [an_image(1, "a.jpg")])
    assert write_batch(conn, [an_image(2, "a.jpg")]) == Merged(new=1, duplicates=0, replaced=1)
    assert image_at(conn, "a.jpg") == UUID(int=2)
    assert counts(conn) == {"image": 1, "file": 1, "failure": 0} | dict.fromkeys(Feature, 1)


def test_an_image_that_another_file_still_holds_stays(conn: Connection) -> None:
    write_batch(conn, [an_image(1, "a.jpg", "b.jpg")])
    write_batch(conn, [an_image(2, "a.jpg")])
    assert image_at(conn, "b.jpg") == UUID(int=1)
    assert counts(conn)["image"] == 2


def test_two_files_that_swap_names_keep_both_images(conn: Connection) -> None:
    write_batch(conn, [an_image(1, "a.jpg"), an_image(2, "b.jpg")])
    write_batch(conn, [an_image(1, "b.jpg"), an_image(2, "a.jpg")])
    assert (image_at(conn, "a.jpg"), image_at(conn, "b.jpg")) == (UUID(int=2), UUID(int=1))
    assert counts(conn)["image"] == 2


def test_a_failure_is_counted_up_and_forgotten_when_the_file_is_read(conn: Connection) -> None:
    failed = FailedFile(a_file("a.jpg"), None, "Unreadable", "Permission denied")
    write_batch(conn, [], [failed])
    write_batch(conn, [], [failed])
    (failure,) = catalogue_files.failures(conn, roots_here(conn, ""))
    assert (failure.path, failure.error_class, failure.attempts) == ("/photos/a.jpg", "Unreadable", 2)
    write_batch(conn, [an_image(1, "a.jpg")])
    assert catalogue_files.failures(conn, roots_here(conn, "")) == []


def test_a_file_whose_new_bytes_are_no_image_leaves_its_old_image(conn: Connection) -> None:
    write_batch(conn, [an_image(1, "a.jpg")])
    write_batch(conn, [], [FailedFile(a_file("a.jpg", 2), UUID(int=7), "Truncated", "ends early")])
    assert counts(conn)["image"] == 0
    assert counts(conn)["failure"] == 1


def test_a_file_that_cannot_be_opened_keeps_what_is_known_of_it(conn: Connection) -> None:
    write_batch(conn, [an_image(1, "a.jpg")])
    write_batch(conn, [], [FailedFile(a_file("a.jpg", 2), None, "Unreadable", "I/O error")])
    assert image_at(conn, "a.jpg") == UUID(int=1)


def test_a_zero_vector_is_refused_and_costs_its_file_alone(conn: Connection) -> None:
    zero = an_image(2, "b.jpg")
    zero = replace(zero, features=replace(zero.features, embedding=np.zeros(512, dtype=np.float32)))
    assert write_batch(conn, [an_image(1, "a.jpg"), zero]).refused == 1
    error = conn.execute("SELECT error FROM imrec.failure").fetchone()
    assert error is not None
    assert "embedding_norm_check" in str(error[0])
    assert image_at(conn, "a.jpg") == UUID(int=1)


def test_names_in_any_bytes_come_back_as_they_were(conn: Connection) -> None:
    raw = b"caf\xe9 '\"\n\xf0\x9f\x90\xb6.jpg"
    file = FoundFile(ROOT.root_id, file_id(ROOT.root_id, raw), raw, b"/photos/" + raw, 9, 1)
    write_batch(conn, [replace(an_image(1), files=(file,))])
    row = conn.execute("SELECT relative_path FROM imrec.file").fetchone()
    assert row is not None
    assert row[0] == raw


def test_writers_with_the_same_keys_in_opposite_order_both_finish(settings: Settings) -> None:
    images = [an_image(n, f"{n}.jpg") for n in range(1, 60)]
    failures: list[BaseException] = []

    def write(batch: list[StoredImage]) -> None:
        try:
            with open_session(settings) as own:
                for _ in range(10):
                    write_batch(own, batch)
        except BaseException as error:  # noqa: BLE001 - told to the test below
            failures.append(error)

    threads = [threading.Thread(target=write, args=(batch,)) for batch in (images, images[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with open_session(settings) as own:
        assert counts(own)["file"] == 59


def test_embeddings_of_another_model_are_refused(conn: Connection) -> None:
    claim_model(conn, ModelIdentity("resnet18", "aa"))
    claim_model(conn, ModelIdentity("resnet18", "aa"))
    other = ModelIdentity("resnet18", "bb")
    with pytest.raises(ModelMismatchError, match="another database"):
        claim_model(conn, other)
    with pytest.raises(ModelMismatchError):
        check_model(conn, other)


def test_lacking_features_are_told_per_image(conn: Connection, add_image: AddImage) -> None:
    complete = add_image("a.jpg")
    bare = an_image(99, "b.jpg")
    write_batch(conn, [replace(bare, features=Features(histogram=bare.features.histogram))])
    lacking = catalogue_files.lacking_features(
        conn, [complete.image_id, UUID(int=99), UUID(int=12345)], wanted()
    )
    assert lacking == [
        Lacking(frozenset(), metadata=False),
        Lacking(frozenset(Feature) - {Feature.HISTOGRAM}, metadata=False),
        None,
    ]


def test_what_an_earlier_version_computed_is_outdated_when_it_is_to_be_refreshed(
    conn: Connection, add_image: AddImage
) -> None:
    stored = add_image("a.jpg")
    later = Wanted({Feature.HISTOGRAM: 2, Feature.EMBEDDING: 1}, metadata=3)
    ids = [stored.image_id]
    assert catalogue_files.lacking_features(conn, ids, later) == [Lacking(frozenset(), metadata=False)]
    assert catalogue_files.lacking_features(conn, ids, replace(later, refresh=True)) == [
        Lacking(frozenset({Feature.HISTOGRAM}), metadata=True)
    ]
    state = status(conn, "", later)
    assert state.outdated == {"metadata": 1, "histogram": 1}
    assert not any(state.lacking.values())


def test_a_later_version_replaces_an_earlier_one_and_an_earlier_one_nothing(
    conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = an_image(1, "a.jpg")
    assert image.info is not None
    write_batch(conn, [image])
    other = replace(image.features, average_hash=b"\xff" * 8)
    dated = replace(image.info, taken_at=datetime(2020, 1, 2), version=2)  # noqa: DTZ001 - no time zone
    monkeypatch.setattr(write, "version_of", lambda _feature: 2)
    assert write_batch(conn, [replace(image, info=dated, features=other)]) == Merged(0, 0, 0)
    stored = (
        "SELECT average_hash::text, a.version, i.taken_at, i.version "
        "FROM imrec.average_hash AS a, imrec.image AS i"
    )
    expected = ("1" * 64, 2, datetime(2020, 1, 2), 2)  # noqa: DTZ001 - as above
    assert conn.execute(stored).fetchone() == expected
    monkeypatch.setattr(write, "version_of", lambda _feature: 1)
    write_batch(conn, [image])
    assert conn.execute(stored).fetchone() == expected


def test_a_stage_of_an_earlier_shape_is_made_anew(conn: Connection) -> None:
    """As behind a pooler, whose connections outlive an upgrade."""
    write_batch(conn, [an_image(1, "a.jpg")])
    conn.execute("ALTER TABLE pg_temp.stage_image DROP COLUMN version")
    conn.execute("ALTER TABLE pg_temp.stage_file ADD COLUMN was_here_before text NOT NULL")
    write_batch(conn, [an_image(2, "b.jpg")])
    assert counts(conn)["file"] == 2


def test_file_states(conn: Connection) -> None:
    write_batch(
        conn,
        [an_image(1, "same.jpg"), an_image(2, "touched.jpg")],
        [FailedFile(a_file("bad.jpg"), None, "Empty", "the file is empty")],
    )
    partial = an_image(3, "partial.jpg")
    write_batch(conn, [replace(partial, features=replace(partial.features, embedding=None))])
    files = [
        a_file("same.jpg"),
        a_file("new.jpg"),
        a_file("touched.jpg", 2),
        a_file("bad.jpg"),
        a_file("partial.jpg"),
        a_file("bad.jpg", 2),
    ]
    states = ["unchanged", "new", "changed", "failed", "incomplete", "new"]
    assert catalogue_files.file_states(conn, files, wanted(), retry=False) == states
    assert catalogue_files.file_states(conn, files, wanted(), retry=True)[3] == "new"
    assert catalogue_files.file_states(conn, files[4:5], wanted([Feature.HISTOGRAM]), retry=False) == [
        "unchanged"
    ]
