"""db dump and db restore: the restored database is the same one, object by object, row by row."""

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier
from support import AddImage, bare_session, new_database, settings_for

from imrec_pg import doctor
from imrec_pg.access import grants
from imrec_pg.backup import dump
from imrec_pg.catalogue import index
from imrec_pg.catalogue.model import claim_model
from imrec_pg.db.retry import wait_until
from imrec_pg.db.session import open_session
from imrec_pg.doctor import Level
from imrec_pg.embedded import client_path
from imrec_pg.errors import FileInTheWayError, ImrecError, SchemaError, UsageError
from imrec_pg.records import Feature, GrantedRole, Metric, ModelIdentity

TABLES = ("root", "image", "file", *Feature, "model", "hamming_flip", "tuning", "evidence")
OBJECTS = """
SELECT o FROM (
    SELECT concat_ws(' ', 'function', p.oid::regprocedure, p.provolatile, p.proparallel, p.proisstrict,
        p.proconfig, md5(pg_get_functiondef(p.oid)), obj_description(p.oid)) AS o
    FROM pg_proc AS p WHERE pronamespace::regnamespace::text ~ '^imrec'
    UNION ALL
    SELECT concat_ws(' ', 'column', attrelid::regclass, attname, atttypid::regtype, atttypmod, attstorage,
        attnotnull, col_description(attrelid, attnum))
    FROM pg_attribute JOIN pg_class AS c ON c.oid = attrelid
    WHERE relnamespace::regnamespace::text ~ '^imrec' AND relkind IN ('r', 'v') AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT concat_ws(' ', 'index', pg_get_indexdef(indexrelid), indisvalid, obj_description(indexrelid))
    FROM pg_index JOIN pg_class AS c ON c.oid = indexrelid WHERE relnamespace::regnamespace::text ~ '^imrec'
    UNION ALL
    SELECT concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE connamespace::regnamespace::text ~ '^imrec'
) AS n
"""
QUESTIONS = (
    "SELECT image_id, distance, certainty FROM imrec.similar_to('/photos/7.jpg', 9)",
    "SELECT image_id, distance, certainty FROM imrec.similar_to('/photos/7.jpg', 9, 'histogram', 'manhattan')",
    "SELECT image_id, distance, certainty FROM imrec.similar_to('/photos/7.jpg', 9, 'difference_hash')",
    "SELECT f.* FROM imrec.fuse('/photos/7.jpg', 9) AS f",
)


@pytest.fixture(scope="module")
def library(template: str) -> Iterator[str]:
    """Yield the dsn of a library with an index, odd names and a table of its user's."""
    with new_database(template, "imrec_template") as dsn, bare_session(settings_for(dsn)) as conn:
        claim_model(conn, ModelIdentity("resnet18", "ab" * 32))
        add = AddImage(conn)
        add.many([{"name": f"{number}.jpg"} for number in range(40)])
        add("caf\udce9\n.jpg")
        conn.execute("CREATE TABLE public.rating AS SELECT image_id, 5 AS stars FROM imrec.image")
        conn.execute("CREATE TABLE public.extreme AS SELECT '[1e-45,3.4028235e38,-0,0.1]'::vector AS value")
        index.build_index(conn, Feature.EMBEDDING, Metric.COSINE)
        yield dsn


