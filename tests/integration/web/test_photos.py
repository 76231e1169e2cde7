"""Photos through the REST API: what is known of them, thumbnails and originals, and what is never handed out."""

import io
from pathlib import Path
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest
from integration.web.conftest import PHOTOS, SCENES, Photos, scene
from integration.web.test_searching import id_of
from PIL import Image
from web_client import Client, Serving, serving

from imrec_pg.web.thumbnail_cache import ThumbnailCache


def picture(body: bytes) -> Image.Image:
    found = Image.open(io.BytesIO(body))
    assert found.format == "WEBP"
    return found


def test_an_image_is_told_with_its_files(client: Client, photos: Photos) -> None:
    key = id_of(photos, "turned.jpg")
    told = client.ok("GET", f"/images/{key}")
    assert (told["image_id"], told["format"], told["width"], told["height"]) == (key, "JPEG", 400, 600)
    (file,) = told["files"]
    assert file["path"] == str(photos.folder / "turned.jpg")
    assert file["missing_since"] is None
    assert client("GET", f"/images/{uuid4()}").problem["kind"] == "ImageNotFound"
    assert client("GET", "/images/..%2f..%2fetc").problem["status"] == 404


def test_images_are_listed_page_by_page(client: Client) -> None:
    first = client.ok("GET", "/images?k=20")
    rest = client.ok("GET", f"/images?k=20&after={first['next']}")
    keys = [item["image_id"] for item in first["items"] + rest["items"]]
    assert keys == sorted(set(keys))
    assert (len(keys), rest["next"]) == (PHOTOS, None)


@pytest.mark.parametrize(("size", "expected"), [(256, (171, 256)), (1024, (400, 600))])
def test_a_thumbnail_is_upright_and_fits(
    client: Client, photos: Photos, size: int, expected: tuple[int, int]
) -> None:
    reply = client.get(f"/images/{id_of(photos, 'turned.jpg')}/thumbnail?size={size}")
    assert (reply.status, reply.headers["content-type"]) == (200, "image/webp")
    assert picture(reply.body).size == expected
    # The first row of blocks of the scene is the last column of what is shown.
    shown, stored = picture(reply.body).convert("RGB"), scene(100)
    width, height = expected
    for x, y, of in ((0.9, 0.1, (5, 5)), (0.1, 0.9, (55, 35)), (0.9, 0.9, (55, 5))):
        there = shown.getpixel((round(x * width), round(y * height)))
        assert there == pytest.approx(stored.getpixel(of), abs=14)


def test_a_thumbnail_stays_with_the_browser_for_ever(client: Client, photos: Photos) -> None:
    path = f"/images/{id_of(photos, '00.png')}/thumbnail"
    reply = client.get(path)
    assert "immutable" in reply.headers["cache-control"]
    assert "private" in reply.headers["cache-control"]
    again = client.get(path, If_None_Match=reply.headers["etag"])
    assert (again.status, again.body) == (304, b"")


def test_a_cached_thumbnail_is_not_decoded_again(served: Serving, photos: Photos) -> None:
    path, moved = photos.folder / "06.png", photos.folder / "elsewhere"
    key = id_of(photos, "06.png")
    before = served.client.get(f"/images/{key}/thumbnail")
    path.rename(moved)
    try:
        assert served.client.get(f"/images/{key}/thumbnail").body == before.body
    finally:
        moved.rename(path)


def test_a_missing_file_has_a_picture_that_says_so(client: Client, photos: Photos) -> None:
    path, moved = photos.folder / "08.png", photos.folder / "elsewhere"
    key = id_of(photos, "08.png")
    path.rename(moved)
    try:
        reply = client.get(f"/images/{key}/thumbnail")
        original = client.get(f"/images/{key}/original")
    finally:
        moved.rename(path)
    assert (reply.status, reply.headers["x-imrec-reason"], reply.headers["cache-control"]) == (
        404,
        "missing",
        "no-store",
    )
    assert picture(reply.body).size == (256, 256)
    assert (original.problem["status"], original.headers["x-imrec-reason"]) == (404, "missing")
    assert client.get(f"/images/{key}/thumbnail").status == 200


