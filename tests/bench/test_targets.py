"""Files for reports."""

from pathlib import Path

import pytest

from benchmarks.__main__ import _Target
from imrec_pg.errors import FileInTheWayError, KeptFileError

REPORT = '{"program": "imrec-pg benchmarks"}'


def test_a_report_replaces_reports_alone_and_never_an_image(tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    for _ in range(2):
        _Target(target, force=False).write(REPORT)
    assert target.read_text() == REPORT
    target.write_text('{"mine": 1}')
    with pytest.raises(FileInTheWayError):
        _Target(target, force=False)
    _Target(target, force=True)
    target.rename(tmp_path / "a.jpg")
    with pytest.raises(KeptFileError):
        _Target(tmp_path / "a.jpg", force=True)
