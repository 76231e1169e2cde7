"""Searches through the REST API say what the library says."""

import io
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from integration.web.conftest import PHOTOS, SCENES, Photos, scene
from PIL import Image
from web_client import Client

from imrec_pg.images.content import image_id_of


def id_of(photos: Photos, name: str) -> str:
    return str(image_id_of((photos.folder / name).read_bytes()))


def as_png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def of(answer: dict[str, Any]) -> list[str]:
    return [item["image_id"] for item in answer["items"]]


def test_a_stored_image_finds_what_the_library_finds(client: Client, photos: Photos) -> None:
    asked = {"likes": [id_of(photos, "00.png")], "feature": "histogram", "k": 6}
    answer = client.ok("POST", "/recommend", asked)
    expected = photos.library.search(photos.folder / "00.png", feature="histogram", k=6)
    assert answer["items"] == [
        {name: value for name, value in one.items() if name != "raw_path"} for one in expected.to_dicts()
    ]
    assert Path(answer["items"][0]["path"]).name == "twice.png"
    assert answer["answer"]["certainty"] == "exact"
    assert (answer["answer"]["metric"], answer["answer"]["index"]) == ("cosine", None)
    same = client.ok("GET", f"/search?image_id={id_of(photos, '00.png')}&feature=histogram&k=6")
    assert (same["items"], same["next"]) == (answer["items"], answer["next"])


def test_pages_follow_each_other_to_the_last_photo(client: Client, photos: Photos) -> None:
    asked = {"likes": [id_of(photos, "00.png")], "feature": "histogram", "k": 10}
    found: list[str] = []
    after = None
    for _ in range(3):
        page = client.ok("POST", "/recommend", asked | {"after": after})
        found += of(page)
        after = page["next"]
    assert after is None
    assert found == of(client.ok("POST", "/recommend", asked | {"k": 100}))
    assert len(set(found)) == len(found) == PHOTOS - 1


@pytest.mark.parametrize("after", ["x", "", "n3", "bi0x", "bjk5OTk5OTk5", "é"])
def test_a_cursor_that_is_none_is_refused(client: Client, photos: Photos, after: str) -> None:
    asked = {"likes": [id_of(photos, "00.png")], "feature": "histogram", "after": after}
    assert "after" in client("POST", "/recommend", asked).problem["detail"]


def test_a_sent_picture_is_searched_for_by_its_id(client: Client) -> None:
    larger = as_png(scene(3).resize((90, 60), Image.Resampling.NEAREST))
    sent = client.ok("POST", "/queries", larger)
    assert sent == {"image_id": str(image_id_of(larger)), "stored": False}
    answer = client.ok("POST", "/recommend", {"likes": [sent["image_id"]], "feature": "histogram", "k": 1})
    assert Path(answer["items"][0]["path"]).name == "03.png"
    thumbnail = client.get(f"/queries/{sent['image_id']}/thumbnail")
    assert Image.open(io.BytesIO(thumbnail.body)).size == (90, 60)


def test_likes_and_dislikes_steer(client: Client, photos: Photos) -> None:
    likes, dislikes = [id_of(photos, "00.png"), id_of(photos, "02.png")], [id_of(photos, "04.png")]
    answer = client.ok(
        "POST",
        "/recommend",
        {"likes": likes, "dislikes": dislikes, "feature": "histogram", "combine": "min", "k": 9},
    )
    expected = photos.library.search(
        [UUID(key) for key in likes],
        dislikes=[UUID(key) for key in dislikes],
        feature="histogram",
        combine="min",
        k=9,
    )
    assert of(answer) == [str(one.image_id) for one in expected]
    assert not {*likes, *dislikes} & set(of(answer))


def test_a_fused_answer_tells_what_each_feature_says(client: Client, photos: Photos) -> None:
    weights = {"histogram": 1, "difference_hash": 1}
    answer = client.ok("POST", "/fuse", {"likes": [id_of(photos, "00.png")], "weights": weights, "k": 3})
    expected = photos.library.fuse(photos.folder / "00.png", weights=weights, k=3)
    assert [(one["image_id"], one["fused"], one["features"]) for one in answer["items"]] == [
        (one["image_id"], one["fused"], one["features"]) for one in expected.to_dicts()
    ]
    assert answer["answer"]["weights"] == weights
    assert answer["items"][0]["features"]["histogram"]["evidence"] > 10


