"""Claims of several ingests to the same files: who may work on what, and whose writes count."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from support import settings_for

from imrec_pg.catalogue import claims
from imrec_pg.catalogue.claims import Worker
from imrec_pg.catalogue.roots import add_root
from imrec_pg.db.connection import Connection
from imrec_pg.db.session import open_session
from imrec_pg.ingest.find import root_of
from imrec_pg.ingest.write import Merged, write_batch
from imrec_pg.paths import file_id
from imrec_pg.records import FailedFile, Features, FoundFile, ImageInfo, StoredImage

ROOT = root_of(b"/photos")
MINUTE = timedelta(minutes=1)


@pytest.fixture
def other(conn: Connection) -> Iterator[Connection]:
    """Return a second connection to the same database."""
    with open_session(settings_for(conn.info.dsn)) as opened:
        yield opened


@pytest.fixture
def files(conn: Connection) -> list[FoundFile]:
    add_root(conn, ROOT, "host")
    made = []
    for i in range(6):
        name = b"%d.jpg" % i
        made.append(FoundFile(ROOT.root_id, file_id(ROOT.root_id, name), name, b"/photos/" + name, 9, 1))
    return made


def a_worker(conn: Connection, lease: timedelta = MINUTE, *, locked: bool = False) -> Worker:
    worker = Worker(uuid4(), "host", 1, lease)
    claims.renew(conn, worker, locked=locked)
    return worker


def with_tokens(files: list[FoundFile], tokens: dict[UUID, int]) -> list[FoundFile]:
    return [replace(file, token=tokens[file.file_id]) for file in files]


def an_image(number: int, file: FoundFile) -> StoredImage:
    key = UUID(int=number)
    info = ImageInfo(key, 9, 4, 3, "JPEG", None, None, None)
    return StoredImage(key, info, (file,), Features(average_hash=b"8 bytes.", difference_hash=b"8 bytes."))


def count(conn: Connection, table: str) -> int:
    row = conn.execute(f"SELECT count(*) FROM imrec.{table}".encode()).fetchone()
    assert row is not None
    return int(str(row[0]))


def test_each_file_is_claimed_by_one_of_two(
    conn: Connection, other: Connection, files: list[FoundFile]
) -> None:
    first, second = a_worker(conn), a_worker(other)
    one = claims.claim(conn, first, files[:4])
    two = claims.claim(other, second, files[2:])
    assert one.keys() == {file.file_id for file in files[:4]}
    assert two.keys() == {file.file_id for file in files[4:]}
    assert max(one.values()) < min(two.values())


def test_a_claim_whose_lease_has_ended_is_taken_over(
    conn: Connection, other: Connection, files: list[FoundFile]
) -> None:
    dead = claims.claim(conn, a_worker(conn, timedelta(0)), files)
    taken = claims.claim(other, a_worker(other), files)
    assert taken.keys() == dead.keys()
    assert min(taken.values()) > max(dead.values())


def test_a_claim_comes_back_the_moment_its_process_is_gone(
    conn: Connection, other: Connection, files: list[FoundFile]
) -> None:
    worker = a_worker(conn, locked=True)
    with psycopg.connect(conn.info.dsn, autocommit=True) as heart:
        assert claims.lock(heart, worker)
        claims.claim(conn, worker, files)
        assert claims.claim(other, a_worker(other), files) == {}
    # The lock is gone with its connection; the lease would last for a minute.
    again = a_worker(other)
    for _ in range(200):
        if taken := claims.claim(other, again, files):
            break
        threading.Event().wait(0.02)
    assert len(taken) == 6


def test_the_same_worker_is_answered_anew_when_the_answer_was_lost(
    conn: Connection, files: list[FoundFile]
) -> None:
    worker = a_worker(conn)
    lost = claims.claim(conn, worker, files)
    again = claims.claim(conn, worker, files)
    assert again.keys() == lost.keys()
    assert set(again.values()).isdisjoint(lost.values())


def test_a_worker_that_was_forgotten_may_claim_again(conn: Connection, files: list[FoundFile]) -> None:
    worker = a_worker(conn)
    claims.release(conn, worker)
    assert len(claims.claim(conn, worker, files)) == 6


def test_what_another_has_taken_over_is_not_written(
    conn: Connection, other: Connection, files: list[FoundFile]
) -> None:
    stopped = with_tokens(files, claims.claim(conn, a_worker(conn, timedelta(0)), files))
    taken = with_tokens(files[:3], claims.claim(other, a_worker(other), files[:3]))
    # The one that was stopped goes on, and knows nothing of it: files 3 and 5 are still its own.
    failure = FailedFile(stopped[5], None, "Unreadable", "I/O error")
    late = [an_image(10 + i, stopped[i]) for i in range(4)]
    assert write_batch(conn, late, [failure]) == Merged(new=1, duplicates=0, replaced=0, elsewhere=3)
    assert (count(conn, "image"), count(conn, "average_hash"), count(conn, "failure")) == (1, 1, 1)
    assert write_batch(other, [an_image(i, taken[i]) for i in range(3)]) == Merged(3, 0, 0)
    images = conn.execute("SELECT image_id FROM imrec.image ORDER BY 1").fetchall()
    assert images == [(UUID(int=i),) for i in (0, 1, 2, 13)]
    # Claims end with the write; 4 is left of the stopped one's.
    assert conn.execute("SELECT file_id FROM imrec.claim").fetchall() == [(files[4].file_id,)]


def test_a_late_failure_does_not_undo_what_another_has_stored(
    conn: Connection, other: Connection, files: list[FoundFile]
) -> None:
    (stopped,) = with_tokens(files[:1], claims.claim(conn, a_worker(conn, timedelta(0)), files[:1]))
    (taken,) = with_tokens(files[:1], claims.claim(other, a_worker(other), files[:1]))
    write_batch(other, [an_image(1, taken)])
    late = FailedFile(stopped, UUID(int=7), "Truncated", "ends early")
    assert write_batch(conn, [], [late]) == Merged(0, 0, 0, elsewhere=1)
    assert (count(conn, "file"), count(conn, "failure")) == (1, 0)


def test_a_batch_replayed_after_a_lost_answer_changes_nothing(
    conn: Connection, files: list[FoundFile]
) -> None:
    mine = with_tokens(files, claims.claim(conn, a_worker(conn), files))
    batch = [an_image(i, file) for i, file in enumerate(mine)]
    assert write_batch(conn, batch) == Merged(6, 0, 0)
    before = conn.execute("SELECT xmin, * FROM imrec.file ORDER BY file_id").fetchall()
    assert write_batch(conn, batch) == Merged(0, 0, 0, elsewhere=6)
    assert conn.execute("SELECT xmin, * FROM imrec.file ORDER BY file_id").fetchall() == before


def test_what_others_work_on_now_is_counted_and_what_they_claim_later_is_not(
    conn: Connection, other: Connection, files: list[FoundFile]
) -> None:
    me, them = a_worker(conn), a_worker(other)
    claims.claim(conn, me, files[:1])
    claims.claim(other, them, files[1:3])
    roots = [ROOT.root_id]
    now = claims.claimed_by_others(conn, me, roots, None)
    assert (now.files, now.workers) == (2, "host (process 1)")
    claims.claim(other, them, files[3:])
    assert claims.claimed_by_others(conn, me, roots, now.token).files == 2
    assert claims.claimed_by_others(conn, me, [uuid4()], None).files == 0
    claims.release(other, them)
    assert claims.claimed_by_others(conn, me, roots, now.token).files == 0
    assert [(one.host, one.pid, one.files) for one in claims.running(conn)] == [("host", 1, 1)]


def test_a_statement_timeout_makes_smaller_batches(conn: Connection, files: list[FoundFile]) -> None:
    """The server is slow here by a trigger, which takes 200 ms a row: the limit lets three through."""
    conn.execute(
        "CREATE FUNCTION imrec.slow() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN PERFORM pg_sleep(0.2); RETURN new; END'"
    )
    conn.execute(
        "CREATE TRIGGER slow BEFORE INSERT ON imrec.image FOR EACH ROW EXECUTE FUNCTION imrec.slow()"
    )
    conn.execute("SET statement_timeout = '700ms'")
    merged = write_batch(conn, [an_image(i, file) for i, file in enumerate(files)])
    assert merged == Merged(6, 0, 0)
    assert merged.rows == 3
