"""What export --projector writes is what TensorBoard's projector shows: points, names and thumbnails."""

import io
import json
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote
from urllib.request import urlopen

import numpy as np
import psycopg
import pytest
from e2e.command import Album, Imrec, copied, url_of
from e2e.photos import save, save_many, save_scenes
from PIL import Image
from support import needs, new_database

if TYPE_CHECKING:
    from playwright.sync_api import Page

FAST = ("--features", "histogram")
COLOURS = {"red": (230, 20, 20), "green": (20, 160, 40), "blue": (30, 40, 220)}
HOSTILE = "<img src=x onerror=alert(1)>\ttab\nline\u202etxt.png"


@contextmanager
def tensorboard(folder: Path) -> Iterator[str]:
    """Yield the address of a TensorBoard that shows a folder, and ends with the block."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--port", "0"]
    with subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--load_fast", "false"], stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            said = ""
            while (found := re.search(r"http://127\.0\.0\.1:\d+", said)) is None:
                line = process.stderr.readline()
                assert line, said
                said += line
            yield found[0]
        finally:
            process.kill()


def asked(address: str, route: str, **parameters: str) -> bytes:
    pairs = "&".join(f"{name}={quote(value)}" for name, value in parameters.items())
    with urlopen(f"{address}/data/plugin/projector/{route}?{pairs}") as answer:  # noqa: S310 - our own server
        data: bytes = answer.read()
    return data


def ingest_colours(run: Imrec, folder: Path) -> None:
    """Store three photos of one colour each, one of them under a hostile name."""
    for name, colour in COLOURS.items():
        save(folder / (HOSTILE if name == "blue" else f"{name}.png"), Image.new("RGB", (120, 80), colour))
    run("ingest", folder, *FAST)


@pytest.fixture(scope="module")
def colours(template: str, imrec: Imrec, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Album]:
    folder = tmp_path_factory.mktemp("colours")
    with new_database(template, "imrec_template") as dsn:
        run = imrec.on(url_of(dsn))
        ingest_colours(run, folder)
        yield Album(folder, len(COLOURS), run, dsn)


@pytest.fixture
def coloured(colours: Album) -> Iterator[Imrec]:
    """Yield the command on a copy of these photos' database."""
    with copied(colours) as own:
        yield own.run


