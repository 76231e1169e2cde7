"""The examples of docs/guide/sql.md, run by psql, in their order, on a small library."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from support import AddImage

from imrec_pg.db.connection import Connection
from imrec_pg.embedded import psql_path

DOCUMENT = Path(__file__).parents[2] / "docs" / "guide" / "sql.md"
BLOCKS = re.findall(r"```sql\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def psql(url: str, tmp_path: Path) -> list[str]:
    del tmp_path
    return [str(psql_path()), url, "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--tuples-only", "--no-align"]


def test_every_example_runs_and_answers(
    conn: Connection, add_image: AddImage, psql: list[str], tmp_path: Path
) -> None:
    names = ["a.jpg", *(f"2024/{i}.jpg" for i in range(30))]
    add_image.many({"name": name} for name in names)
    conn.execute(
        "UPDATE imrec.image SET size = 1000 + n, width = 2000, camera_make = 'Canon', "
        "taken_at = '2023-07-01' "
        "FROM (SELECT image_id, row_number() OVER (ORDER BY image_id) AS n FROM imrec.image) AS s "
        "WHERE s.image_id = image.image_id"
    )
    Image.new("RGB", (60, 40), (200, 90, 30)).save(tmp_path / "a.jpg")
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    assert len(BLOCKS) >= 14
    for block in BLOCKS:
        done = subprocess.run(
            psql, input=block, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
        )
        assert done.returncode == 0, f"{block}\n{done.stderr}"
        # Each SELECT gives rows; imrec.tuning is empty until imrec-pg tune has run.
        queries = len(re.findall(r"(?m)^SELECT", block)) - block.count("imrec.tuning;")
        assert len(done.stdout.splitlines()) >= queries + 2, block
