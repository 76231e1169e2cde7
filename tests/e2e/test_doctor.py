"""imrec-pg doctor: what it prints, and how it ends."""

from uuid import uuid4

from e2e.command import Album, Imrec, url_of
from e2e.database import one, query
from psycopg.conninfo import make_conninfo


def test_nothing_to_fix_ends_with_0(album: Album) -> None:
    machine, human, all_ = album.run.all([["doctor", "--json"], ["doctor"], ["doctor", "-v", "--full"]])
    assert {frozenset(finding) for finding in machine.json} == {
        frozenset({"check", "level", "what", "why", "fix"})
    }
    notices = [finding for finding in machine.json if finding["level"] != "ok"]
    assert [(f["check"], f["level"], f["what"]) for f in notices] == [
        ("failures", "notice", "2 files could not be read")
    ]
    fine = len(machine.json) - 1
    assert human.out.splitlines() == [
        "notice   failures: 2 files could not be read",
        f"         {notices[0]['why']}",
        f"         fix: {notices[0]['fix']}",
        f"{fine} findings are fine (--verbose shows them)",
    ]
    assert len(all_.out.splitlines()) == 3 + fine
    assert "ok       schema: the schema is at " in all_.out
    assert not machine.err + human.err + all_.err


def test_a_warning_or_an_error_ends_with_1_the_worst_first(copied_album: Album) -> None:
    run, dsn = copied_album.run, copied_album.dsn
    query(dsn, "DROP INDEX imrec.file_path_idx")
    query(dsn, "ALTER TABLE imrec.embedding DROP CONSTRAINT embedding_norm_check")
    shown = run("doctor", code=1)
    assert [line.split()[0] for line in shown.out.splitlines() if not line.startswith(" ")][:-1] == [
        "error",
        "warning",
        "notice",
    ]
    levels = [finding["level"] for finding in run("doctor", "--json", code=1).json]
    assert (levels.count("error"), levels.count("warning")) == (1, 1)
    assert not shown.err


def test_a_database_that_other_commands_refuse(imrec: Imrec, empty_dsn: str, dsn: str) -> None:
    empty = imrec.on(url_of(empty_dsn))
    assert "imrec-pg db upgrade" in empty("doctor", code=1).out
    query(dsn, "UPDATE imrec_internal.applied_sql SET digest = 'another'")
    old = imrec.on(url_of(dsn))
    assert "imrec-pg db upgrade" in old("status", code=1).message
    assert "the functions in the database are not those of this imrec-pg" in old("doctor", code=1).out
    old("db", "upgrade")
    old("doctor")


def test_a_role_that_may_only_read(copied_album: Album) -> None:
    dsn, role = copied_album.dsn, f"role_{uuid4().hex}"
    query(dsn, f"CREATE ROLE {role} LOGIN")
    run = copied_album.run.on(make_conninfo(dsn, user=role))
    assert "may not search" in run("doctor", code=1).out
    query(dsn, f"GRANT USAGE ON SCHEMA imrec TO {role}")
    query(dsn, f"GRANT SELECT ON ALL TABLES IN SCHEMA imrec TO {role}")
    shown = run("doctor")
    assert "may not ingest" in shown.out
    assert "could not be checked" not in shown.out
    assert one(dsn, "SELECT count(*) FROM imrec.failure") == 2
