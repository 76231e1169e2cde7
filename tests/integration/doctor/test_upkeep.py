"""Statistics, dead rows and vacuum."""

import pytest
from integration.doctor.findings import ROWS, bad, fix, one, run, set_database

from imrec_pg.doctor import Level, upkeep
from imrec_pg.settings import Settings


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
    run(large_dsn, "ALTER TABLE imrec.average_hash SET (autovacuum_enabled = false)")
    fix(large, one(large, "vacuum", Level.WARNING, "autovacuum is off for imrec.average_hash"))
    set_database(large_dsn, "track_counts", "off")
    one(large, "vacuum", Level.WARNING, "track_counts is off")
    set_database(large_dsn, "track_counts", "on")
    monkeypatch.setattr(upkeep, "_LARGE", ROWS - 100)
    finding = one(
        large,
        "vacuum",
        Level.NOTICE,
        "imrec.average_hash, imrec.difference_hash, imrec.embedding, imrec.file, imrec.histogram, imrec.image",
    )
    fix(large, finding)
