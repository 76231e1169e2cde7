"""No output replaces a photo, or anything that imrec-pg did not write; and nobody else may read one."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.command import Imrec, Run, url_of
from e2e.photos import save_scenes
from support import new_database

FAST = ("--feature", "average_hash")


@pytest.fixture(scope="module")
def stored(template: str, imrec: Imrec, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Imrec]:
    """Yield the command on a library of four photos; they lie in the folder "stored"."""
    folder = tmp_path_factory.mktemp("library") / "stored"
    save_scenes(folder, range(4))
    with new_database(template, "imrec_template") as dsn:
        run = imrec.on(url_of(dsn)).with_environ(STORED=str(folder))
        run("ingest", folder, "--features", "average_hash")
        yield run


@pytest.fixture
def photos(stored: Imrec) -> Iterator[Path]:
    """Yield the folder of stored photos, in which nothing may have changed at the end."""
    folder = Path(stored.environ["STORED"])
    before = contents(folder)
    yield folder
    assert contents(folder) == before


def contents(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def refused(run: Run) -> str:
    assert not run.raw_out
    return run.message


def test_a_plot_taken_for_a_switch_replaces_no_photo(stored: Imrec, photos: Path) -> None:
    """As in `search --plot *.jpg`, which the shell expands."""
    files = sorted(photos.iterdir())
    said = refused(stored("search", *FAST, "--plot", *files, code=2))
    assert (
        said == f"imrec-pg: {files[0]} is a stored photo, and those are never replaced: choose another name"
    )


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_a_query_is_never_replaced(stored: Imrec, tmp_path: Path, force: tuple[str, ...]) -> None:
    """Stored or not, by another spelling or another link of it, liked or disliked."""
    query, disliked = save_scenes(tmp_path, [98, 99])
    (tmp_path / "link").symlink_to(tmp_path)
    os.link(query, tmp_path / "hard.jpg")
    before = contents_of_files(tmp_path)
    for target in ("0098.jpg", "./link/0098.jpg", "hard.jpg", "0099.jpg"):
        arguments = ("search", "0098.jpg", "--dislike", disliked, *FAST, "--plot", target, *force)
        assert "is a query" in refused(stored(*arguments, cwd=tmp_path, code=2))
    assert contents_of_files(tmp_path) == before


def contents_of_files(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir() if p.is_file()}


def test_a_stored_photo_is_never_replaced_whatever_leads_to_it(
    stored: Imrec, photos: Path, tmp_path: Path
) -> None:
    (query,) = save_scenes(tmp_path, [99])
    (tmp_path / "folder").symlink_to(photos)
    (tmp_path / "link.jpg").symlink_to(photos / "0001.jpg")
    os.link(photos / "0001.jpg", tmp_path / "hard.jpg")
    shutil.copy(photos / "0001.jpg", tmp_path / "copy.jpg")
    targets = (photos / "0001.jpg", "folder/0001.jpg", "link.jpg", "hard.jpg", "copy.jpg")
    for target in targets:
        said = refused(stored("search", query, *FAST, "--plot", target, "--force", cwd=tmp_path, code=2))
        assert "is a stored photo" in said
        assert "is a stored photo" in refused(stored("db", "dump", target, "--force", cwd=tmp_path, code=2))


def test_a_photo_that_changed_since_it_was_stored_is_known_by_its_path(
    run: Imrec, folder: Path, tmp_path: Path
) -> None:
    query, photo = save_scenes(folder / "real", [1, 2])
    (folder / "library").mkdir()
    (folder / "library" / "link").symlink_to(folder / "real")
    run("ingest", folder / "library", "--features", "average_hash")
    photo.write_bytes(b"edited meanwhile")
    for target in (photo, folder / "library" / "link" / photo.name):
        said = refused(run("search", query, *FAST, "--plot", target, "--force", cwd=tmp_path, code=2))
        assert "is a stored photo" in said
    assert photo.read_bytes() == b"edited meanwhile"


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "pdf"])
def test_an_earlier_plot_is_replaced_and_other_files_only_by_force(
    stored: Imrec, tmp_path: Path, ending: str
) -> None:
    (query, mine) = save_scenes(tmp_path, [98, 99])
    target = tmp_path / f"sheet.{ending}"
    for _ in range(2):
        stored("search", query, *FAST, "--plot", target)
    assert target.stat().st_mode & 0o777 == 0o600
    shutil.copy(mine, target)
    said = refused(stored("search", query, *FAST, "--plot", target, code=2))
    assert "is not a plot that imrec-pg wrote: choose another name (--force replaces it)" in said
    assert target.read_bytes() == mine.read_bytes()
    stored("search", query, *FAST, "--plot", target, "--force")
    assert target.read_bytes() != mine.read_bytes()


def test_a_dump_replaces_a_dump_and_other_files_only_by_force(stored: Imrec, tmp_path: Path) -> None:
    file = tmp_path / "photos.dump"
    stored("db", "dump", file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert "--overwrite replaces it" in stored("db", "dump", file, code=2).message
    stored("db", "dump", file, "--overwrite")
    for content in (b"my diary", b"PGDMP, of another database"):
        file.write_bytes(content)
        assert "--force replaces it" in stored("db", "dump", file, "--overwrite", code=2).message
        assert file.read_bytes() == content
    stored("db", "dump", file, "--force")
    assert file.read_bytes().startswith(b"PGDMP")


def test_an_export_replaces_no_folder_with_parquet_of_others(stored: Imrec, tmp_path: Path) -> None:
    export = tmp_path / "export"
    stored("export", export)
    assert export.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in export.iterdir()} == {0o600}
    (export / "ratings.parquet").write_bytes(b"PAR1 of mine PAR1")
    said = stored("export", export, "--overwrite", code=2).message
    assert "holds other things than an export" in said
    (export / "ratings.parquet").unlink()
    stored("export", export, "--overwrite")


def test_names_that_others_planted_lead_nowhere(stored: Imrec, tmp_path: Path) -> None:
    victim, shared = tmp_path / "victim", tmp_path / "shared"
    victim.mkdir()
    (victim / "image.parquet").write_bytes(b"root's")
    shared.mkdir()
    shared.chmod(0o2777)
    (shared / "photos.dump.partial").symlink_to(victim / "image.parquet")
    (shared / "export.partial").symlink_to(victim)
    (shared / ".export.replaced").symlink_to(victim)
    stored("db", "dump", shared / "photos.dump")
    stored("export", shared / "export")
    stored("export", shared / "export", "--overwrite")
    assert [path.read_bytes() for path in victim.iterdir()] == [b"root's"]
    assert not (shared / "photos.dump").is_symlink()
