"""Which plans psql users get."""

from integration.doctor.findings import INDEX, bad, findings, fix, one, run, set_database
from support import AddImage, at_angle

from imrec_pg.catalogue.index import build_index
from imrec_pg.db.connection import Connection
from imrec_pg.doctor import Level
from imrec_pg.records import Feature, Metric
from imrec_pg.settings import Settings


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