@pytest.fixture(scope="module")
def dumped(library: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("dump") / "photos é.dump"
    dump.dump(settings_for(library), file)
    return file


def rows(dsn: str, *statements: str) -> list[set[str]]:
    with psycopg.connect(dsn) as conn:
        # All that shows names shows them in full.
        conn.execute("SET search_path = ''")
        return [{str(row) for row in conn.execute(text.encode()).fetchall()} for text in statements]


def content(dsn: str) -> list[set[str]]:
    return rows(dsn, *(f"SELECT t::text FROM imrec.{table} AS t" for table in TABLES))


def test_a_restored_library_is_the_same(library: str, empty_dsn: str, dumped: Path) -> None:
    dump.restore(settings_for(empty_dsn), dumped)
    assert content(empty_dsn) == content(library)
    objects = rows(empty_dsn, OBJECTS)
    assert objects == rows(library, OBJECTS)
    (texts,) = objects
    assert any("imrec.embedding_cosine_hnsw" in text or "embedding_cosine_hnsw ON" in text for text in texts)
    others = (
        "SELECT image_id, public.vector_send(embedding) FROM imrec.embedding",
        "SELECT public.vector_send(value) FROM public.extreme",
        "SELECT * FROM public.rating",
    )
    assert rows(empty_dsn, *others) == rows(library, *others)
    with psycopg.connect(library) as before, psycopg.connect(empty_dsn) as after:
        for question in QUESTIONS:
            found = after.execute(question.encode()).fetchall()
            assert len(found) == 9
            assert found == before.execute(question.encode()).fetchall()


def test_the_doctor_finds_nothing_new_in_a_restored_library(
    library: str, empty_dsn: str, dumped: Path
) -> None:
    dump.restore(settings_for(empty_dsn), dumped)
    found = {
        (finding.check, finding.what)
        for finding in doctor.examine(settings_for(empty_dsn))
        if finding.level in (Level.ERROR, Level.WARNING)
    }
    assert found <= {(finding.check, finding.what) for finding in doctor.examine(settings_for(library))}


def test_a_dump_goes_into_an_empty_schema_and_not_beside_photos(dsn: str, library: str, dumped: Path) -> None:
    dump.restore(settings_for(dsn), dumped)
    assert content(dsn) == content(library)
    with pytest.raises(UsageError, match="holds photos already"):
        dump.restore(settings_for(dsn), dumped)


def test_photos_that_come_between_check_and_restore_stay(
    dsn: str, dumped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = dump._pour

    def ingest_first(*arguments: Any) -> None:
        with open_session(settings_for(dsn)) as conn:
            AddImage(conn, b"/late")("a.jpg")
        real(*arguments)

    monkeypatch.setattr(dump, "_pour", ingest_first)
    with pytest.raises(ImrecError, match=r"nothing was restored: .*this database holds photos already"):
        dump.restore(settings_for(dsn), dumped)
    assert rows(dsn, "SELECT path FROM imrec.photo") == [{"('/late/a.jpg',)"}]


def test_a_restore_waits_for_an_ingest_that_is_storing_photos(dsn: str, dumped: Path) -> None:
    failures: list[BaseException] = []

    def restore() -> None:
        try:
            dump.restore(settings_for(dsn), dumped)
        except ImrecError as error:
            failures.append(error)

    waiting = (
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock' "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    with open_session(settings_for(dsn)) as conn, open_session(settings_for(dsn)) as other:
        thread = threading.Thread(target=restore)
        with conn.transaction():
            AddImage(conn, b"/late")("a.jpg")
            thread.start()
            assert wait_until(lambda: other.execute(waiting).fetchone() == (1,), 60)
        thread.join()
    assert [str(failure) for failure in failures] == [
        "this database holds photos already: restore into another one"
    ]
    assert rows(dsn, "SELECT path FROM imrec.photo") == [{"('/late/a.jpg',)"}]


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("CREATE TABLE imrec.diary (day date)", "did not make is in its schemas.*imrec.diary"),
        ("CREATE FUNCTION imrec.mine() RETURNS int RETURN 1", r"is in its schemas.*imrec.mine\(\)"),
        (
            "CREATE VIEW public.best AS SELECT path FROM imrec.photo",
            "view public.best depends on view imrec.photo",
        ),
        (
            "CREATE TABLE public.rating (image_id uuid REFERENCES imrec.image)",
            "on table public.rating depends on table imrec.image",
        ),
        (
            "CREATE FUNCTION public.first() RETURNS uuid BEGIN ATOMIC SELECT image_id FROM imrec.image LIMIT 1; END",
            r"function public.first\(\) depends on",
        ),
    ],
)
def test_what_users_made_in_and_on_the_schema_stays(
    dsn: str, dumped: Path, statement: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(statement.encode())
    before = rows(dsn, OBJECTS)
    with pytest.raises(UsageError, match=told):
        dump.restore(settings_for(dsn), dumped)
    # Even when it was made after the check.
    monkeypatch.setattr(dump, "_check_empty", lambda _conn: None)
    with pytest.raises(ImrecError, match=f"nothing was restored: .*{told}"):
        dump.restore(settings_for(dsn), dumped)
    assert rows(dsn, OBJECTS) == before


def test_a_dump_of_a_development_version_is_refused(empty_dsn: str, tmp_path: Path) -> None:
    with psycopg.connect(empty_dsn, autocommit=True) as conn:
        conn.execute("CREATE SCHEMA imrec")
        conn.execute("CREATE TABLE imrec.alembic_version (version_num text)")
        program = client_path("pg_dump", conn.info.server_version // 10_000)
    assert program is not None
    file = tmp_path / "old.dump"
    subprocess.run([program, "--format=custom", "--file", file, "--dbname", empty_dsn], check=True)
    with pytest.raises(SchemaError, match=r"a development version .* made .*write an export"):
        dump.restore(settings_for(empty_dsn), file)


def test_a_plain_role_may_restore_where_the_extension_is(library: str, empty_dsn: str, dumped: Path) -> None:
    role = f"plain_{uuid4().hex[:8]}"
    with psycopg.connect(empty_dsn, autocommit=True) as admin:
        admin.execute("CREATE EXTENSION vector")
        admin.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(role)))
        try:
            database = Identifier(admin.info.dbname)
            admin.execute(SQL("GRANT CREATE ON DATABASE {} TO {}").format(database, Identifier(role)))
            admin.execute(SQL("GRANT CREATE ON SCHEMA public TO {}").format(Identifier(role)))
            dump.restore(settings_for(make_conninfo(empty_dsn, user=role)), dumped)
            assert content(empty_dsn) == content(library)
        finally:
            admin.execute(SQL("DROP OWNED BY {}").format(Identifier(role)))
            admin.execute(SQL("DROP ROLE {}").format(Identifier(role)))


def test_readers_of_some_roots_are_restored_by_granting_anew(
    dsn: str, empty_dsn: str, tmp_path: Path
) -> None:
    """Another server may not have these roles, nor may another have theirs see what it likes."""
    role = f"reader_{uuid4().hex}"
    with open_session(settings_for(dsn)) as conn:
        AddImage(conn, b"/mine")("a.jpg")
        AddImage(conn, b"/theirs")("b.jpg", image_id=uuid4())
        grants.grant(conn, GrantedRole.READER, role, create=True, roots=["/mine"])
        file = tmp_path / "restricted.dump"
        dump.dump(settings_for(dsn), file)
        grants.revoke(conn, role)
        conn.execute(SQL("DROP ROLE {}").format(Identifier(role)))
    dump.restore(settings_for(empty_dsn), file)
    with open_session(settings_for(empty_dsn)) as conn:
        assert conn.execute("SELECT count(*) FROM imrec.image").fetchone() == (2,)
        assert conn.execute("SELECT count(*) FROM pg_policy").fetchone() == (0,)
        secured = "SELECT count(*) FROM pg_class WHERE relrowsecurity"
        assert conn.execute(secured).fetchone() == (0,)
        assert conn.execute("SELECT FROM imrec_internal.access").fetchall() == []
        grants.grant(conn, GrantedRole.READER, role, create=True, roots=["/theirs"])
        with psycopg.connect(make_conninfo(empty_dsn, user=role)) as reader:
            assert reader.execute("SELECT path FROM imrec.visible_photo").fetchall() == [("/theirs/b.jpg",)]
        grants.revoke(conn, role)
        conn.execute(SQL("DROP ROLE {}").format(Identifier(role)))


def test_a_broken_dump_changes_nothing(empty_dsn: str, dumped: Path, tmp_path: Path) -> None:
    data = dumped.read_bytes()
    broken = tmp_path / "broken.dump"
    broken.write_bytes(data[: len(data) // 2])
    with pytest.raises(ImrecError, match="pg_restore failed, and nothing was restored: pg_restore: error"):
        dump.restore(settings_for(empty_dsn), broken)
    assert rows(empty_dsn, "SELECT nspname FROM pg_namespace WHERE nspname = 'imrec'") == [set()]
    broken.write_bytes(b"no dump")
    with pytest.raises(ImrecError, match="is no dump that pg_restore can read"):
        dump.restore(settings_for(empty_dsn), broken)
    with pytest.raises(UsageError, match="is no file"):
        dump.restore(settings_for(empty_dsn), tmp_path / "nowhere")


def test_what_is_in_the_way_is_told_of_and_stays(empty_dsn: str, dumped: Path) -> None:
    with psycopg.connect(empty_dsn, autocommit=True) as conn:
        conn.execute("CREATE TABLE public.rating (mine int)")
    with pytest.raises(ImrecError, match=r'psql failed, and nothing was restored: .*"rating" already exists'):
        dump.restore(settings_for(empty_dsn), dumped)
    assert rows(empty_dsn, "SELECT tablename FROM pg_tables WHERE schemaname IN ('public', 'imrec')") == [
        {"('rating',)"}
    ]


def test_a_dump_is_whole_or_not_there(library: str, empty_dsn: str, tmp_path: Path) -> None:
    settings, file = settings_for(library), tmp_path / "a.dump"

    def interrupt(_done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dump.dump(settings, file, on_bytes=interrupt)
    assert not list(tmp_path.iterdir())
    file.write_text("another dump")
    with pytest.raises(FileInTheWayError):
        dump.dump(settings, file, overwrite=True)
    with pytest.raises(UsageError, match="is not a folder"):
        dump.dump(settings, tmp_path / "nowhere" / "a.dump")
    with pytest.raises(SchemaError, match="holds no library"):
        dump.dump(settings_for(empty_dsn), file, overwrite=True)
    assert file.read_text() == "another dump"
    assert [path.name for path in tmp_path.iterdir()] == ["a.dump"]


def test_a_server_of_another_version_gets_its_own_programs() -> None:
    bundled = client_path("pg_dump", 18)
    assert bundled is not None
    assert "pginstall18" in bundled.parts
    assert client_path("pg_dump", 3) is None
