"""Several ingests at once: none waits for ever, none ends before what it found is done."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from e2e.photos import save_scenes
from support import AddImage, ingest_into, settings_for

from imrec_pg.catalogue import claims
from imrec_pg.catalogue.index import build_index
from imrec_pg.catalogue.roots import add_root
from imrec_pg.db.connection import Connection
from imrec_pg.db.retry import RetryingSession
from imrec_pg.db.session import Session, open_session
from imrec_pg.errors import ConflictError, DatabaseUnreachableError
from imrec_pg.features.model import EmbedderSource
from imrec_pg.ingest import pipeline, write
from imrec_pg.ingest.claims import Claims
from imrec_pg.ingest.find import root_of
from imrec_pg.ingest.pipeline import IngestOptions
from imrec_pg.ingest.tally import Tally
from imrec_pg.ingest.write import Merged, write_batch
from imrec_pg.paths import file_id
from imrec_pg.records import FailedFile, Feature, FoundFile, Metric, StoredImage
from imrec_pg.settings import Settings

LIGHT = IngestOptions(
    features=(Feature.HISTOGRAM, Feature.AVERAGE_HASH, Feature.DIFFERENCE_HASH),
    workers=1,
    batch=8,
    retry_for_s=20,
)
ROOT = root_of(b"/photos")
LEASE = timedelta(seconds=60)
LONG_S = 60  # none of these takes a tenth of it


def a_file(name: str) -> FoundFile:
    relative = name.encode()
    return FoundFile(ROOT.root_id, file_id(ROOT.root_id, relative), relative, b"/photos/" + relative, 9, 1)


@pytest.fixture
def files(conn: Connection) -> list[FoundFile]:
    """Return files with a recorded failure: nothing is to be done about them."""
    add_root(conn, ROOT, "host")
    made = [a_file(f"{number}.jpg") for number in range(4)]
    write_batch(conn, [], [FailedFile(file, None, "Empty", "the file is empty") for file in made])
    return made


@contextmanager
def an_ingest(settings: Settings, lease_s: float = 60) -> Iterator[Claims]:
    with closing(Session(settings)) as session, Claims(RetryingSession(session), lease_s) as made:
        yield made


def all_at_once(*calls: Callable[[], object]) -> list[object]:
    """Return what each call returned or raised; all must end."""
    results: list[object] = [None] * len(calls)

    def call(number: int) -> None:
        try:
            results[number] = calls[number]()
        except Exception as error:  # noqa: BLE001 - told to the test
            results[number] = error

    threads = [threading.Thread(target=call, args=(number,), daemon=True) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG_S)
    assert not any(thread.is_alive() for thread in threads), "they wait for ever"
    return results


def test_two_that_claimed_what_was_done_meanwhile_do_not_wait_for_each_other(
    settings: Settings, files: list[FoundFile]
) -> None:
    with an_ingest(settings) as one, an_ingest(settings) as other:
        for claimant, part in ((one, files[:2]), (other, files[2:])):
            assert list(claimant.claimed(part, LIGHT.wanted, Tally(), retry=False)) == []
        ended = threading.Event()
        all_at_once(*(lambda c=c: c.wait_for_others(ended.is_set) for c in (one, other)))
        ended.set()


def test_photos_renamed_one_further_are_all_stored_in_one_run(conn: Connection, tmp_path: Path) -> None:
    """Each name holds the next one's image now; the batch before drops images that a later batch needs."""
    photos = save_scenes(tmp_path, range(40))
    embedders = EmbedderSource(settings_for(""))
    ingest_into(conn, [bytes(tmp_path)], embedders, LIGHT)
    for path in reversed(photos):
        path.rename(tmp_path / f"{int(path.stem) + 1:04}.jpg")
    tally = ingest_into(conn, [bytes(tmp_path)], embedders, LIGHT).tally
    assert tally.found == tally.done == 40
    stored = {Path(str(path)).name for (path,) in conn.execute("SELECT path FROM imrec.file").fetchall()}
    assert stored >= {f"{number:04}.jpg" for number in range(1, 41)}
    assert conn.execute("SELECT count(*) FROM imrec.image").fetchone() == (40,)