def test_a_root_that_is_not_here_has_another_picture(client: Client, photos: Photos) -> None:
    moved = photos.folder.with_name("unmounted")
    key = id_of(photos, "10.png")
    photos.folder.rename(moved)
    try:
        reply = client.get(f"/images/{key}/thumbnail")
    finally:
        moved.rename(photos.folder)
    assert (reply.status, reply.headers["x-imrec-reason"]) == (404, "unmounted")


@pytest.mark.parametrize("inside", [False, True])
def test_links_lead_about_in_the_root_but_not_out_of_it(
    client: Client, photos: Photos, tmp_path: Path, inside: bool
) -> None:
    path = photos.folder / "12.png"
    data = path.read_bytes()
    key = id_of(photos, "12.png")
    place = photos.folder / "2024" / "moved" if inside else tmp_path / "secret"
    path.rename(place)
    path.symlink_to(place)
    try:
        reply = client.get(f"/images/{key}/original")
    finally:
        path.unlink()
        place.rename(path)
    if inside:
        assert (reply.status, reply.body) == (200, data)
    else:
        assert (reply.status, reply.headers["x-imrec-reason"]) == (404, "outside")


def test_another_file_in_the_place_of_a_photo_is_not_handed_out(client: Client, photos: Photos) -> None:
    path = photos.folder / "14.png"
    data = path.read_bytes()
    key = id_of(photos, "14.png")
    path.write_bytes((photos.folder / "16.png").read_bytes())
    try:
        original = client.get(f"/images/{key}/original")
        thumbnail = client.get(f"/images/{key}/thumbnail")
    finally:
        path.write_bytes(data)
    assert (original.status, original.headers["x-imrec-reason"]) == (404, "changed")
    assert (thumbnail.status, thumbnail.headers["x-imrec-reason"]) == (404, "changed")


def test_the_original_is_the_file_itself_with_its_name_as_text(client: Client, photos: Photos) -> None:
    name = "<img src=x onerror=alert(1)>\u202e.png"
    reply = client.get(f"/images/{id_of(photos, name)}/original")
    assert reply.body == (photos.folder / name).read_bytes()
    assert reply.headers["content-type"] == "image/png"
    escaped = quote("<img src=x onerror=alert(1)>\\u202e.png", safe="")
    assert reply.headers["content-disposition"] == f"inline; filename*=UTF-8''{escaped}"


def test_names_are_text_in_json(client: Client, photos: Photos) -> None:
    name = "<img src=x onerror=alert(1)>\u202e.png"
    reply = client.get(f"/images/{id_of(photos, name)}")
    assert reply.headers["content-type"] == "application/json"
    assert reply.json["files"][0]["path"] == str(photos.folder / name)


def test_what_photos_can_be_filtered_by(client: Client, photos: Photos) -> None:
    assert {one["name"]: one["images"] for one in client.ok("GET", "/formats")} == {
        "PNG": SCENES + 2,
        "JPEG": 1,
        "BMP": 1,
    }
    assert client.ok("GET", "/cameras") == []
    assert client.ok("GET", "/folders") == [str(photos.folder)]
    assert client.ok("GET", f"/folders?under={photos.folder}") == [f"{photos.folder}/2024"]
    assert client.ok("GET", f"/folders?under={photos.folder}/2024/") == []
    assert client.ok("GET", "/folders?under=/etc") == []
    (root,) = client.ok("GET", "/roots")
    assert (root["path"], root["files"], root["gone"]) == (str(photos.folder), PHOTOS, False)


def test_the_cache_stays_within_its_bound(tmp_path: Path) -> None:
    cache = ThumbnailCache(tmp_path / "made", 5_000)
    for number in range(20):
        cache.put(UUID(int=number), 256, bytes([number]) * 1_000)
    kept = [number for number in range(20) if cache.get(UUID(int=number), 256) is not None]
    assert 2 <= len(kept) <= 5
    assert cache.get(UUID(int=kept[0]), 1024) is None
    assert (tmp_path / "made").stat().st_mode & 0o077 == 0


def test_a_cache_that_cannot_be_written_costs_only_time(photos: Photos) -> None:
    with serving(photos.library, Path("/proc/nowhere")) as found:
        assert found.client.get(f"/images/{id_of(photos, '00.png')}/thumbnail").status == 200
