"""What `imrec-pg search` asks of the SQL functions: filters, fusion, dislikes; and embed and tune."""

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from e2e.command import Album, Imrec
from e2e.database import query
from PIL import Image

from imrec_pg.records import Feature


def paths(run: Imrec, *arguments: str | Path) -> list[str]:
    return [n["path"] for n in run("search", *arguments, "--json").json["neighbours"]]


def test_under_a_folder(album: Album) -> None:
    image = album.folder / "original.png"
    found = paths(album.run, image, "-k", "1000", "--under", album.folder / "copies")
    assert found
    assert all(path.startswith(f"{album.folder}/copies/") for path in found)
    stored = query(
        album.dsn,
        "SELECT count(DISTINCT image_id) FROM imrec.file WHERE starts_with(path, %s)",
        f"{album.folder}/copies/",
    )
    assert len(found) == stored[0][0]


def test_under_a_relative_folder(album: Album) -> None:
    run = album.run("search", "original.png", "--under", "copies", "--paths", cwd=album.folder)
    assert all(line.startswith(f"{album.folder}/copies/") for line in run.out.splitlines())
    assert run.out


@pytest.mark.parametrize(
    ("options", "condition"),
    [
        (["--format", "png"], "format = 'PNG'"),
        (["--min-width", "200", "--min-height", "100"], "width >= 200 AND height >= 100"),
        (["--max-size", "9kB"], "size <= 9000"),
        (["--min-size", "0.009MB", "--format", "JPEG"], "size >= 9000 AND format = 'JPEG'"),
    ],
)
def test_filters_let_through_what_sql_says(album: Album, options: list[str], condition: str) -> None:
    image = album.folder / "original.png"
    answer = album.run("search", image, "-k", "1000", "--json", *options).json
    mine = answer["queries"][0]["image_id"]
    allowed = {
        str(row[0])
        for row in query(album.dsn, f"SELECT image_id FROM imrec.image WHERE {condition}")
        if str(row[0]) != mine
    }
    assert {n["image_id"] for n in answer["neighbours"]} == allowed
    assert allowed


def test_dates_and_cameras(album: Album, copied_album: Album) -> None:
    scenes = "(SELECT image_id FROM imrec.file WHERE path LIKE '%%/scenes/000%%')"
    query(
        copied_album.dsn,
        "UPDATE imrec.image SET taken_at = '2021-05-05 12:00', camera_make = 'NIKON' "
        f"WHERE image_id IN {scenes}",
    )
    image = album.folder / "original.png"
    for options in (["--after", "2021", "--before", "2021-05-06"], ["--camera", "nikon"]):
        found = paths(copied_album.run, image, "-k", "1000", *options)
        assert found
        assert all("/scenes/000" in path for path in found)
    nothing = copied_album.run("search", image, "--before", "2021-05-05")
    assert nothing.out == ""
    assert nothing.err == "no photo passes these filters\n"


def test_fuse_finds_the_copies_and_says_why(album: Album) -> None:
    image = album.folder / "original.png"
    answer = album.run("search", image, "--fuse", "--json").json
    assert answer["certainty"] == "exact"
    assert set(answer["weights"]) == {"embedding", "histogram", "average_hash", "difference_hash"}
    first = answer["neighbours"][0]
    assert first["path"].startswith(f"{album.folder}/copies/")
    assert first["features"]["embedding"]["rank"] >= 1
    assert first["features"]["difference_hash"]["distance"] <= 64
    assert [n["fused"] for n in answer["neighbours"]] == sorted(
        (n["fused"] for n in answer["neighbours"]), reverse=True
    )
    table = album.run("search", image, "--fuse").out.splitlines()
    assert table[0].split() == ["#", *answer["weights"], "path"]
    cells = table[1].split()
    for column, feature in enumerate(answer["weights"]):
        assert cells[1 + 3 * column] == f"{first['features'][feature]['rank']}."
        assert float(cells[2 + 3 * column]) == pytest.approx(first["features"][feature]["distance"], abs=1e-4)
        assert cells[3 + 3 * column] == f"({first['features'][feature]['evidence']:+.0f})"
    assert cells[-1] == first["path"]
    rows = list(csv.DictReader(io.StringIO(album.run("search", image, "--fuse", "--csv").out)))
    assert [row["path"] for row in rows] == [n["path"] for n in answer["neighbours"]]
    assert float(rows[0]["fused"]) == pytest.approx(first["fused"])


def test_weights_are_those_given(album: Album) -> None:
    image = album.folder / "original.png"
    answer = album.run(
        "search", image, "--weights", "difference_hash=1,embedding=0", "-k", "20", "--json"
    ).json
    assert answer["weights"] == {"difference_hash": 1.0}
    assert [n["path"] for n in answer["neighbours"]] == paths(
        album.run, image, "--feature", "difference_hash", "-k", "20"
    )