def test_filters_have_the_keys_of_sql(client: Client, photos: Photos) -> None:
    asked = {"likes": [id_of(photos, "00.png")], "feature": "histogram", "k": 50}
    odd = client.ok(
        "POST", "/recommend", asked | {"filter": {"under": f"{photos.folder}/2024", "format": "png"}}
    )
    names = sorted(Path(item["path"]).name for item in odd["items"])
    assert names == [f"{number:02}.png" for number in range(1, SCENES, 2)]
    wide = client.ok("POST", "/recommend", asked | {"filter": {"min_width": 100, "max_size": 10**6}})
    assert sorted(Path(item["path"]).name for item in wide["items"]) == ["turned.jpg", "twice.png"]
    wrong = client("POST", "/recommend", asked | {"filter": {"colour": "red"}}).problem
    assert (wrong["status"], wrong["kind"]) == (422, "Invalid")
    assert "filter.colour" in wrong["detail"]


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"likes": []}, 422, "likes"),
        ({"likes": ["/etc/passwd"]}, 422, "likes"),
        ({"k": 0}, 422, "k"),
        ({"k": 10**30}, 422, "k"),
        ({"feature": "smell"}, 422, "feature"),
        ({"metric": "hamming"}, 400, "metric"),
        ({"filter": {"root": "nowhere"}}, 400, "nowhere"),
        ({"filter": {"in_box": [1, 2]}}, 400, "4 or 6 numbers"),
        ({"filter": {"camera": "\x00"}}, 400, ""),
        ({"filter": {"camera": "\ud800"}}, 422, "filter.camera"),
    ],
)
def test_questions_without_sense_are_told_so(
    client: Client, photos: Photos, change: dict[str, Any], status: int, said: str
) -> None:
    asked = {"likes": [id_of(photos, "00.png")], "feature": "histogram", "filter": {}} | change
    told = client("POST", "/recommend", asked).problem
    assert (told["status"], said in told["detail"]) == (status, True), told


def test_an_unknown_image_and_one_without_the_feature_are_told_apart(client: Client, photos: Photos) -> None:
    unknown = client("POST", "/recommend", {"likes": [str(uuid4())], "feature": "histogram"}).problem
    assert (unknown["status"], unknown["kind"]) == (404, "ImageNotFound")
    lacking = client(
        "POST", "/recommend", {"likes": [id_of(photos, "00.png")], "feature": "embedding"}
    ).problem
    assert lacking["status"] == 400
    assert "lacks embedding" in lacking["detail"]


def test_a_picture_in_the_body_is_searched_for_and_embedded(client: Client, photos: Photos) -> None:
    data = (photos.folder / "2024" / "05.png").read_bytes()
    answer = client.ok("POST", "/search?feature=histogram&k=2&include_self=true", data)
    assert Path(answer["items"][0]["path"]).name == "05.png"
    assert answer["items"][0]["distance"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("data", [b"no picture at all", b"<svg onload=alert(1)>", b"\x00" * 100])
def test_what_is_no_picture_is_refused(client: Client, data: bytes) -> None:
    told = client("POST", "/search?feature=histogram", data).problem
    assert (told["status"], told["kind"]) == (422, "NotAnImage")


def test_a_picture_with_too_many_pixels_is_refused_before_it_is_decoded(client: Client) -> None:
    buffer = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(buffer, "PNG")
    told = client("POST", "/search?feature=histogram", buffer.getvalue()).problem
    assert (told["status"], told["kind"]) == (422, "TooManyPixels")


def test_a_picture_of_a_hundred_frames_counts_as_its_first(client: Client) -> None:
    buffer = io.BytesIO()
    frames = [scene(7), *(Image.fromarray(np.full((40, 60, 3), level, np.uint8)) for level in range(99))]
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    answer = client.ok("POST", "/search?feature=histogram&k=1", buffer.getvalue())
    assert Path(answer["items"][0]["path"]).name == "07.png"


def test_features_are_those_of_sql(client: Client) -> None:
    found = {one["feature"]: one for one in client.ok("GET", "/features")}
    assert list(found) == ["embedding", "histogram", "average_hash", "difference_hash", "perceptual_hash"]
    assert found["average_hash"]["metrics"] == ["hamming"]
    assert (found["embedding"]["evidence_weight"], found["embedding"]["fused_weight"]) == (1, 3)
