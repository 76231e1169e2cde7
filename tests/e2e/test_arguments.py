"""Arguments of unset variables, in no encoding, and queries that are no image files."""

from pathlib import Path

import pytest
from e2e.command import Argument, Imrec
from e2e.photos import save_scenes

IMAGE = "0001.jpg"
NOT_UTF8 = b"caf\xe9"


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (["ingest", ""], "argument 2"),
        (["ingest", "photos", ""], "argument 3"),
        (["watch", ""], "argument 2"),
        (["search", ""], "argument 2"),
        (["search", IMAGE, "--plot", ""], "what follows --plot"),
        (["search", IMAGE, "--plot="], "what follows --plot"),
        (["search", IMAGE, "--under", ""], "what follows --under"),
        (["search", IMAGE, "--camera="], "what follows --camera"),
        (["search", IMAGE, "--dislike", ""], "what follows --dislike"),
        (["--dsn", "", "status"], "what follows --dsn"),
        (["status", "--dsn="], "what follows --dsn"),
        (["--data", "", "status"], "what follows --data"),
        (["status", "--data", ""], "what follows --data"),
        (["psql", "--dsn", ""], "what follows --dsn"),
        (["psql", "--data="], "what follows --data"),
        (["root", "add", "x", ""], "argument 4"),
        (["root", "add", "", "photos"], "argument 3"),
        (["db", "dump", ""], "argument 3"),
        (["db", "restore", ""], "argument 3"),
        (["export", ""], "argument 2"),
        (["import", ""], "argument 2"),
        (["embed", ""], "argument 2"),
        (["weights", "--model-weights", ""], "what follows --model-weights"),
        (["search", "--dsn", "postgresql://me:secret@host/photos", ""], "argument 4"),
    ],
)
def test_an_unset_variable_is_never_the_working_folder(
    run: Imrec, folder: Path, arguments: list[str], place: str
) -> None:
    save_scenes(folder, [1])
    refused = run(*arguments, cwd=folder, code=2)
    assert refused.message == f"imrec-pg: {place} is empty: is a variable not set?"
    assert run("root", "list").raw_out == b""
    assert [path.name for path in folder.iterdir()] == [IMAGE]


def test_after_two_dashes_there_are_names_alone(run: Imrec, folder: Path) -> None:
    (image,) = save_scenes(folder, [1])
    image.rename(folder / "--plot=")
    assert run("embed", "--feature", "average_hash", "--", "--plot=", cwd=folder).out


def test_what_goes_to_psql_may_be_empty(run: Imrec) -> None:
    assert run("psql", "-c", "").out == ""
    assert run("psql", "-At", "--set", "a=", "-c", "SELECT 'x'").out == "x\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--dsn", b"postgresql://me:secret@host/" + NOT_UTF8, "status"],
        [b"--dsn=postgresql://me:secret@host/" + NOT_UTF8, "status"],
        ["db", "grant", "reader", NOT_UTF8],
        ["db", "revoke", NOT_UTF8],
        ["search", IMAGE, "--feature", "average_hash", "--camera", NOT_UTF8],
        ["search", IMAGE, "--feature", "average_hash", "--root", NOT_UTF8],
        ["search", IMAGE, "--feature", "average_hash", "--format", NOT_UTF8],
    ],
    ids=str,
)
def test_text_in_no_encoding_is_refused_in_one_line(
    run: Imrec, folder: Path, arguments: list[Argument]
) -> None:
    save_scenes(folder, [1])
    refused = run(*arguments, cwd=folder, code=2)
    assert "is not valid UTF-8" in refused.message
    assert "secret" not in refused.err


def test_paths_in_no_encoding_are_paths_like_others(run: Imrec, folder: Path) -> None:
    (image, other) = save_scenes(folder, [1, 2])
    odd = image.rename(folder / "caf\udce9.jpg")
    run("ingest", folder, "--features", "average_hash")
    fast = ("--feature", "average_hash")
    done = run("search", odd, *fast, "--plot", b"caf\xe9.png", "--paths", cwd=folder)
    assert done.out == f"{other}\n"
    assert done.err == "drawn: caf\\xe9.png\n"
    assert r"caf\xe9.jpg is a" in run("search", other, *fast, "--plot", odd, "--force", code=2).message


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("https://a.example/b.jpg", "is a URL: download the image"),
        ("s3://bucket/b.jpg", "is a URL: download the image"),
        ("-", "images are not read from standard input: name a file"),
        ("folder", "folder is a folder: name an image in it"),
        ("clip.mp4", "is a video: save a frame of it as an image"),
        ("phone.jpg", "is a video: save a frame of it as an image"),
        ("film", "is a video: save a frame of it as an image"),
    ],
)
def test_a_query_that_is_no_image_file_says_what_it_is(
    run: Imrec, folder: Path, query: str, says: str
) -> None:
    (image,) = save_scenes(folder, [1])
    (folder / "folder").mkdir()
    (folder / "clip.mp4").write_bytes(b"whatever is in it")
    (folder / "phone.jpg").write_bytes(b"\0\0\0\x18ftypqt  " + bytes(100))
    (folder / "film").write_bytes(b"\x1a\x45\xdf\xa3" + bytes(100))
    fast = ("--feature", "average_hash")
    for arguments in (("search", query), ("search", image, "--dislike", query), ("embed", query)):
        assert says in run(*arguments, *fast, cwd=folder, code=2).message


def test_a_url_is_no_folder_to_ingest(run: Imrec, folder: Path) -> None:
    refused = run("ingest", "https://photos.example/me", cwd=folder, code=2)
    assert "is a URL: copy its photos into a folder first" in refused.message


def test_home_is_expanded_where_the_shell_does_not(run: Imrec, folder: Path) -> None:
    (image, other) = save_scenes(folder, [1, 2])
    home = run.with_environ(HOME=str(folder))
    home("ingest", "~", "--features", "average_hash")
    found = home(
        "search", f"~/{image.name}", "--feature", "average_hash", "--under=~", "--plot=~/a.png", "--paths"
    )
    assert found.out == f"{other}\n"
    assert (folder / "a.png").is_file()
