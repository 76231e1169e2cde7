"""What the doctor finds in a database, and doing as it says."""

import psycopg
from psycopg.conninfo import conninfo_to_dict

from imrec_pg.doctor import Finding, Level, examine
from imrec_pg.settings import Settings

INDEX = "embedding_cosine_hnsw"


ROWS = 6_000


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