def test_dislikes_are_left_out_and_pushed_away(album: Album) -> None:
    like, dislike = album.folder / "scenes" / "0001.jpg", album.folder / "original.png"
    answer = album.run("search", like, "--dislike", dislike, "-k", "1000", "--json").json
    assert [q["disliked"] for q in answer["queries"]] == [False, True]
    assert len(answer["neighbours"]) == album.images - 2

    def mean_rank_of_copies(found: list[str]) -> float:
        return float(np.mean([i for i, path in enumerate(found) if "/copies/" in path]))

    plain = paths(album.run, like, "-k", "1000")
    assert mean_rank_of_copies([n["path"] for n in answer["neighbours"]]) > mean_rank_of_copies(plain)
    fused = album.run("search", like, "--dislike", dislike, "--fuse", "-k", "3", "--json").json
    assert len(fused["neighbours"]) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--weights", "smell=1"], "is no weight"),
        (["--weights", "embedding"], "is no weight"),
        (["--weights", "embedding=-1"], "not a number of 0 or more"),
        (["--fuse", "--feature", "average_hash"], "--feature and --metric don't go with it"),
        (["--min-size", "big"], "is not a size"),
        (["--after", "yesterday"], "yesterday"),
    ],
)
def test_wrong_usage(album: Album, arguments: list[str], message: str) -> None:
    assert message in album.run("search", album.folder / "original.png", *arguments, code=2).err


def test_weights_of_zero_alone_are_refused(album: Album) -> None:
    run = album.run("search", album.folder / "original.png", "--weights", "average_hash=0", code=2)
    assert "at least one feature needs a weight above 0" in run.message


def test_explain_shows_the_plan_on_stderr(album: Album) -> None:
    for feature, seen in (
        ("embedding", "Seq Scan on embedding"),
        ("average_hash", "Function Scan on hamming_search"),
    ):
        run = album.run("search", album.folder / "original.png", "--explain", "--feature", feature)
        assert "certainty: exact" in run.err
        assert seen in run.err
        assert "Scan" not in run.out


def test_fused_answers_can_be_drawn(album: Album, tmp_path: Path) -> None:
    target = tmp_path / "sheet.png"
    album.run("search", album.folder / "original.png", "--fuse", "--plot", target)
    with Image.open(target) as sheet:
        assert min(sheet.size) > 200


def test_embed_prints_what_postgres_reads_and_what_is_stored(album: Album) -> None:
    image = album.folder / "original.png"
    for feature in ("embedding", "histogram", "average_hash"):
        literal = album.run("embed", image, "--feature", feature).out.strip()
        stored = query(album.dsn, f"SELECT {feature}::text FROM imrec.photo WHERE path = %s", str(image))[0][
            0
        ]
        if feature == "average_hash":
            assert literal == stored
        else:
            assert json.loads(literal) == pytest.approx(json.loads(str(stored)), abs=1e-4)
    two = album.run("embed", image, image, "--json").json
    assert [row["path"] for row in two] == [str(image)] * 2
    assert set(two[0]) == {"path", *Feature}
    assert len(two[0]["embedding"]) == 512


def test_embed_needs_no_database(album: Album, imrec: Imrec) -> None:
    nowhere = imrec.with_environ(IMREC_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert (
        len(nowhere("embed", album.folder / "original.png", "--feature", "difference_hash").out.strip()) == 64
    )


def test_tune_stores_what_status_and_searches_tell(copied_album: Album) -> None:
    run = copied_album.run
    assert "recall not measured" in run("status").out
    (measured,) = run("tune", "--queries", "20", "-k", "3", "--json").json
    assert measured["recall"] >= measured["wanted"] == 0.99
    assert measured["queries"] == 20
    told = (
        f"recall@3 {measured['recall']:.3f}, of the worst tenth {measured['worst_decile']:.3f}, "
        f"{measured['self_found']:.1%} find themselves; "
        f"measured on 20 of your images on {measured['measured_at'][:10]}"
    )
    assert f"approximate, {told}" in run("status").out
    # Otherwise a table this small is compared whole.
    forced = run.with_environ(PGOPTIONS="-c imrec.min_index_rows=0")
    image = copied_album.folder / "original.png"
    assert told in forced("search", image, "--verbose", "-k", "3").err
    answer = forced("search", image, "-k", "3", "--json").json
    assert (answer["certainty"], answer["tuning"]["ef_search"]) == ("approximate", measured["ef_search"])
    run("index", "drop", "embedding", "cosine")
    assert run("status", "--json").json["tunings"] == []
    assert "no index to tune" in run("tune", code=2).message


def test_tune_fuse_fits_curves_that_searches_go_by_until_reset(copied_album: Album) -> None:
    run, image = copied_album.run, copied_album.folder / "original.png"
    first = run("search", image, "--fuse", "--json").json["neighbours"][0]
    fitted = run("tune", "fuse", "--photos", "10", "--json").json
    assert set(fitted["curves"]) == set(Feature)
    assert fitted["stored"] == (fitted["after"] >= fitted["before"])
    assert fitted["tested"] == 5 * 19
    again = run("search", image, "--fuse", "--json").json["neighbours"][0]
    assert (again["features"]["difference_hash"] != first["features"]["difference_hash"]) == fitted["stored"]
    run("tune", "fuse", "--reset")
    assert run("search", image, "--fuse", "--json").json["neighbours"][0]["fused"] == first["fused"]


def test_fuse_explains_its_evidence_in_words(album: Album) -> None:
    image = album.folder / "original.png"
    said = album.run("search", image, "--fuse", "--explain", "-k", "1").err
    assert re.search(r"difference_hash \d+ of 64 bits: [\d,.]+ times more likely of an altered copy", said)
    ranks = album.run("search", image, "--fusion", "reciprocal_rank", "--json").json
    assert ranks["fusion"] == "reciprocal_rank"
    assert {said["evidence"] for n in ranks["neighbours"] for said in n["features"].values()} == {None}
