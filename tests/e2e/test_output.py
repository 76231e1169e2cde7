"""The forms an answer may have: table, JSON, CSV, bare paths, a picture; and readers that stop reading."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.command import PATIENCE_S, Album, Argument, Imrec, url_of
from e2e.database import query
from e2e.photos import save_scenes, scene
from PIL import Image
from psycopg.conninfo import make_conninfo
from support import AddImage, new_database, settings_for

from imrec_pg.db.session import open_session

# Names as files really have them; what the file system stores, and how the database shows it.
NAMES = {
    b"new\nline.jpg": r"new\x0aline.jpg",
    b"tab\tand \"quotes\" and 'single'.jpg": r"tab\x09and " + "\"quotes\" and 'single'.jpg",
    "emoji 🐙 and ünïcödé.jpg".encode(): "emoji 🐙 and ünïcödé.jpg",
    b"latin1 \xe4\xff.jpg": r"latin1 \xe4\xff.jpg",
    b"comma, semicolon; $HOME `x`.jpg": "comma, semicolon; $HOME `x`.jpg",
    b"escape \x1b[31mred.jpg": r"escape \x1b[31mred.jpg",
    b" blanks  around .jpg": " blanks  around .jpg",
}
FAST = ["--feature", "average_hash", "-k", "100"]


@pytest.fixture(scope="module")
def odd(
    template: str, imrec: Imrec, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Imrec, Path, Path]]:
    """Yield the command, a folder of files with odd names, stored, and a query beside it."""
    folder = tmp_path_factory.mktemp("odd")
    for seed, name in enumerate(NAMES):
        scene(seed, 96, 72).save(os.fsdecode(os.fsencode(folder) + b"/" + name))
    (image,) = save_scenes(tmp_path_factory.mktemp("query"), [99])
    with new_database(template, "imrec_template") as dsn:
        run = imrec.on(url_of(dsn))
        assert run("ingest", folder, "--features", "average_hash", "--json").json["new"] == len(NAMES)
        yield run, folder, image


def test_json(odd: tuple[Imrec, Path, Path]) -> None:
    run, folder, image = odd
    answer = run("search", image, *FAST, "--json").json
    assert (answer["feature"], answer["metric"], answer["combine"]) == ("average_hash", "hamming", "mean")
    assert (answer["exact"], answer["index"]) == (True, None)
    assert list(answer["seconds"]) == ["read", "look up", "extract", "rank"]
    assert answer["queries"][0]["path"] == str(image)
    near = answer["neighbours"]
    assert {n["path"] for n in near} == {f"{folder}/{shown}" for shown in NAMES.values()}
    assert [n["rank"] for n in near] == list(range(1, len(NAMES) + 1))
    assert [n["distance"] for n in near] == sorted(n["distance"] for n in near)
    assert {(n["width"], n["height"], n["copies"]) for n in near} == {(96, 72, 1)}


def test_csv(odd: tuple[Imrec, Path, Path]) -> None:
    run, folder, image = odd
    rows = list(csv.DictReader(io.StringIO(run("search", image, *FAST, "--csv").out, newline="")))
    assert list(rows[0]) == [
        *("rank", "distance", "path", "copies", "image_id", "file_id", "width", "height", "missing")
    ]
    assert {row["path"] for row in rows} == {f"{folder}/{shown}" for shown in NAMES.values()}
    assert [float(row["distance"]) for row in rows] == sorted(float(row["distance"]) for row in rows)


def test_table(odd: tuple[Imrec, Path, Path]) -> None:
    run, folder, image = odd
    done = run("search", image, *FAST)
    head, *lines = done.out.splitlines()
    assert head.split() == ["#", "hamming", "path"]
    assert len(lines) == len(NAMES)
    found = [re.fullmatch(r" *(\d+) +(\d+)  (/.*)", line) for line in lines]
    assert [match and match[1] for match in found] == [str(rank + 1) for rank in range(len(NAMES))]
    shown = {match[3].rstrip() for match in found if match}
    assert shown == {f"{folder}/{name}".rstrip() for name in NAMES.values()}
    assert "\x1b" not in done.out
    assert not done.err


def test_paths_are_bytes_as_the_file_system_has_them(odd: tuple[Imrec, Path, Path]) -> None:
    run, folder, image = odd
    expected = {os.fsencode(folder) + b"/" + name for name in NAMES}
    for options in (["--paths", "-0"], ["-0"]):
        found = run("search", image, *FAST, *options).raw_out
        assert found.endswith(b"\0")
        assert set(found[:-1].split(b"\0")) == expected
        assert all(os.path.exists(path) for path in expected)  # noqa: PTH110 - bytes
    lines = run("search", image, *FAST, "--paths").raw_out
    assert sorted(lines.splitlines()) == sorted(b"\n".join(expected).splitlines())


def test_odd_names_as_queries(odd: tuple[Imrec, Path, Path]) -> None:
    run, folder, _ = odd
    options = [*FAST, "-v", "--json"]
    calls: list[list[Argument]] = [["search", os.fsencode(folder) + b"/" + n, *options] for n in NAMES]
    for shown, found in zip(NAMES.values(), run.all(calls), strict=True):
        (asked,) = found.json["queries"]
        assert (asked["path"], asked["stored"]) == (f"{folder}/{shown}", True)
        assert len(found.json["neighbours"]) == len(NAMES) - 1
        assert f"query {folder}/{shown}: features from the database" in found.err


def test_a_terminal_without_the_letters_shows_escapes(odd: tuple[Imrec, Path, Path]) -> None:
    run, folder, image = odd
    narrow = run.with_environ(PYTHONIOENCODING="latin-1")
    for done in narrow.all([["search", image, *FAST, option] for option in ("--csv", "--json", "--verbose")]):
        assert b"\\U0001f419" in done.raw_out or b"\\ud83d\\udc19" in done.raw_out
    assert str(folder) in run.with_environ(LC_ALL="C", PYTHONUTF8="0")("search", image, *FAST).out


def test_copies_are_one_line_and_counted(run: Imrec, folder: Path) -> None:
    (image, other) = save_scenes(folder, [1, 2])
    for name in ("b", "a"):
        (folder / name).mkdir()
        (folder / name / "copy.jpg").write_bytes(other.read_bytes())
    run("ingest", folder, "--features", "average_hash")
    (found,) = run("search", image, *FAST, "--json").json["neighbours"]
    assert (found["copies"], found["path"]) == (3, str(folder / "0002.jpg"))
    assert run("search", image, *FAST).out.rstrip().endswith("0002.jpg  (+2 more)")
    assert run("search", image, *FAST, "--paths").out == f"{folder}/0002.jpg\n"


def test_plot_writes_a_picture(album: Album, tmp_path: Path) -> None:
    images = [album.folder / "original.png", album.folder / "orientations" / "orientation_6.jpg"]
    for name, kind in [("a.png", "PNG"), ("b.jpg", "JPEG"), ("c.webp", "WEBP")]:
        done = album.run("search", *images, "-k", "7", "--plot", name, "--paths", cwd=tmp_path)
        assert len(done.out.splitlines()) == 7
        assert done.err == f"drawn: {name}\n"
        with Image.open(tmp_path / name) as sheet:
            assert sheet.format == kind
            sheet.load()
            assert min(sheet.size) > 300
            assert len(set(sheet.convert("RGB").resize((64, 64)).get_flattened_data())) > 100


@pytest.mark.parametrize(
    ("target", "says"),
    [("x.xyz", "one of .png, .jpg"), ("none/x.png", "is not a folder"), ("folder.png", "is a directory")],
)
def test_a_plot_that_cannot_be_written_is_refused_first(
    target: str, says: str, album: Album, tmp_path: Path
) -> None:
    (tmp_path / "folder.png").mkdir()
    done = album.run("search", album.folder / "original.png", "--plot", target, cwd=tmp_path, code=2)
    assert says in done.err
    assert not done.raw_out


def test_a_plot_of_photos_that_are_gone(run: Imrec, folder: Path) -> None:
    image, gone = save_scenes(folder, [1, 2])
    run("ingest", folder, "--features", "average_hash")
    gone.unlink()
    run("search", image, *FAST, "--plot", folder / "sheet.png")
    with Image.open(folder / "sheet.png") as sheet:
        sheet.load()


def test_verbose_says_how_it_was_answered(album: Album, tmp_path: Path) -> None:
    stored = album.run("search", album.folder / "original.png", "-v")
    assert "certainty: exact, every photo compared" in stored.err
    assert "original.png: features from the database" in stored.err
    for step in ("read", "look up", "extract", "rank"):
        assert re.search(rf"(?m)^ *{step} +[\d.]+ ms$", stored.err)
    (unknown,) = save_scenes(tmp_path, [4711])
    assert "features extracted now" in album.run("search", unknown, "-v", "--feature", "average_hash").err


def test_an_answer_from_the_index_says_so(imrec: Imrec, template: str, album: Album) -> None:
    with new_database(template, "imrec_template") as dsn:
        with open_session(settings_for(dsn)) as conn:
            AddImage(conn).many([{"name": f"{number}.jpg"} for number in range(6_000)])
        run = imrec.on(url_of(dsn))
        run("index", "build", "histogram", "cosine")
        query(dsn, "ANALYZE imrec.histogram")
        image = album.folder / "original.png"
        arguments = ["--feature", "histogram", "--verbose", "--json"]
        # So few are all compared within 60 ms, which was measured when the index was built.
        assert run("search", image, *arguments).json["exact"]
        run = run.with_environ(PGOPTIONS="-c imrec.min_index_rows=5000")
        found = run("search", image, *arguments)
        assert (found.json["exact"], found.json["index"]) == (False, "histogram_cosine_hnsw")
        assert "approximate, from the index histogram_cosine_hnsw" in found.err
        exact = run("search", image, *arguments, "--exact")
        assert exact.json["exact"]
        assert "exact, every photo compared" in exact.err
        assert len(run("search", image, *arguments, "-k", "1000").json["neighbours"]) == 1000
        assert "approximate" not in run("search", image, *arguments, "--metric", "euclidean").err


@pytest.mark.parametrize("options", [[], ["--json"], ["--csv"], ["--paths"], ["-0"]])
def test_a_reader_that_stops_reading_is_no_error(
    options: list[str], imrec: Imrec, many: str, album: Album
) -> None:
    """As in `imrec-pg search … | head -1`, with more than a pipe holds."""
    reading, writing = os.pipe()
    image = str(album.folder / "original.png")
    arguments = ["search", image, "--feature", "average_hash", "-k", "3000", *options]
    process = subprocess.Popen(
        [sys.executable, "-m", "imrec_pg", "--dsn", many, *arguments],
        env=imrec.environ,
        stdout=writing,
        stderr=subprocess.PIPE,
    )
    os.close(writing)
    assert os.read(reading, 100)
    os.close(reading)
    assert process.communicate(timeout=PATIENCE_S)[1] == b""
    assert process.returncode == 0


@pytest.fixture(scope="module")
def many(template: str) -> Iterator[str]:
    """Yield the dsn of a database with 3,000 images whose paths are long."""
    with new_database(template, "imrec_template") as dsn:
        with open_session(settings_for(dsn)) as conn:
            AddImage(conn).many([{"name": f"{number}{'x' * 90}.jpg"} for number in range(3_000)])
        yield make_conninfo(dsn)


def test_errors_and_status_as_json_parse_with_odd_names(run: Imrec, folder: Path) -> None:
    for name in NAMES:
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(b"no image")
    run("ingest", folder, "--features", "average_hash", code=3)
    assert {failure["path"] for failure in run("errors", "--json").json} == {
        f"{folder}/{shown}" for shown in NAMES.values()
    }
    assert len(run("errors").out.splitlines()) == len(NAMES)
    assert json.loads(run("status", "--json").raw_out)["failures"] == len(NAMES)
