"""The wheel carries the SQL and the migrations, which lie outside the package in a checkout."""

import subprocess
import sys
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def test_the_wheel_migrates_an_empty_database(tmp_path: Path, empty_dsn: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("imrec_pg-*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
        names = set(archive.namelist())
    for folder in ("sql", "migrations"):
        for file in (REPOSITORY / folder).rglob("*"):
            if file.suffix in {".sql", ".py", ".mako"}:
                assert f"imrec_pg/_{folder}/{file.relative_to(REPOSITORY / folder)}" in names
    # -P keeps this folder, the checkout, off sys.path; the editable install comes after PYTHONPATH.
    ran = subprocess.run(
        [sys.executable, "-P", "-c", _PROGRAM, "--dsn", empty_dsn, "db", "upgrade"],
        env={"PYTHONPATH": str(site), "PATH": ""},
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == str(site / "imrec_pg" / "__init__.py")


_PROGRAM = """
import imrec_pg
print(imrec_pg.__file__, flush=True)
from imrec_pg.cli.main import main
main()
"""
