"""export and import, db dump and db restore: what comes back answers as the original did."""

import signal
from pathlib import Path

import psycopg
from e2e.command import Album, Imrec, until, url_of
from e2e.database import SESSIONS, content, counts, one


def test_an_export_comes_back_and_says_what_it_did(
    album: Album, run: Imrec, dsn: str, tmp_path: Path
) -> None:
    folder = tmp_path / "export"
    said = album.run("export", folder, "--json").json
    assert {table["table"]: table["rows"] for table in said["tables"]}["embedding"] == album.images
    assert "--overwrite replaces it" in album.run("export", folder, code=2).message
    done = run("import", folder, "--json").json
    assert done["index_built"]
    assert sum(table["added"] for table in done["tables"]) == sum(table["rows"] for table in said["tables"])
    assert content(dsn) == content(album.dsn)
    image = album.folder / "original.png"
    before, after = (r("search", image, "--json").json["neighbours"] for r in (album.run, run))
    assert before == after
    (folder / "average_hash.parquet").write_bytes(b"PAR1")
    assert run("import", folder, code=1).message.startswith("imrec-pg: average_hash.parquet: cannot be read")


def test_a_dump_comes_back(album: Album, imrec: Imrec, empty_dsn: str, tmp_path: Path) -> None:
    run = imrec.on(url_of(empty_dsn))
    album.run("db", "dump", tmp_path / "photos.dump")
    assert run("db", "restore", tmp_path / "photos.dump").err == "restored\n"
    assert content(empty_dsn) == content(album.dsn)
    assert run("ingest", album.folder, "--json").json["new"] == 0
    assert "holds photos already" in run("db", "restore", tmp_path / "photos.dump", code=2).message


def test_a_killed_import_is_completed_by_the_next(album: Album, run: Imrec, dsn: str, tmp_path: Path) -> None:
    album.run("export", tmp_path / "export")
    with psycopg.connect(dsn) as blocker:
        blocker.execute("LOCK TABLE imrec.histogram IN SHARE MODE")
        started = run.start("import", tmp_path / "export")
        started.until(lambda: one(dsn, "SELECT count(*) FROM pg_locks WHERE NOT granted"))
        started.signal(signal.SIGKILL, group=True)
        started.process.communicate()
    until(lambda: one(dsn, SESSIONS) == 0, "the server gives up the killed one's transaction")
    killed = counts(dsn)
    assert (killed["image"], killed["file"], killed["histogram"]) == (57, 57, 0)
    run("import", tmp_path / "export", "--no-index")
    assert content(dsn) == content(album.dsn)


def test_a_full_disk_is_told_of_and_leaves_nothing(album: Album, tmp_path: Path) -> None:
    """A limit on the size of a file stands for it: the same error from the same call."""
    limited = Imrec(album.run.environ, wrapper=("prlimit", "--fsize=50000"))
    message = limited("export", tmp_path / "export", code=1).message
    assert "could not be written (File too large): nothing is left of it" in message
    assert not list(tmp_path.iterdir())
