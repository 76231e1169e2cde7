"""What a role lacks, and how it gets it."""

from collections.abc import Callable
from dataclasses import replace

from integration.doctor.findings import bad, findings, not_ok, run
from psycopg.conninfo import make_conninfo

from imrec_pg.doctor import Level
from imrec_pg.settings import Settings


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
        "INSERT, UPDATE, DELETE on claim, duplicate_member, duplicate_pair, duplicate_seen, duplicate_verdict, "
        "failure, file, image, missing, mount, root, worker; INSERT, UPDATE on average_hash, cluster_member, "
        "difference_hash, duplicate_search, embedding, embedding_reduced, histogram, histogram_reduced, "
        "map_point, perceptual_hash; "
        "INSERT on model" in ingesting.what
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
    assert "USAGE on the schema imrec; SELECT on average_hash, claim, cluster, cluster_member" in lacking.what
    assert "EXECUTE on hamming_within" in lacking.what
    unchecked = [finding for finding in found if finding.what.startswith("could not be checked")]
    assert {"schema", "features", "vectors", "failures", "plans"} <= {finding.check for finding in unchecked}
    assert {finding.level for finding in unchecked} == {Level.NOTICE}
    assert findings(nobody, "indexes")[0].level is Level.OK
    run(large_dsn, *lacking.fix.removeprefix("as the owner: ").rstrip(";").split(";"))
    assert [finding for finding in not_ok(nobody) if finding.serious] == []
