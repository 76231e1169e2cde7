"""imrec-pg watch: links to folders that are made while it runs."""

import signal
from pathlib import Path

from e2e.command import Imrec
from e2e.database import one
from e2e.photos import save_scenes

LIGHT = ("--features", "average_hash", "--workers", "1")


def test_what_comes_into_a_folder_linked_meanwhile_is_stored(run: Imrec, dsn: str, folder: Path) -> None:
    def stored(path: str) -> bool:
        return bool(one(dsn, "SELECT count(*) FROM imrec.file WHERE path = %s", f"{folder}/{path}"))

    target = folder.parent / "target"
    save_scenes(folder, [0])
    save_scenes(target, [1])
    watching = run.start("watch", folder, *LIGHT, "--settle", "0.3", "--rescan", "0")
    try:
        watching.until(lambda: stored("0000.jpg"))
        (folder / "link").symlink_to(target)
        watching.until(lambda: stored("link/0001.jpg"))
        (save_scenes(folder.parent / "new", [2])[0]).rename(target / "later.jpg")
        watching.until(lambda: stored("link/later.jpg"))
        # And what comes into the folder itself is still noticed.
        (save_scenes(folder.parent / "new", [3])[0]).rename(folder / "own.jpg")
        watching.until(lambda: stored("own.jpg"))
    finally:
        watching.signal(signal.SIGINT, group=True)
        done = watching.wait()
    assert done.code == 0
