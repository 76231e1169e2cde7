"""The schema: its version, and the objects that the migrations created."""

import pytest
from integration.doctor.findings import bad, findings, fix, not_ok, one, run
from support import AddImage

from imrec_pg.db import migrate
from imrec_pg.db.connection import Connection
from imrec_pg.doctor import Level
from imrec_pg.settings import Settings


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("UPDATE imrec.schema_version SET version_num = '0000'", "the schema is at 0000"),
        (
            "UPDATE imrec_internal.applied_sql SET digest = 'another'",
            "functions in the database are not those",
        ),
    ],
)
def test_an_old_schema_is_told_and_the_rest_is_checked(
    large: Settings, large_dsn: str, change: str, says: str
) -> None:
    run(large_dsn, change)
    found = not_ok(large)
    assert [(finding.check, finding.level) for finding in found] == [("schema", Level.ERROR)]
    assert says in found[0].what
    assert found[0].fix == "imrec-pg db upgrade"
    assert [f.level for f in findings(large, "features")] == [Level.OK] * 5


def test_functions_of_another_version_are_replaced_by_an_upgrade(settings: Settings, dsn: str) -> None:
    run(dsn, "UPDATE imrec_internal.applied_sql SET digest = 'another'")
    assert bad(settings, "schema")
    migrate.upgrade(settings)
    assert not_ok(settings) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("UPDATE imrec.schema_version SET version_num = '9999'", "9999"),
        ("UPDATE imrec_internal.applied_sql SET imrec_version = '99.0'", "imrec-pg 99.0"),
    ],
)
def test_a_schema_from_the_future(settings: Settings, dsn: str, change: str, says: str) -> None:
    run(dsn, change)
    assert one(settings, "schema", Level.ERROR, says).fix == "pip install --upgrade imrec-pg"


@pytest.mark.parametrize(
    ("change", "level", "says"),
    [
        (
            "DROP INDEX imrec.average_hash_chunk_2_idx",
            Level.WARNING,
            "index average_hash_chunk_2_idx is missing",
        ),
        ("DROP INDEX imrec.file_path_idx", Level.WARNING, "index file_path_idx is missing"),
        (
            "ALTER TABLE imrec.embedding DROP CONSTRAINT embedding_norm_check",
            Level.ERROR,
            "constraint embedding_norm_check is missing",
        ),
        (
            "ALTER TABLE imrec.average_hash DROP CONSTRAINT average_hash_image_id_fkey",
            Level.ERROR,
            "constraint average_hash_image_id_fkey is missing",
        ),
        (
            "ALTER TABLE imrec.average_hash DROP CONSTRAINT average_hash_pkey",
            Level.ERROR,
            "average_hash_pkey is missing",
        ),
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


def test_what_cannot_be_made_again(settings: Settings, dsn: str) -> None:
    run(dsn, "DROP TABLE imrec.failure CASCADE")
    one(settings, "objects", Level.ERROR, "the table imrec.failure is missing")


def test_an_upgrade_makes_a_view_again(settings: Settings, dsn: str) -> None:
    run(dsn, "DROP VIEW imrec.photo")
    finding = one(settings, "objects", Level.ERROR, "the view imrec.photo is missing")
    assert finding.fix == "imrec-pg db upgrade"
    migrate.upgrade(settings)
    assert bad(settings, "objects") == []


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


def test_hashes_stored_packed(settings: Settings, dsn: str) -> None:
    run(dsn, "ALTER TABLE imrec.average_hash ALTER COLUMN average_hash SET STORAGE EXTENDED")
    fix(settings, one(settings, "storage", Level.NOTICE, "imrec.average_hash are stored packed"))
