"""Clusters and maps as a user makes them: the commands, new photos, Ctrl-C and kills."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.command import Album, Imrec, copied, until, url_of
from e2e.photos import save, scene
from PIL import Image
from support import needs, new_database

pytestmark = needs("umap")

COLOURS = {"red": (200, 30, 20), "green": (20, 180, 40), "blue": (30, 40, 210)}


def save_colours(folder: Path, each: int = 12) -> None:
    """Write scenes in three folders, each tinted in one colour: their histograms are far from each other."""
    for name, colour in COLOURS.items():
        for number in range(each):
            picture = Image.blend(scene(number, 96, 72), Image.new("RGB", (96, 72), colour), 0.75)
            save(folder / name / f"{number:02}.png", picture)


@pytest.fixture(scope="module")
def stored(template: str, imrec: Imrec, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Album]:
    """Yield photos of three colours."""
    folder = tmp_path_factory.mktemp("colours")
    save_colours(folder)
    with new_database(template, "imrec_template") as dsn:
        run = imrec.on(url_of(dsn))
        run("ingest", folder)
        yield Album(folder, 36, run, dsn)


@pytest.fixture(scope="module")
def mapped_once(stored: Album) -> Iterator[Album]:
    """Yield them with a map in space of their histograms."""
    with copied(stored) as made:
        made.run("map", "build", "--feature", "histogram", "--dims", "3")
        yield made


@pytest.fixture
def colours(stored: Album) -> Iterator[Album]:
    with copied(stored) as own:
        yield own


@pytest.fixture
def mapped(mapped_once: Album) -> Iterator[Album]:
    with copied(mapped_once) as own:
        yield own


def test_from_photos_to_clusters_maps_and_searches_within_them(colours: Album) -> None:
    run, folder = colours.run, colours.folder
    made = run("map", "build", "--feature", "histogram", "--dims", "2", "--neighbours", "8")
    assert made.raw_out == b""
    assert "histogram in 2 dimensions: 36 photos" in made.err
    assert "trustworthiness" in made.err
    run("cluster", "build", "--feature", "histogram", "--k", "3")
    listed = run("cluster", "list", "--feature", "histogram", "--json").json
    assert [one["size"] for one in listed["clusters"]] == [12, 12, 12]
    assert {one["folder"] for one in listed["clusters"]} == {str(folder / name) for name in COLOURS}
    assert all(Path(one["path"]).is_file() for one in listed["clusters"])
    (red,) = [one for one in listed["clusters"] if one["folder"].endswith("red")]
    query = folder / "blue" / "00.png"
    found = run(
        "search", query, "--cluster", str(red["cluster"]), "--by-feature", "histogram", "--json", "-k", "50"
    ).json
    assert {Path(one["path"]).parent.name for one in found["neighbours"]} == {"red"}
    assert len(found["neighbours"]) == 12
    (shown,) = run("map", "show", "--json").json
    assert (shown["dims"], shown["neighbours"], shown["images"]) == (2, 8, 36)
    box = run(
        "search", query, "--in-box=-99,-99,99,99", "--by-feature", "histogram", "-k", "50", "--json"
    ).json
    assert len(box["neighbours"]) == 35
    text = run("cluster", "list", "--feature", "histogram").out
    assert text.count("\n") == 3
    assert str(folder / "red") in text


def test_new_photos_are_placed_as_they_are_ingested_and_status_tells(mapped: Album, folder: Path) -> None:
    run = mapped.run
    blue = Image.blend(scene(77, 96, 72), Image.new("RGB", (96, 72), COLOURS["blue"]), 0.75)
    new = save(folder / "new.png", blue)
    assert run("ingest", folder).out.startswith("1 new")
    (shown,) = run("map", "show", "--json").json
    assert (shown["images"], shown["later"], shown["lacking"]) == (36, 1, 0)
    asked = (
        "SELECT split_part(reverse(p.path), '/', 2) AS folder FROM imrec.photo AS p "
        "JOIN imrec.mapped AS m USING (image_id), imrec.photo AS q JOIN imrec.mapped AS n USING (image_id) "
        f"WHERE q.path = '{new}' AND p.path <> q.path "
        "ORDER BY sqrt((m.x - n.x) ^ 2 + (m.y - n.y) ^ 2 + (m.z - n.z) ^ 2) LIMIT 3"
    )
    assert run("psql", "-Atc", asked).out.split() == ["eulb"] * 3
    status = run("status").out
    assert "by histogram in 3 dimensions, of 36 photos; 1 came later (3%): imrec-pg map build" in status
    analysed = run("status", "--json").json["analysed"]
    assert [(one["kind"], one["later"], one["lacking"]) for one in analysed] == [
        ("clusters", 1, 0),
        ("clusters", 1, 0),
        ("map", 1, 0),
    ]


def test_nothing_there_is_told_with_what_to_run(run: Imrec) -> None:
    assert "imrec-pg ingest FOLDER" in run("cluster", "build", code=2).message
    assert "imrec-pg ingest FOLDER" in run("map", "build", code=2).message
    assert (
        "imrec-pg cluster build --feature histogram"
        in run("cluster", "list", "--feature", "histogram", code=2).message
    )
    assert "imrec-pg map build" in run("cluster", "build", "--space", "map", code=2).message
    assert run("map", "show", "--json").json == []
    assert "imrec-pg map build" in run("map", "show").err
    for wrong in (
        ("cluster", "build", "--k", "0"),
        ("cluster", "build", "--k", "some"),
        ("cluster", "build", "--dims", "2"),
        ("cluster", "build", "--feature", "average_hash"),
        ("map", "build", "--dims", "4"),
        ("map", "build", "--neighbours", "1"),
        ("map", "build", "--seed", "-1"),
    ):
        assert run(*wrong, code=2).raw_out == b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_build_that_is_stopped_leaves_the_last_map_and_no_process(
    mapped: Album, number: signal.Signals
) -> None:
    run = mapped.run
    before = run("map", "show", "--json").json
    started = run.start("map", "build", "--feature", "histogram", "--seed", "7")
    started.until(lambda: any("layout_child" in " ".join(child.cmdline()) for child in started.others()))
    os.kill(started.process.pid, number)
    started.process.wait(60)
    until(lambda: not started.others(), "its process ends")
    assert run("map", "show", "--json").json == before


def test_without_the_extra_the_message_names_it(colours: Album, tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import sys\nfor name in ('umap', 'sklearn', 'kneed', 'matplotlib'):\n    sys.modules[name] = None\n"
    )
    path = os.pathsep.join([str(hidden), *filter(None, [colours.run.environ.get("PYTHONPATH")])])
    run = colours.run.with_environ(PYTHONPATH=path)
    for command in (("cluster", "build"), ("map", "build")):
        assert "pip install 'imrec-pg[map]'" in run(*command, code=1).message
    # What needs no such library goes on.
    assert run("map", "show", "--json").json == []
    assert run("ingest", "--help").out


def test_photos_of_an_import_are_placed(mapped: Album, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="the extra [parquet]")
    run = mapped.run
    run("export", tmp_path / "exported")
    # Deleted, its photos lose their places; imported, they get others.
    run("root", "remove", str(mapped.folder), "--yes")
    assert run("map", "show", "--json").json[0]["lacking"] == 0
    run("import", tmp_path / "exported")
    (shown,) = run("map", "show", "--json").json
    assert (shown["later"], shown["lacking"]) == (36, 0)
