"""Programs that use the library as beginners do: an error at once, which says what to do."""

import subprocess
import sys
from pathlib import Path

import pytest
from e2e.command import PATIENCE_S, clean_environ
from e2e.photos import save_scenes

UNGUARDED = """
import sys, imrec_pg
with imrec_pg.open(sys.argv[1]) as library:
    library.ingest(sys.argv[2], features=["histogram"], workers=2)
"""
DAEMON = """
import multiprocessing, sys, imrec_pg

def work(dsn, folder):
    with imrec_pg.open(dsn) as library:
        try:
            library.ingest(folder, features=["histogram"], workers=2)
        except imrec_pg.ImrecError as error:
            print(type(error).__name__, error)

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:  # its processes are daemonic
        pool.apply(work, sys.argv[1:])
"""
GUARDED = """
import sys, imrec_pg
library = imrec_pg.open(sys.argv[1])

def main():
    print(library.ingest(sys.argv[2], features=["histogram"], workers=2).tally.new)

if __name__ == "__main__":
    main()
library.close()
"""


def run(script: str, tmp_path: Path, dsn: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    file = tmp_path / "script.py"
    file.write_text(script)
    return subprocess.run(
        [sys.executable, file, dsn, folder],
        capture_output=True,
        text=True,
        env=clean_environ() | {"PYTHONPATH": str(Path(__file__).parents[2])},
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.fixture
def scenes(folder: Path) -> Path:
    save_scenes(folder, range(6))
    return folder


def test_a_script_without_the_main_guard_ends_and_says_what_it_lacks(
    tmp_path: Path, dsn: str, scenes: Path
) -> None:
    done = run(UNGUARDED, tmp_path, dsn, scenes)
    assert done.returncode == 1
    assert "if __name__ == '__main__'" in done.stderr.splitlines()[-1]
    assert "waiting for" not in done.stderr


def test_a_daemonic_process_is_told_what_to_do(tmp_path: Path, dsn: str, scenes: Path) -> None:
    done = run(DAEMON, tmp_path, dsn, scenes)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("NoWorkersError")
    assert "ProcessPoolExecutor" in done.stdout


def test_a_library_may_be_opened_outside_of_the_guard(tmp_path: Path, dsn: str, scenes: Path) -> None:
    done = run(GUARDED, tmp_path, dsn, scenes)
    assert (done.returncode, done.stdout) == (0, "6\n"), done.stderr
