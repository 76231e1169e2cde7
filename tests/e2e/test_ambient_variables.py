"""Our own server: no variable that libpq reads changes how it is reached, nor what it answers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.command import Imrec

from imrec_pg.embedded import EmbeddedServer
from imrec_pg.embedded.connection import server_version

# https://www.postgresql.org/docs/18/libpq-envars.html
VARIABLES = [
    "PGHOST",
    "PGSSLNEGOTIATION",
    "PGHOSTADDR",
    "PGPORT",
    "PGDATABASE",
    "PGUSER",
    "PGPASSWORD",
    "PGPASSFILE",
    "PGREQUIREAUTH",
    "PGCHANNELBINDING",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGOPTIONS",
    "PGSSLMODE",
    "PGREQUIRESSL",
    "PGSSLCOMPRESSION",
    "PGSSLCERT",
    "PGSSLKEY",
    "PGSSLCERTMODE",
    "PGSSLROOTCERT",
    "PGSSLCRL",
    "PGSSLCRLDIR",
    "PGSSLSNI",
    "PGREQUIREPEER",
    "PGSSLMINPROTOCOLVERSION",
    "PGSSLMAXPROTOCOLVERSION",
    "PGGSSENCMODE",
    "PGKRBSRVNAME",
    "PGGSSLIB",
    "PGGSSDELEGATION",
    "PGCONNECT_TIMEOUT",
    "PGCLIENTENCODING",
    "PGTARGETSESSIONATTRS",
    "PGLOADBALANCEHOSTS",
    "PGMINPROTOCOLVERSION",
    "PGMAXPROTOCOLVERSION",
    "PGDATESTYLE",
    "PGTZ",
    "PGGEQO",
    "PGSYSCONFDIR",
    "PGLOCALEDIR",
]


@pytest.fixture
def own(imrec: Imrec, reachable: Path) -> Iterator[Imrec]:
    run = imrec.with_environ(IMREC_DATA=str(reachable / "ambient"))
    run("db", "start")
    yield run
    run("db", "stop")


@pytest.mark.parametrize("name", VARIABLES)
def test_a_server_answers_whatever_the_variable(
    server: EmbeddedServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "nonsense")
    assert server_version(server.dsn) is not None


def test_all_commands_work_with_all_variables_set(own: Imrec, tmp_path: Path) -> None:
    odd = own.with_environ(**dict.fromkeys(VARIABLES, "nonsense"))
    assert odd("status").out.startswith("images")
    assert odd("psql", "-Atc", "SELECT current_user, inet_server_addr() IS NULL").out == "imrec|t\n"
    odd("db", "upgrade")
    odd("db", "dump", tmp_path / "all.dump")
    odd("db", "restore", tmp_path / "all.dump")
    odd("doctor", "--json")
    odd("db", "stop")
    odd("db", "start")


def test_a_program_keeps_its_variables(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in VARIABLES:
        monkeypatch.setenv(name, "nonsense")
    assert server_version(server.dsn) is not None
    assert all(os.environ[name] == "nonsense" for name in VARIABLES)
