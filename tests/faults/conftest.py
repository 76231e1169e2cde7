"""A server of this suite's own, with fsync on, and the table of figures at the end."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faults.checks import check_deadlocks
from faults.figures import Figures, table
from psycopg.conninfo import make_conninfo
from support import new_database, settings_for

from imrec_pg.db import migrate
from imrec_pg.embedded import EmbeddedServer


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Figures:
    return Figures(record_property)


@pytest.fixture(scope="session")
def own_server(server_folder: Path) -> Iterator[EmbeddedServer]:
    """Return a server that tests may kill: it is not that of the other tests, whose fsync is off."""
    server = EmbeddedServer(server_folder / "f")
    server.start()
    migrate.upgrade(settings_for(server.dsn))
    migrate.upgrade(settings_for(_named(server, "template1")))
    yield server
    server.stop()


@pytest.fixture
def database(own_server: EmbeddedServer, figures: Figures) -> Iterator[str]:
    """Yield the dsn of a database with the newest schema; no deadlock may have happened at the end."""
    own_server.start()
    with new_database(own_server.dsn, "template1") as dsn:
        yield dsn
        check_deadlocks(figures, dsn, own_server.status().log)


def _named(server: EmbeddedServer, name: str) -> str:
    return make_conninfo(server.dsn, dbname=name)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    # The last report of a test has what all of it recorded.
    reports = [
        r for listed in terminalreporter.stats.values() for r in listed if isinstance(r, pytest.TestReport)
    ]
    reports = [report for report in reports if report.when == "teardown"]
    lines = table(pair for report in reports for pair in report.user_properties)
    if lines:
        terminalreporter.section("what the fault suite counted")
        for line in lines:
            terminalreporter.write_line(line)