def test_an_ingest_whose_files_were_taken_over_sees_that_they_get_done(
    conn: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one takes its claims over and dies without having written anything."""
    save_scenes(tmp_path, range(6))
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    thief = claims.Worker(uuid4(), "elsewhere", 1, LEASE)
    stolen: list[FoundFile] = []

    def write(own: Connection, images: list[StoredImage], failed: list[FailedFile]) -> Merged:
        if not stolen:
            stolen.extend(file for image in images for file in image.files)
            conn.execute("UPDATE imrec.worker SET expires_at = clock_timestamp()")
            claims.renew(conn, thief, locked=False)
            assert len(claims.claim(conn, thief, stolen)) == len(stolen) == 6
            claims.release(conn, thief)
        return write_batch(own, images, failed)

    monkeypatch.setattr(pipeline, "write_batch", write)
    retrying = replace(LIGHT, retry=True)
    tally = ingest_into(conn, [bytes(tmp_path)], EmbedderSource(settings_for("")), retrying).tally
    assert (tally.new, tally.failed, tally.elsewhere, tally.done) == (6, 1, 0, 7)
    # The second look leaves alone what failed in the first.
    assert conn.execute("SELECT attempts FROM imrec.failure").fetchall() == [(1,)]


def test_two_that_build_the_same_index_at_once_build_one(settings: Settings, add_image: AddImage) -> None:
    add_image.many([{"name": f"{number}.jpg"} for number in range(1500)])

    def build() -> bool:
        with open_session(settings) as conn:
            return build_index(conn, Feature.EMBEDDING, Metric.COSINE)

    assert sorted(map(str, all_at_once(build, build, build))) == ["False", "False", "True"]


def test_a_writer_that_freezes_before_commit_keeps_its_files_for_a_minute_at_most(
    settings: Settings, conn: Connection, files: list[FoundFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its open transaction holds the rows of its claims, though its lease ended long ago."""
    monkeypatch.setattr(write, "_IDLE", "1s")
    frozen, other = (claims.Worker(uuid4(), "h", n, LEASE) for n in range(2))
    claims.renew(conn, frozen, locked=False)
    tokens = claims.claim(conn, frozen, files)
    claimed = [replace(file, token=tokens[file.file_id]) for file in files]
    with open_session(settings) as own:
        claims.renew(own, other, locked=False)
        with suppress(psycopg.Error), conn.transaction():
            write_batch(conn, [], [FailedFile(file, None, "Empty", "again") for file in claimed])
            own.execute("UPDATE imrec.worker SET expires_at = clock_timestamp() WHERE pid = 0")
            assert len(claims.claim(own, other, files)) == 4
        assert conn.closed


def test_a_writer_cut_off_for_its_silence_counts_as_one_that_lost_the_database(
    conn: Connection, files: list[FoundFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "_IDLE", "1ms")
    real_copy = write._copy_features

    def slow(cur: psycopg.Cursor[tuple[object, ...]], images: list[StoredImage]) -> None:
        time.sleep(0.2)
        real_copy(cur, images)

    monkeypatch.setattr(write, "_copy_features", slow)
    with pytest.raises(DatabaseUnreachableError, match="lost the database"):
        write_batch(conn, [], [FailedFile(files[0], None, "Empty", "again")])


def test_a_lock_that_outlasts_the_statement_timeout_of_a_single_row_may_be_tried_again(
    settings: Settings, conn: Connection, files: list[FoundFile]
) -> None:
    conn.execute("SET statement_timeout = '50ms'")
    with open_session(settings) as own, own.transaction():
        own.execute("LOCK TABLE imrec.failure")
        with pytest.raises(ConflictError, match="statement timeout"):
            write_batch(conn, [], [FailedFile(files[0], None, "Empty", "again")])
