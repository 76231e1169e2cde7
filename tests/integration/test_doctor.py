"""Each finding is provoked on a real database, fixed as it says, and then gone."""

import shutil
import threading
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Identifier
from support import AddImage, at_angle, bare_session, new_database, settings_for

from imrec_pg import doctor
from imrec_pg.catalogue.index import build_index
from imrec_pg.catalogue.model import claim_model
from imrec_pg.db import migrate
from imrec_pg.db.connection import Connection
from imrec_pg.db.session import open_session
from imrec_pg.doctor import CHECKS, Finding, Level, contents, examine, examined, upkeep
from imrec_pg.doctor import server as server_checks
from imrec_pg.embedded import EmbeddedServer
from imrec_pg.errors import DatabaseUnreachableError
from imrec_pg.ingest.write import write_batch
from imrec_pg.library import Library
from imrec_pg.records import FailedFile, Feature, FoundFile, Metric, ModelIdentity
from imrec_pg.settings import Settings

INDEX = "embedding_cosine_hnsw"
ROWS = 6_000
Disk = namedtuple("Disk", "total used free")  # noqa: PYI024 - as shutil has it


@pytest.fixture(scope="module")
def healthy(template: str) -> Iterator[str]:
    """Yield the name of a database in which all is well, and large enough for an index."""
    with new_database(template, "imrec_template") as dsn:
        with bare_session(settings_for(dsn)) as conn:
            AddImage(conn).many({"name": f"{number}.jpg"} for number in range(ROWS))
            claim_model(conn, ModelIdentity("resnet18", "aa"))
            build_index(conn, Feature.EMBEDDING, Metric.COSINE)
            conn.execute("VACUUM (ANALYZE)")
        yield str(conninfo_to_dict(dsn)["dbname"])


@pytest.fixture
def large_dsn(healthy: str, template: str) -> Iterator[str]:
    with new_database(template, healthy) as made:
        yield made


@pytest.fixture
def large(large_dsn: str) -> Settings:
    return settings_for(large_dsn)


@pytest.fixture
def make_role(server: EmbeddedServer) -> Callable[[], str]:
    """Return a function that makes a role without rights; all go with the server at the end."""

    def make() -> str:
        name = f"role_{uuid4().hex}"
        run(server.dsn, SQL("CREATE ROLE {} LOGIN").format(Identifier(name)).as_string())
        return name

    return make