def test_tensorboard_serves_what_is_stored(colours: Album, tmp_path: Path) -> None:
    folder, dsn = colours.folder, colours.dsn
    colours.run("export", "--projector", tmp_path / "out", "--feature", "histogram")
    with tensorboard(tmp_path / "out") as address:
        assert json.loads(asked(address, "runs")) == ["."]
        info = json.loads(asked(address, "info", run="."))
        (embedding,) = info["embeddings"]
        tensor = np.frombuffer(asked(address, "tensor", run=".", name="histogram"), np.float32).reshape(
            3, 512
        )
        metadata = asked(address, "metadata", run=".", name="histogram").decode()
        sprite = Image.open(io.BytesIO(asked(address, "sprite_image", run=".", name="histogram")))
    lines = [line.split("\t") for line in metadata.removesuffix("\n").split("\n")]
    assert lines[0] == ["path", "folder", "date", "year", "camera"]
    assert [line[1:] for line in lines[1:]] == [[str(folder), "unknown", "unknown", "unknown"]] * 3
    with psycopg.connect(dsn) as conn:
        stored = {
            path: np.array(json.loads(row), np.float32)
            for path, row in conn.execute(
                "SELECT path, histogram::text FROM imrec.file JOIN imrec.histogram USING (image_id)"
            )
        }
    hostile = str(folder / HOSTILE).replace("\t", r"\x09").replace("\n", r"\x0a")
    names = {path: path.replace("\u202e", r"\u202e") for path in stored}
    assert hostile in stored
    assert {line[0] for line in lines[1:]} == set(names.values())
    by_name = {names[path]: row for path, row in stored.items()}
    # One value is moved by less than float32 tells from it, so that TensorBoard sees that the file is no text.
    np.testing.assert_allclose(tensor, [by_name[line[0]] for line in lines[1:]], rtol=1e-4, atol=1e-6)
    side = embedding["sprite"]["singleImageDim"][0]
    assert sprite.size == (2 * side, 2 * side)
    for place, line in enumerate(lines[1:]):
        name = next((name for name in COLOURS if f"/{name}.png" in line[0]), "blue")
        found = sprite.getpixel((place % 2 * side + side // 2, place // 2 * side + side // 2))
        np.testing.assert_allclose(np.asarray(found), COLOURS[name], atol=8)


def test_a_browser_shows_the_points_as_thumbnails(coloured: Imrec, tmp_path: Path, page: "Page") -> None:
    coloured("export", "--projector", tmp_path / "out", "--feature", "histogram")
    with tensorboard(tmp_path / "out") as address:
        page.goto(f"{address}/#projector")
        projector = page.frame_locator("iframe").frame_locator("iframe")
        projector.locator(".numDataPoints", has_text=re.compile("^3$")).wait_for()
        seen = dict.fromkeys(COLOURS, 0)
        for _ in range(60):  # the thumbnails come a moment after the points, which turn: one may hide another
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB").crop((320, 130, 1090, 890))
            pixels = np.asarray(picture, dtype=np.int16).reshape(-1, 3)
            for name, colour in COLOURS.items():
                seen[name] = max(seen[name], int((abs(pixels - colour).max(axis=1) < 12).sum()))
            if all(count > 50 for count in seen.values()):
                return
            page.wait_for_timeout(500)
    pytest.fail(f"pixels of the photos' colours on the screen: {seen}")


def test_the_folder_is_private_and_replaced_only_on_request(coloured: Imrec, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("export", "--projector", out, "--feature", "histogram")
    coloured(*arguments)
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == {0o600}
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert "files for the projector already" in coloured(*arguments, code=2).message
    coloured(*arguments, "--overwrite")
    (out / "mine.txt").write_text("mine")
    assert "holds other things" in coloured(*arguments, "--overwrite", code=2).message
    assert (out / "mine.txt").read_text() == "mine"


def test_an_export_to_parquet_is_not_replaced_by_one_for_the_projector(
    coloured: Imrec, tmp_path: Path
) -> None:
    pytest.importorskip("pyarrow")
    coloured("export", tmp_path / "out")
    message = coloured("export", "--projector", tmp_path / "out", "--overwrite", code=2).message
    assert "holds other things" in message


def test_photos_that_are_gone_are_grey(run: Imrec, folder: Path, tmp_path: Path) -> None:
    ingest_colours(run, folder)
    for path in folder.iterdir():
        path.unlink()
    done = run("export", "--projector", tmp_path / "out", "--feature", "histogram")
    assert "grey in the projector: 3" in done.err
    sprite = Image.open(tmp_path / "out" / "sprite.jpg")
    np.testing.assert_allclose(np.asarray(sprite.getpixel((50, 50))), (213, 217, 222), atol=4)


def test_nothing_to_show_is_an_error_that_leaves_nothing(coloured: Imrec, tmp_path: Path) -> None:
    assert (
        "no photo has the feature embedding"
        in coloured("export", "--projector", tmp_path / "out", code=1).message
    )
    assert list(tmp_path.iterdir()) == []


def test_one_photo_is_too_few(run: Imrec, folder: Path, tmp_path: Path) -> None:
    """TensorBoard leaves out a tensor of one row."""
    save_scenes(folder, [1])
    run("ingest", folder, *FAST)
    done = run("export", "--projector", tmp_path / "out", "--feature", "histogram", code=1)
    assert "fewer than 2 photos" in done.message


def test_photos_without_a_place_on_the_map_are_left_out_and_counted(
    copied_album: Album, tmp_path: Path
) -> None:
    with psycopg.connect(copied_album.dsn) as conn:
        conn.execute(
            "INSERT INTO imrec.map (map_id, feature, dims, neighbours, min_dist, seed, images, landmarks) "
            "VALUES (gen_random_uuid(), 'embedding', 3, 15, 0.1, 42, 55, 55)"
        )
        conn.execute(
            "INSERT INTO imrec.map_point (image_id, map_id, x, y, z, landmark) "
            "SELECT e.image_id, m.map_id, 0, 0, 0, true FROM imrec.embedding AS e, imrec.map AS m "
            "ORDER BY e.image_id LIMIT 55"
        )
    done = copied_album.run("export", "--projector", tmp_path / "out")
    assert "left out: 2" in done.err
    # All at 0, which as text would be valid UTF-8, and then an error of TensorBoard.
    assert (tmp_path / "out" / "map.bytes").stat().st_size == 55 * 3 * 4
    with tensorboard(tmp_path / "out") as address:
        tensor = np.frombuffer(asked(address, "tensor", run=".", name="map of 3 dimensions"), np.float32)
    np.testing.assert_allclose(tensor, np.zeros(55 * 3), atol=1e-30)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--sample", "5"), "--sample belongs to --projector"),
        (("--projector", "--sample", "1"), "2 to 100,000"),
        (("--projector", "--sample", "100001"), "2 to 100,000"),
        (("--projector", "--feature", "average_hash"), "is a hash"),
        (("--projector", "--tiles", "--feature", "histogram"), "no clusters by histogram"),
    ],
)
def test_what_cannot_be_shown_is_wrong_usage(
    arguments: tuple[str, ...], said: str, coloured: Imrec, tmp_path: Path
) -> None:
    assert said in coloured("export", tmp_path / "out", *arguments, code=2).err
    assert not (tmp_path / "out").exists()


def test_a_sample_is_the_same_again_and_counts_each_folder(run: Imrec, folder: Path, tmp_path: Path) -> None:
    save_scenes(folder / "many", range(30))
    save_scenes(folder / "few", range(30, 33))
    run("ingest", folder, *FAST)
    arguments = ("--feature", "histogram", "--sample", "11")
    done = run("export", "--projector", tmp_path / "a", *arguments)
    assert "a sample of 11 of 33 photos, in proportion of each folder" in done.err
    run("export", "--projector", tmp_path / "b", *arguments)
    first = (tmp_path / "a" / "metadata.tsv").read_text()
    assert first == (tmp_path / "b" / "metadata.tsv").read_text()
    # A third of 30, and of 3.
    assert (first.count(f"\t{folder}/many\t"), first.count(f"\t{folder}/few\t")) == (10, 1)


def test_ctrl_c_leaves_nothing(run: Imrec, folder: Path, tmp_path: Path) -> None:
    save_many(folder, 300, 1600, 1200)
    run("ingest", folder, *FAST)
    out = tmp_path / "new" / "out"
    out.parent.mkdir()
    started = run.start("export", "--projector", out, "--feature", "histogram")
    started.until(lambda: any(out.parent.glob(".imrec-pg-*/metadata.tsv")))
    started.signal(signal.SIGINT, group=True)
    assert started.wait().code == 130
    assert list(out.parent.iterdir()) == []


@needs("sklearn", "umap")
def test_tiles_hold_a_cluster_each(copied_album: Album, tmp_path: Path) -> None:
    run, out = copied_album.run, tmp_path / "out"
    run("cluster", "build", "--feature", "embedding", "--k", "3")
    run("map", "build", "--feature", "embedding", "--dims", "2")
    run("export", "--projector", out, "--tiles")
    with psycopg.connect(copied_album.dsn) as conn:
        members: dict[int, int] = dict(
            conn.execute(
                "SELECT m.cluster, count(*) FROM imrec.cluster_member AS m "
                "JOIN imrec.clustering AS c USING (clustering_id) WHERE c.map_id IS NULL GROUP BY m.cluster"
            ).fetchall()
        )
        points = {
            path: (x, y, 0)
            for path, x, y in conn.execute(
                "SELECT path, x, y FROM imrec.file JOIN imrec.map_point USING (image_id)"
            )
        }
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == [
        "cluster-1",
        "cluster-2",
        "cluster-3",
    ]
    for cluster, size in members.items():
        lines = (out / f"cluster-{cluster}" / "metadata.tsv").read_text().splitlines()[1:]
        assert [line.split("\t")[1] for line in lines] == [str(cluster)] * size
        rows = np.fromfile(out / f"cluster-{cluster}" / "map.bytes", "<f4").reshape(size, 3)
        np.testing.assert_allclose(rows, [points[line.split("\t")[0]] for line in lines], rtol=1e-4)
    with tensorboard(out) as address:
        names = [one["tensorName"] for one in json.loads(asked(address, "info", run="."))["embeddings"]]
        tensor = asked(address, "tensor", run=".", name="cluster-2: map of 2 dimensions")
    assert names[2:4] == ["cluster-2: embedding", "cluster-2: map of 2 dimensions"]
    assert len(tensor) == members[2] * 3 * 4
