"""Connections that break between two statements: what was begun goes on, and nothing is left out."""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from e2e.command import until
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier
from support import AddImage, settings_for

from imrec_pg.catalogue.index import build_index, watched
from imrec_pg.catalogue.roots import add_root
from imrec_pg.catalogue.status import has_embeddings
from imrec_pg.db.connection import Connection, translated
from imrec_pg.db.retry import RetryingSession
from imrec_pg.db.session import Session, open_session
from imrec_pg.errors import LoginRefusedError, StoreError
from imrec_pg.ingest import find, missing
from imrec_pg.ingest.missing import Changes, Seen, find_missing
from imrec_pg.ingest.tally import Tally
from imrec_pg.ingest.write import write_batch
from imrec_pg.paths import file_id
from imrec_pg.records import FailedFile, Feature, FoundFile, Metric, Root
from imrec_pg.settings import Settings

FILES = 10
PAGE = 3


@pytest.fixture
def session(settings: Settings) -> Iterator[Session]:
    with closing(Session(settings)) as opened:
        yield opened


@pytest.fixture
def root(conn: Connection, tmp_path: Path) -> Root:
    """Return a root with ten files of which failures are stored; the files exist."""
    made = find.root_of(bytes(tmp_path))
    add_root(conn, made)
    files = []
    for number in range(FILES):
        name = b"%d.jpg" % number
        (tmp_path / os.fsdecode(name)).touch()
        key = file_id(made.root_id, name)
        files.append(FoundFile(made.root_id, key, name, bytes(tmp_path) + b"/" + name, 0, 1))
    write_batch(conn, [], [FailedFile(file, None, "Empty", "the file is empty") for file in files])
    return made


def cut(conn: Connection, session: Session) -> None:
    """End the server process behind a session."""
    conn.execute("SELECT pg_terminate_backend(%s, 10000)", (session.conn.info.backend_pid,))


def test_failed_files_are_all_found_though_the_connection_breaks_at_each_page(
    conn: Connection, session: Session, root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "_QUESTION", PAGE)
    found, folder = [], root.raw_path + b"/"
    for number, file in enumerate(find.failed_files(RetryingSession(session, 60), Tally())):
        found.append(file.path)
        if number % PAGE == 0:
            cut(conn, session)
    assert sorted(found) == sorted(folder + b"%d.jpg" % number for number in range(FILES))


def test_missing_files_are_all_marked_though_the_connection_breaks_at_each_file(
    conn: Connection, session: Session, add_image: AddImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was done before the connection broke is not done, nor counted, again."""
    add_image.many([{"name": f"{number}.jpg"} for number in range(FILES)])
    monkeypatch.setattr(missing, "_PAGE", PAGE)
    there = False

    def vanished(path: bytes) -> bool:
        assert path.startswith(b"/photos/")
        cut(conn, session)
        return not there

    monkeypatch.setattr(missing, "_vanished", vanished)
    database = RetryingSession(session, 60)
    assert find_missing(database, [b"/photos"], {}, Seen(), accept=True) == Changes(gone=10, known=10)
    assert conn.execute("SELECT count(*) FROM imrec.missing").fetchone() == (FILES,)
    there = True
    assert find_missing(database, [b"/photos"], {}, Seen(), accept=True) == Changes(back=10, known=0)
    assert conn.execute("SELECT count(*) FROM imrec.missing").fetchone() == (0,)


def test_failures_of_vanished_files_are_all_forgotten_though_the_connection_breaks(
    conn: Connection, session: Session, root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(missing, "_PAGE", PAGE)

    def vanished(_path: bytes) -> bool:
        cut(conn, session)
        return True

    monkeypatch.setattr(missing, "_vanished", vanished)
    find_missing(RetryingSession(session, 60), [root.raw_path], {}, Seen(), accept=True)
    assert conn.execute("SELECT count(*) FROM imrec.failure").fetchone() == (0,)


def test_what_is_retried_may_not_return_rows_that_are_still_to_be_read(session: Session) -> None:
    def numbers(conn: Connection) -> Iterator[object]:
        yield conn.execute("SELECT 1").fetchone()

    database = RetryingSession(session)
    with pytest.raises(TypeError, match="returns an iterator"):
        database.run(numbers)
    with pytest.raises(TypeError, match="returns an iterator"):
        database.run(lambda conn: conn.execute("SELECT 1"))


@pytest.mark.timeout(120)
def test_a_role_that_is_not_let_in_again_is_not_waited_for(conn: Connection, dsn: str) -> None:
    role = Identifier(f"guest_{conn.info.backend_pid}")
    conn.execute(SQL("CREATE ROLE {} LOGIN SUPERUSER").format(role))
    try:
        guest = settings_for(make_conninfo(dsn, user=role.as_string().strip('"')))
        with closing(Session(guest)) as session:
            conn.execute(SQL("ALTER ROLE {} NOLOGIN").format(role))
            cut(conn, session)
            with pytest.raises(LoginRefusedError, match="not permitted to log in"):
                RetryingSession(session, 3600).run(has_embeddings)
    finally:
        conn.execute(SQL("DROP ROLE {}").format(role))
    with pytest.raises(LoginRefusedError, match="does not exist"):
        open_session(settings_for(make_conninfo(dsn, dbname="nowhere")))


def test_a_statement_that_cannot_be_sent_is_no_lost_connection(conn: Connection) -> None:
    """PostgreSQL takes 65,535 parameters; one more is an error without SQLSTATE, on a sound connection."""
    query = SQL("SELECT {}").format(SQL(", ").join([SQL("%s")] * 65_536))
    with pytest.raises(StoreError, match="65535"), translated(conn):
        conn.execute(query, [1] * 65_536)
    assert not conn.closed


def test_an_index_is_built_though_the_connection_that_reports_on_it_breaks(
    conn: Connection, settings: Settings, add_image: AddImage, caplog: pytest.LogCaptureFixture
) -> None:
    add_image("a.jpg")
    caplog.set_level(logging.DEBUG, "imrec_pg")

    def is_watched() -> bool:
        return any(thread.name == "imrec-index-progress" for thread in threading.enumerate())

    with open_session(settings) as watcher:
        conn.execute("SELECT pg_terminate_backend(%s, 10000)", (watcher.info.backend_pid,))
        with watched(watcher, conn, lambda _phase, _done, _total: None):
            until(lambda: not is_watched(), "the reports end")
            assert build_index(conn, Feature.EMBEDDING, Metric.COSINE)
    assert "no longer reported" in caplog.text


def test_an_index_is_built_though_what_shows_its_progress_fails(
    conn: Connection, settings: Settings, add_image: AddImage, caplog: pytest.LogCaptureFixture
) -> None:
    add_image("a.jpg")
    caplog.set_level(logging.DEBUG, "imrec_pg")

    def fail(_phase: str, _done: int, _total: int) -> None:
        raise BrokenPipeError

    # CREATE INDEX CONCURRENTLY waits for a transaction that writes, so that there is progress to report.
    with open_session(settings) as watcher, psycopg.connect(conn.info.dsn) as writer:
        writer.execute("LOCK TABLE imrec.embedding IN ROW EXCLUSIVE MODE")

        def let_go() -> None:
            until(lambda: "no longer reported" in caplog.text, "the reports end")
            writer.commit()

        with watched(watcher, conn, fail):
            thread = threading.Thread(target=let_go)
            thread.start()
            assert build_index(conn, Feature.EMBEDDING, Metric.COSINE)
            thread.join()