def run(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        for statement in statements:
            conn.execute(statement.encode())


def set_database(dsn: str, name: str, value: str) -> None:
    """Set it for later sessions, as somebody else would."""
    database = conninfo_to_dict(dsn)["dbname"]
    run(dsn, "SELECT '[1]'::vector", f"ALTER DATABASE {database} SET {name} = '{value}'")


def findings(settings: Settings, check: str, *, full: bool = False) -> list[Finding]:
    return [finding for finding in examine(settings, full=full) if finding.check == check]


def bad(settings: Settings, check: str) -> list[Finding]:
    return [finding for finding in findings(settings, check) if finding.level is not Level.OK]


def one(settings: Settings, check: str, level: Level, says: str = "") -> Finding:
    """Return what the check finds amiss, which must be one thing."""
    (finding,) = bad(settings, check)
    assert finding.level is level, finding
    assert says in finding.what, finding
    assert finding.why
    return finding


def fix(settings: Settings, finding: Finding) -> None:
    """Do as it says; the check must then find that all is well."""
    statements = finding.fix.removeprefix("as the owner: ").split(";")
    assert settings.dsn
    run(settings.dsn, *(statement for statement in statements if statement.strip()))
    assert bad(settings, finding.check) == []
    assert findings(settings, finding.check)


def not_ok(settings: Settings) -> list[Finding]:
    return [finding for finding in examine(settings) if finding.level is not Level.OK]


def test_nothing_is_found_where_all_is_well(large: Settings) -> None:
    found = examine(large)
    assert [finding for finding in found if finding.level is not Level.OK] == []
    assert [*dict.fromkeys(finding.check for finding in found)] == list(CHECKS)
    assert not any(finding.serious or finding.fix for finding in found)


def test_nothing_is_wrong_with_a_new_empty_library(settings: Settings) -> None:
    assert not_ok(settings) == []


def test_the_python_api_finds_the_same(settings: Settings) -> None:
    with Library(settings) as library:
        found = library.doctor()
    assert {finding.check for finding in found} == {finding.check for finding in examine(settings)}


def test_nothing_is_changed(large: Settings, large_dsn: str) -> None:
    """A session that may change nothing makes the same checks."""
    set_database(large_dsn, "default_transaction_read_only", "on")
    finding = one(large, "read-only", Level.NOTICE, "default_transaction_read_only is on")
    assert not_ok(large) == [finding]
    fix_it = f"SET default_transaction_read_only = off; {finding.fix}"
    fix(large, replace(finding, fix=fix_it))


def test_an_empty_database(empty_dsn: str) -> None:
    settings = settings_for(empty_dsn)
    found = {finding.check: finding for finding in not_ok(settings)}
    assert found.keys() == {"pgvector", "schema"}
    assert found["pgvector"].level is found["schema"].level is Level.ERROR
    assert found["pgvector"].fix == "imrec-pg db upgrade, or as an administrator: CREATE EXTENSION vector;"
    assert found["schema"].fix == "imrec-pg db upgrade"
    migrate.upgrade(settings)
    assert not_ok(settings) == []


def test_a_database_that_cannot_hold_all_names(server: EmbeddedServer) -> None:
    name = f"t_{uuid4().hex}"
    run(
        server.dsn,
        f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C'",
    )
    try:
        one(settings_for(make_conninfo(server.dsn, dbname=name)), "encoding", Level.WARNING, "LATIN1")
    finally:
        run(server.dsn, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize(
    ("version", "level", "says"),
    [
        ("0.8.1", Level.ERROR, "ALTER EXTENSION vector UPDATE; REINDEX INDEX"),
        ("0.8.3", Level.ERROR, f'REINDEX INDEX "imrec"."{INDEX}";'),
        ("0.8.4", Level.NOTICE, "ALTER EXTENSION vector UPDATE;"),
        ("99.0", Level.WARNING, "install pgvector 99.0 or newer on the server"),
    ],
)
def test_another_pgvector(large: Settings, large_dsn: str, version: str, level: Level, says: str) -> None:
    run(large_dsn, f"UPDATE pg_extension SET extversion = '{version}' WHERE extname = 'vector'")
    finding = one(large, "pgvector", level, version)
    assert says in finding.fix


def test_a_server_without_pgvector(empty_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretended: the extension would have another name."""
    monkeypatch.setattr(
        server_checks, "_EXTENSION", server_checks._EXTENSION.replace("'vector'", "'imrec_none'")
    )
    finding = one(settings_for(empty_dsn), "pgvector", Level.ERROR, "not in this database")
    assert "install pgvector 0.8.4 or newer on the server" in finding.fix


def test_an_older_postgresql(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_checks, "_TRIED_FROM", 99)
    one(settings, "postgresql", Level.NOTICE, "PostgreSQL 18.")


def test_pgvector_in_a_schema_that_is_not_searched(empty_dsn: str) -> None:
    run(empty_dsn, "CREATE SCHEMA extensions", "CREATE EXTENSION vector SCHEMA extensions")
    settings = settings_for(empty_dsn)
    fix(settings, one(settings, "pgvector", Level.ERROR, "in the schema extensions"))


def test_an_old_schema_is_told_and_the_rest_is_checked(large: Settings, conn: Connection) -> None:
    del conn
    migrate.downgrade(large, "0001")
    found = not_ok(large)
    assert [(finding.check, finding.level) for finding in found] == [("schema", Level.ERROR)]
    assert found[0].fix == "imrec-pg db upgrade"
    assert [f.level for f in findings(large, "features")] == [Level.OK] * 3
    migrate.upgrade(large)
    assert bad(large, "schema") == []


def test_a_schema_from_the_future(settings: Settings, dsn: str) -> None:
    run(dsn, "UPDATE imrec.schema_version SET version_num = '9999'")
    assert one(settings, "schema", Level.ERROR, "9999").fix == "pip install --upgrade imrec-pg"


@pytest.mark.parametrize(
    ("change", "level", "says"),
    [
        (
            "DROP INDEX imrec.hash_average_hash_2_idx",
            Level.WARNING,
            "index hash_average_hash_2_idx is missing",
        ),
        ("DROP INDEX imrec.file_path_idx", Level.WARNING, "index file_path_idx is missing"),
        (
            "ALTER TABLE imrec.embedding DROP CONSTRAINT embedding_norm_check",
            Level.ERROR,
            "constraint embedding_norm_check is missing",
        ),
        (
            "ALTER TABLE imrec.hash DROP CONSTRAINT hash_image_id_fkey",
            Level.ERROR,
            "constraint hash_image_id_fkey is missing",
        ),
        ("ALTER TABLE imrec.hash DROP CONSTRAINT hash_pkey", Level.ERROR, "hash_pkey is missing"),
        (
            "UPDATE pg_constraint SET convalidated = false WHERE conname = 'histogram_norm_check'",
            Level.NOTICE,
            "histogram_norm_check was never validated",
        ),
    ],
)
def test_what_is_missing_can_be_made_again(
    settings: Settings, dsn: str, change: str, level: Level, says: str
) -> None:
    run(dsn, change)
    fix(settings, one(settings, "objects", level, says))
    migrate.check(settings)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("DROP TABLE imrec.failure CASCADE", "the table imrec.failure is missing"),
        ("DROP VIEW imrec.photo", "the view imrec.photo is missing"),
    ],
)
def test_what_cannot_be_made_again(settings: Settings, dsn: str, change: str, says: str) -> None:
    run(dsn, change)
    one(settings, "objects", Level.ERROR, says)


def test_vectors_stored_out_of_line(settings: Settings, dsn: str, conn: Connection) -> None:
    run(dsn, "ALTER TABLE imrec.embedding ALTER COLUMN embedding SET STORAGE EXTERNAL")
    AddImage(conn)("a.jpg")
    aside = (
        "SELECT coalesce(pg_relation_size(reltoastrelid), 0) "
        "FROM pg_class WHERE oid = 'imrec.embedding'::regclass"
    )
    assert conn.execute(aside).fetchone() != (0,)
    fix(settings, one(settings, "storage", Level.WARNING, "imrec.embedding are stored out of line"))
    assert conn.execute(aside).fetchone() == (0,)


def test_a_role_that_may_only_read_makes_all_checks(
    large: Settings, large_dsn: str, make_role: Callable[[], str]
) -> None:
    role = make_role()
    reader = replace(large, dsn=make_conninfo(large_dsn, user=role))
    run(
        large_dsn,
        f"GRANT USAGE ON SCHEMA imrec TO {role}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA imrec TO {role}",
    )
    searching, ingesting, building = findings(reader, "privileges")
    assert searching.what == f"the role {role} may search"
    assert not_ok(reader) == [ingesting, building]
    assert ingesting.level is building.level is Level.NOTICE
    assert (
        "average_hash, claim, difference_hash, embedding, failure, file, histogram, image, missing, model, "
        "mount, perceptual_hash, root, worker" in ingesting.what
    )
    assert "ownership of embedding, histogram" in building.what
    run(large_dsn, *ingesting.fix.partition(": ")[2].rstrip(";").split(";"))
    assert bad(reader, "privileges") == [building]


def test_a_role_without_rights_is_told_what_it_lacks(
    large: Settings, large_dsn: str, make_role: Callable[[], str]
) -> None:
    role = make_role()
    run(large_dsn, "REVOKE EXECUTE ON FUNCTION imrec.hamming_within FROM public")
    nobody = replace(large, dsn=make_conninfo(large_dsn, user=role))
    found = not_ok(nobody)
    (lacking, *_) = [finding for finding in found if finding.serious]
    assert (lacking.check, lacking.level) == ("privileges", Level.WARNING)
    assert "USAGE on the schema imrec; SELECT on average_hash, claim, difference_hash" in lacking.what
    assert "EXECUTE on hamming_within" in lacking.what
    unchecked = [finding for finding in found if finding.what.startswith("could not be checked")]
    assert {"schema", "features", "vectors", "failures", "plans"} <= {finding.check for finding in unchecked}
    assert {finding.level for finding in unchecked} == {Level.NOTICE}
    assert findings(nobody, "indexes")[0].level is Level.OK
    run(large_dsn, *lacking.fix.removeprefix("as the owner: ").rstrip(";").split(";"))
    assert [finding for finding in not_ok(nobody) if finding.serious] == []


def test_missing_features(settings: Settings, dsn: str, add_image: AddImage) -> None:
    for name in ("a.jpg", "b.jpg"):
        add_image(name)
    run(dsn, "DELETE FROM imrec.histogram WHERE image_id = '00000000-0000-0000-0000-000000000001'")
    finding = one(settings, "features", Level.WARNING, "1 of 2 images lack their histogram")
    assert "--features histogram" in finding.fix
    run(dsn, "TRUNCATE imrec.histogram")
    one(settings, "features", Level.NOTICE, "none of 2 images has its histogram")


def test_images_that_are_in_no_file(settings: Settings, dsn: str, add_image: AddImage) -> None:
    for name in ("a.jpg", "b.jpg"):
        add_image(name)
    run(dsn, "DELETE FROM imrec.file WHERE path = '/photos/a.jpg'")
    finding = one(settings, "files", Level.WARNING, "1 of all 2 rows of imrec.image have no file")
    fix(settings, replace(finding, fix=finding.fix.rpartition(" (")[0]))


def test_embeddings_of_no_model(settings: Settings, conn: Connection, add_image: AddImage) -> None:
    add_image("a.jpg")
    assert "TRUNCATE" in one(settings, "model", Level.WARNING, "no model is recorded").fix
    claim_model(conn, ModelIdentity("resnet18", "aa"))
    assert bad(settings, "model") == []


def test_vectors_without_length(settings: Settings, dsn: str, add_image: AddImage) -> None:
    add_image("a.jpg")
    add_image("b.jpg")
    run(
        dsn,
        "ALTER TABLE imrec.embedding DROP CONSTRAINT embedding_norm_check",
        "UPDATE imrec.embedding SET embedding = array_fill(0, ARRAY[512])::vector "
        "WHERE image_id = '00000000-0000-0000-0000-000000000001'",
    )
    finding = one(settings, "vectors", Level.ERROR, "1 of all 2 rows of imrec.embedding have a length of")
    fix(settings, replace(finding, fix=finding.fix.partition(";")[0]))


def test_of_large_tables_a_sample_is_looked_at_unless_all_is_asked_for(
    large: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "_SAMPLE", 600)
    for finding in findings(large, "vectors"):
        seen = int(finding.what.partition(" ")[0].replace(",", ""))
        assert 0 < seen < ROWS / 2
        assert "a sample" in finding.what
    assert all("all 6,000 rows" in finding.what for finding in findings(large, "vectors", full=True))


def test_files_that_could_not_be_read(settings: Settings, conn: Connection, add_image: AddImage) -> None:
    add_image("a.jpg")
    (root,) = conn.execute("SELECT root_id FROM imrec.root").fetchone() or ()
    file = FoundFile(root, uuid4(), b"b.jpg", b"/photos/b.jpg", 9, 1)  # type: ignore[arg-type]
    write_batch(conn, [], [FailedFile(file, None, "Unreadable", "Permission denied")])
    assert "imrec-pg errors" in one(settings, "failures", Level.NOTICE, "1 files could not be read").fix


def test_a_large_library_without_index(large: Settings, large_dsn: str, settings: Settings) -> None:
    run(large_dsn, f"DROP INDEX imrec.{INDEX}")
    finding = one(large, "indexes", Level.WARNING, "no HNSW index, at about 6,000")
    assert finding.fix == "imrec-pg index build embedding cosine"
    assert bad(settings, "indexes") == []  # a small one needs none
    with open_session(large) as conn:
        build_index(conn, Feature.EMBEDDING, Metric.COSINE)
    assert bad(large, "indexes") == []


def test_an_index_under_another_name(large: Settings, large_dsn: str) -> None:
    run(large_dsn, f"ALTER INDEX imrec.{INDEX} RENAME TO mine")
    fix(large, one(large, "indexes", Level.WARNING, "is called mine"))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (INDEX, "imrec-pg index build embedding cosine"),
        ("hash_average_hash_0_idx", 'REINDEX INDEX CONCURRENTLY "imrec"."hash_average_hash_0_idx";'),
        ("hash_pkey_ccnew1", 'DROP INDEX CONCURRENTLY "imrec"."hash_pkey_ccnew1";'),
    ],
)
def test_an_index_whose_build_broke_off(
    settings: Settings, dsn: str, conn: Connection, add_image: AddImage, name: str, says: str
) -> None:
    add_image("a.jpg")
    build_index(conn, Feature.EMBEDDING, Metric.COSINE)
    run(
        dsn,
        "CREATE UNIQUE INDEX hash_pkey_ccnew1 ON imrec.hash (image_id)",
        f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'imrec.{name}'::regclass",
    )
    finding = one(settings, "indexes", Level.WARNING, f"{name} is invalid")
    assert finding.fix == says
    if name == INDEX:
        assert build_index(conn, Feature.EMBEDDING, Metric.COSINE)
        assert bad(settings, "indexes") == []
    else:
        fix(settings, finding)


def test_an_index_that_is_being_built(
    settings: Settings, dsn: str, add_image: AddImage, make_role: Callable[[], str]
) -> None:
    add_image("a.jpg")
    role = make_role()

    def build() -> None:
        with open_session(settings) as own:
            build_index(own, Feature.EMBEDDING, Metric.COSINE)

    builder = threading.Thread(target=build)
    with psycopg.connect(dsn) as writer, psycopg.connect(dsn, autocommit=True) as watcher:
        writer.execute("UPDATE imrec.embedding SET embedding = embedding")  # the build waits for its end
        builder.start()
        begun = "SELECT FROM pg_stat_progress_create_index WHERE index_relid = to_regclass('imrec.%s')"
        while watcher.execute((begun % INDEX).encode()).fetchone() is None:
            assert builder.is_alive()
        one(settings, "indexes", Level.NOTICE, f"{INDEX} is being built")
        nobody = replace(settings, dsn=make_conninfo(dsn, user=role))
        one(nobody, "indexes", Level.NOTICE, f"{INDEX} is being built, or its build was aborted")
    builder.join()
    assert bad(settings, "indexes") == []


def test_which_pgvector_built_an_index(
    settings: Settings, dsn: str, conn: Connection, add_image: AddImage
) -> None:
    add_image("a.jpg")
    build_index(conn, Feature.EMBEDDING, Metric.COSINE)
    assert "was built by pgvector 0.8." in findings(settings, "index-builder")[0].what
    run(dsn, f"COMMENT ON INDEX imrec.{INDEX} IS 'Built by pgvector 0.8.1.'")
    fix(settings, one(settings, "index-builder", Level.WARNING, "was built by pgvector 0.8.1"))
    # Without a comment, as of an index that was built by hand.
    run(dsn, f"COMMENT ON INDEX imrec.{INDEX} IS NULL")
    assert "was built after pgvector 0.8." in findings(settings, "index-builder")[0].what
    run(dsn, "UPDATE pg_extension SET extversion = extversion")  # as ALTER EXTENSION vector UPDATE does
    finding = one(settings, "index-builder", Level.NOTICE, "it is not known which")
    rebuild, _ = finding.fix.split(";", maxsplit=1)
    fix(settings, replace(finding, fix=rebuild))


def test_the_planner_that_does_not_take_the_index(large: Settings, large_dsn: str) -> None:
    used = [finding.what for finding in findings(large, "plans")]
    assert used == [
        f"ORDER BY embedding <=> … LIMIT on imrec.{where} uses the index {INDEX}"
        for where in ("embedding", "photo")
    ]
    set_database(large_dsn, "enable_indexscan", "off")
    for finding in bad(large, "plans"):
        assert finding.level is Level.WARNING
        assert "enable_indexscan is off" in finding.why
    fix(large, finding)
    set_database(large_dsn, "random_page_cost", "10000")
    for finding in bad(large, "plans"):
        assert finding.level is Level.NOTICE  # 6,000 rows are compared fast enough
        assert "thinks the scan is cheaper" in finding.why
    unknown = "UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE oid = 'imrec.embedding'::regclass"
    run(large_dsn, unknown)
    assert bad(large, "plans")[0].fix == "ANALYZE imrec.embedding;"
    fix(large, finding)


def test_a_small_table_may_be_scanned(
    settings: Settings, dsn: str, conn: Connection, add_image: AddImage
) -> None:
    for degrees in range(3):
        add_image(f"{degrees}.jpg", embedding=at_angle(degrees))
    build_index(conn, Feature.EMBEDDING, Metric.COSINE)
    set_database(dsn, "enable_indexscan", "off")
    assert [finding.level for finding in findings(settings, "plans")] == [Level.OK, Level.OK]


def test_what_psql_users_get_from_an_index(large: Settings, large_dsn: str) -> None:
    set_database(large_dsn, "hnsw.ef_search", "10")
    fix(large, one(large, "psql", Level.NOTICE, "hnsw.ef_search is 10"))
    set_database(large_dsn, "hnsw.iterative_scan", "off")
    fix(large, one(large, "psql", Level.NOTICE, "in psql an index returns at most 100 rows"))
    set_database(large_dsn, "work_mem", "1MB")
    fix(large, one(large, "psql", Level.NOTICE, "work_mem is 1024 kB"))


def test_statistics_that_know_nothing(large: Settings, large_dsn: str) -> None:
    for known, says in ((-1, "never counted the rows of"), (100, "knows 100 rows of")):
        run(
            large_dsn,
            f"UPDATE pg_class SET reltuples = {known}, relpages = {33 if known > 0 else 0} "
            "WHERE oid = 'imrec.embedding'::regclass",
        )
        fix(large, one(large, "statistics", Level.WARNING, f"{says} imrec.embedding; there are about 6,0"))


def test_dead_rows(large: Settings, large_dsn: str) -> None:
    run(large_dsn, "ALTER TABLE imrec.embedding SET (autovacuum_enabled = off)", "ANALYZE imrec.embedding")
    delete = "DELETE FROM imrec.embedding WHERE image_id IN (SELECT image_id FROM imrec.embedding LIMIT {})"
    flush = "SELECT pg_stat_force_next_flush()"
    run(large_dsn, delete.format(500), flush)
    assert bad(large, "dead-rows") == []
    run(large_dsn, delete.format(600), flush)
    one(large, "dead-rows", Level.NOTICE, "18% of imrec.embedding is dead rows (1,100)")
    run(large_dsn, delete.format(400), flush)
    fix(large, one(large, "dead-rows", Level.WARNING, "25% of imrec.embedding is dead rows (1,500)"))


def test_tables_that_nothing_vacuums(
    large: Settings, large_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(large_dsn, "ALTER TABLE imrec.hash SET (autovacuum_enabled = false)")
    fix(large, one(large, "vacuum", Level.WARNING, "autovacuum is off for imrec.hash"))
    set_database(large_dsn, "track_counts", "off")
    one(large, "vacuum", Level.WARNING, "track_counts is off")
    set_database(large_dsn, "track_counts", "on")
    monkeypatch.setattr(upkeep, "_LARGE", ROWS - 100)
    finding = one(large, "vacuum", Level.NOTICE, "imrec.embedding, imrec.hash, imrec.histogram, imrec.image")
    fix(large, finding)


def test_too_little_memory_for_an_index_build(large: Settings, large_dsn: str) -> None:
    set_database(large_dsn, "maintenance_work_mem", "4MB")
    finding = one(large, "index-memory", Level.NOTICE, "is too small to build an index of about 6,000 rows")
    fix(large, finding)
    set_database(large_dsn, "maintenance_work_mem", "4MB")
    run(large_dsn, f"DROP INDEX imrec.{INDEX}")
    finding = one(large, "index-memory", Level.WARNING, "(17 MB)")
    assert finding.fix == "PGOPTIONS='-c maintenance_work_mem=18MB' imrec-pg index build embedding cosine"
    raised = replace(large, dsn=make_conninfo(large_dsn, options="-c maintenance_work_mem=18MB"))
    assert bad(raised, "index-memory") == []


def test_the_own_server(server: EmbeddedServer, template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its settings are changed in its own file, and its disk can be seen."""
    del template
    own = Settings(dsn=None, data_dir=server.data_dir, weights=None, dsn_source="default")
    (schema,) = bad(own, "schema")
    assert schema.fix == "imrec-pg db upgrade"
    (disk,) = findings(own, "disk")
    assert disk.level is Level.OK
    assert str(server.data_dir) in disk.what
    monkeypatch.setattr(examined.Examined, "hnsw", property(lambda _: [an_index(10**9)]))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(10**12, 10**12, 10**9))
    one(own, "disk", Level.WARNING, "too little to rebuild the largest index (1,000 MB)")
    run(server.dsn, "ALTER DATABASE imrec SET default_transaction_read_only = on")
    try:
        finding = one(own, "read-only", Level.NOTICE)
    finally:
        writable = "SET default_transaction_read_only = off"
        run(server.dsn, writable, "ALTER DATABASE imrec RESET default_transaction_read_only")
    file = f"{server.data_dir}/pg18/user.conf"
    assert finding.fix == (
        f"write default_transaction_read_only = 'off' into {file}, then run imrec-pg db stop"
    )


def test_a_standby_set_up_badly(server_folder: Path) -> None:
    second = EmbeddedServer(server_folder / "standby")
    own = Settings(dsn=None, data_dir=second.data_dir, weights=None, dsn_source="default")
    try:
        migrate.upgrade(own)
        assert not_ok(own) == []
        with (second.data_dir / "pg18" / "user.conf").open("a") as file:
            file.write("wal_level = replica\nautovacuum = off\n")
        second.stop()
        second.start()
        second.stop()
        (second.data_dir / "pg18" / "standby.signal").touch()
        found = {finding.check: finding for finding in not_ok(own)}
    finally:
        second.stop()
    assert found.keys() == {"read-only", "vacuum"}
    assert found["read-only"].what == "this server is a standby"
    assert found["vacuum"].what == "autovacuum is off"
    assert "into " in found["vacuum"].fix
    assert "/user.conf, then run imrec-pg db stop" in found["vacuum"].fix


def an_index(size: int) -> examined.Index:
    return examined.Index(
        1, INDEX, "embedding", "hnsw", "embedding", "vector_cosine_ops", False, True, size, None, False
    )


def test_what_is_locked_is_told_and_the_rest_is_checked(settings: Settings, dsn: str) -> None:
    set_database(dsn, "lock_timeout", "50ms")
    with psycopg.connect(dsn) as other:
        other.execute("LOCK TABLE imrec.failure IN ACCESS EXCLUSIVE MODE")
        (finding,) = not_ok(settings)
    assert (finding.check, finding.level) == ("failures", Level.NOTICE)
    assert finding.what == "could not be checked: canceling statement due to lock timeout"
    assert not_ok(settings) == []


def test_what_takes_too_long_is_told(settings: Settings, dsn: str) -> None:
    set_database(dsn, "statement_timeout", "500ms")
    with psycopg.connect(dsn) as other:
        other.execute("LOCK TABLE imrec.failure IN ACCESS EXCLUSIVE MODE")
        finding = one(settings, "failures", Level.NOTICE, "due to statement timeout")
    assert finding.fix == "imrec-pg doctor --full"


def test_a_lost_connection_ends_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def end(subject: examined.Examined) -> Iterator[Finding]:
        subject.conn.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        yield from ()

    monkeypatch.setitem(doctor.CHECKS, "encoding", end)
    with pytest.raises(DatabaseUnreachableError, match="lost the database"):
        examine(settings)
