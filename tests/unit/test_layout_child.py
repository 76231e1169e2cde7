"""How the process that UMAP runs in comes to it: without pynndescent where that works, else with it."""

import subprocess
import sys
from pathlib import Path

import pytest

_ASK = "from imrec_pg.analysis import layout_child; print(layout_child._umap().made_of)"
_UMAP = "from pynndescent import {names}\nclass UMAP:\n    made_of = {names}.__module__\n"


@pytest.mark.parametrize(
    ("names", "of"), [("NNDescent", "imrec_pg.analysis.layout_child"), ("Other", "pynndescent")]
)
def test_pynndescent_is_imported_only_for_a_umap_that_asks_more_of_it(
    tmp_path: Path, names: str, of: str
) -> None:
    files = {
        "umap/__init__.py": _UMAP.format(names=names),
        "umap/umap_.py": "",
        "umap/layouts.py": "",
        "pynndescent/__init__.py": "class Other: pass",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {_ASK}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"{of}\n", "")
