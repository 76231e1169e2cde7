"""The command line of the benchmark."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import command
from benchmarks.results import Section
from imrec_pg.cli.common import Invocation
from imrec_pg.embedded import EmbeddedServer
from imrec_pg.errors import UsageError


def test_it_refuses_to_work_in_the_users_own_folder(tmp_path: Path) -> None:
    found = CliRunner().invoke(command, ["search", "--data", str(tmp_path)], obj=Invocation())
    assert isinstance(found.exception, UsageError)


def test_json_on_stdout_is_nothing_else(server: EmbeddedServer, tmp_path: Path) -> None:
    markdown = tmp_path / "table.md"
    arguments = ["load", "--rows", "100", "--dsn", server.dsn, "--json", "-", "--markdown", str(markdown)]
    found = CliRunner().invoke(command, arguments, obj=Invocation())
    assert found.exception is None
    report = json.loads(found.stdout)
    assert report["complete"]
    assert report["machine"]["server"]["PostgreSQL"]
    assert {line["section"] for line in report["lines"]} == {"load"}
    assert "| what | ours | rival |" in markdown.read_text()


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_explains_each_section_and_shows_how_to_call_it(option: str) -> None:
    found = CliRunner().invoke(command, [option], prog_name="python -m benchmarks")
    assert found.output.startswith("Usage: python -m benchmarks [OPTIONS] [SECTION]...")
    assert all(f"\n    {section} " in found.output for section in Section)
    assert "\n    python -m benchmarks quality --photos ~/Pictures\n" in found.output


def test_an_unknown_section_is_refused() -> None:
    found = CliRunner().invoke(command, ["speed"], obj=Invocation())
    assert found.exit_code == 2
    assert "'speed' is not one of 'search', 'hamming'" in found.output
