"""Indexes: absent, invalid, being built, of another pgvector, and the memory to build them."""

import threading
from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest
from integration.doctor.findings import INDEX, bad, findings, fix, one, run, set_database
from psycopg.conninfo import make_conninfo
from support import AddImage

from imrec_pg.catalogue.index import build_index
from imrec_pg.db.connection import Connection
from imrec_pg.db.session import open_session
from imrec_pg.doctor import Level
from imrec_pg.records import Feature, Metric
from imrec_pg.settings import Settings


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
        ("average_hash_chunk_0_idx", 'REINDEX INDEX CONCURRENTLY "imrec"."average_hash_chunk_0_idx";'),
        ("average_hash_pkey_ccnew1", 'DROP INDEX CONCURRENTLY "imrec"."average_hash_pkey_ccnew1";'),
    ],
)
def test_an_index_whose_build_broke_off(
    settings: Settings, dsn: str, conn: Connection, add_image: AddImage, name: str, says: str
) -> None:
    add_image("a.jpg")
    build_index(conn, Feature.EMBEDDING, Metric.COSINE)
    run(
        dsn,
        "CREATE UNIQUE INDEX average_hash_pkey_ccnew1 ON imrec.average_hash (image_id)",
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
