"""Clusters, maps, duplicates, verdicts, plans, status and events through the REST API."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import psycopg
import pytest
from integration.web.conftest import PHOTOS, SCENES, Photos
from integration.web.test_searching import id_of
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Identifier
from support import add_analysis, bare_session, settings_for
from web_client import API, Client, serving

from imrec_pg.library import Library


@pytest.fixture(scope="session")
def analysed(photos: Photos) -> Photos:
    with bare_session(settings_for(photos.dsn)) as conn:
        add_analysis(conn)
    return photos


@pytest.mark.usefixtures("analysed")
def test_clusters_are_those_of_sql(client: Client) -> None:
    found = client.ok("GET", "/clusters")
    assert (found["feature"], found["space"], found["k"]) == ("embedding", "feature", 2)
    sizes = {one["cluster"]: one["size"] for one in found["clusters"]}
    assert sizes == {1: 10, 2: PHOTOS - 10}
    assert client("GET", "/clusters?feature=histogram").problem["kind"] == "NoClusters"
    assert len(client.ok("GET", "/clusterings")) == 2


@pytest.mark.usefixtures("analysed")
def test_a_map_is_eight_bytes_a_point(client: Client) -> None:
    points = client.get("/maps/embedding/2/points?colour=cluster")
    ids = client.get("/maps/embedding/2/ids")
    assert (points.headers["x-imrec-points"], len(points.body)) == (str(PHOTOS), 8 * (PHOTOS))
    assert points.headers["x-imrec-version"] == ids.headers["x-imrec-version"]
    low, high = np.array([float(n) for n in points.headers["x-imrec-box"].split(",")]).reshape(2, 3)
    packed = np.frombuffer(points.body, "<u2").reshape(-1, 4)
    at = low + packed[:, :3] / 65535 * (high - low)
    keys = [UUID(bytes=ids.body[n : n + 16]) for n in range(0, len(ids.body), 16)]
    assert keys == sorted(keys)
    # add_analysis puts number n at (n / 10, n % 10), and the first ten into cluster 1.
    expected = [(n // 10, n % 10, 0) for n in range(len(keys))]
    assert at == pytest.approx(np.array(expected), abs=1e-3)
    groups = client.ok("GET", "/maps/embedding/2/groups?colour=cluster")
    names = [groups["names"][number - 1] for number in packed[:, 3]]
    assert names == ["cluster 1"] * 10 + ["cluster 2"] * (len(keys) - 10)
    assert groups["sizes"] == [PHOTOS - 10, 10]


@pytest.mark.usefixtures("analysed")
def test_a_map_is_coloured_by_folders_as_well(client: Client) -> None:
    groups = client.ok("GET", "/maps/embedding/2/groups?colour=folder")
    assert dict(zip([Path(name).name for name in groups["names"]], groups["sizes"], strict=True)) == {
        "photos": SCENES // 2 + 4,
        "2024": SCENES // 2,
    }
    (info,) = client.ok("GET", "/maps")
    assert (info["feature"], info["dims"]) == ("embedding", 2)
    assert client("GET", "/maps/embedding/3/points").problem["kind"] == "NoMap"


def test_duplicates_verdicts_and_undo(client: Client, photos: Photos) -> None:
    photos.library.find_duplicates("loose")
    found = client.ok("GET", "/duplicates")
    expected = photos.library.duplicates()
    assert [(one["group_id"], one["kind"], one["savings"]) for one in found["items"]] == [
        (str(one.group_id), one.kind, one.savings) for one in expected
    ]
    assert found["savings"] == sum(one.savings for one in expected)
    first = found["items"][0]
    keeper, other = first["photos"][:2]
    assert keeper["keeper"]
    assert "raw_path" not in keeper
    pair = f"/verdicts/{keeper['image_id']}/{other['image_id']}"
    assert client.ok("PUT", pair, {"verdict": "different"}) == {"before": None}
    assert first["group_id"] not in [one["group_id"] for one in client.ok("GET", "/duplicates")["items"]]
    assert client.ok("GET", "/verdicts")[0]["verdict"] == "different"
    assert client.ok("PUT", pair, {"verdict": None}) == {"before": "different"}
    again = client.ok("GET", "/duplicates")["items"]
    assert [one["photos"] for one in again] == [one["photos"] for one in found["items"]]
    assert client("PUT", pair, {"verdict": "maybe"}).problem["status"] == 422
    same = f"/verdicts/{keeper['image_id']}/{keeper['image_id']}"
    assert client("PUT", same, {"verdict": "same"}).problem["status"] == 400


def test_a_plan_is_shown_and_downloaded_and_changes_nothing(
    client: Client, photos: Photos, tmp_path: Path
) -> None:
    photos.library.find_duplicates("loose")
    expected = photos.library.plan_removal(("copy", "exact"), keep=("resolution",))
    found = client.ok("POST", "/plans", {"keep": ["resolution"]})
    assert found["files"] == sum(len(group.remove) for group in expected.groups) > 0
    assert found["savings"] == expected.savings
    asked = {"keep": ["resolution"], "trash": str(tmp_path / "trash")}
    script = client("POST", "/plans/script", asked)
    assert script.body.startswith(b"#!/bin/sh\n# imrec-pg duplicates plan")
    assert "attachment" in script.headers["content-disposition"]
    assert not (tmp_path / "trash").exists()
    inside = client("POST", "/plans/script", asked | {"trash": str(photos.folder / "trash")})
    assert inside.problem["status"] == 400


def test_status_and_failures(client: Client, photos: Photos) -> None:
    status = client.ok("GET", "/status")
    assert (status["images"], status["files"], status["failures"]) == (PHOTOS, PHOTOS, 1)
    (failed,) = client.ok("GET", "/failures")["items"]
    assert failed["path"] == str(photos.folder / "broken.jpg")
    assert {finding["level"] for finding in client.ok("GET", "/doctor")} <= {
        "ok",
        "notice",
        "warning",
        "error",
    }


def test_events_tell_of_running_ingests(client: Client) -> None:
    conn = HTTPConnection("127.0.0.1", client.port, timeout=60)
    conn.request("GET", f"{API}/events")
    reply = conn.getresponse()
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.readline() == b"event: running\n"
    assert json.loads(reply.readline().removeprefix(b"data: ")) == []
    conn.close()


def test_a_lost_connection_to_the_database_is_replaced(client: Client, photos: Photos) -> None:
    client.ok("GET", "/roots")
    with psycopg.connect(photos.dsn, autocommit=True) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE 'imrec%'"
        )
    assert client.get("/roots").status == 200


def test_a_database_that_is_away_is_a_503_and_comes_back(client: Client, photos: Photos) -> None:
    name = str(conninfo_to_dict(photos.dsn)["dbname"])
    with psycopg.connect(make_conninfo(photos.dsn, dbname="template1"), autocommit=True) as admin:
        admin.execute(SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(Identifier(name)))
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        try:
            told = client("GET", "/roots")
        finally:
            admin.execute(SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(Identifier(name)))
    assert (told.problem["status"], told.headers["retry-after"]) == (503, "2")
    assert client.get("/roots").status == 200


@dataclass(frozen=True)
class Reader:
    client: Client
    name: str


@pytest.fixture
def reader(photos: Photos, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Reader]:
    """Yield a server whose role may see the photos of some roots alone, or of all."""
    name = f"web_reader_{uuid4().hex[:8]}"
    roots = [str(photos.folder)] if request.param else []
    photos.library.grant("reader", name, create=True, roots=roots)
    try:
        with (
            Library(settings_for(make_conninfo(photos.dsn, user=name))) as library,
            serving(library, tmp_path) as found,
        ):
            yield Reader(found.client, name)
    finally:
        with psycopg.connect(photos.dsn, autocommit=True) as conn:
            conn.execute(SQL("DROP OWNED BY {}").format(Identifier(name)))
            conn.execute(SQL("DROP ROLE {}").format(Identifier(name)))


@pytest.mark.parametrize("reader", [False, True], ids=["of all", "of some roots"], indirect=True)
def test_a_reader_looks_at_everything_and_changes_nothing(reader: Reader, photos: Photos) -> None:
    key, other = id_of(photos, "00.png"), id_of(photos, "02.png")
    asked = {"likes": [key], "feature": "histogram", "k": 3}
    assert [one["image_id"] for one in reader.client.ok("POST", "/recommend", asked)["items"]] == [
        str(one.image_id) for one in photos.library.search(UUID(key), feature="histogram", k=3)
    ]
    assert reader.client.ok("GET", f"/images/{key}")["files"][0]["path"] == str(photos.folder / "00.png")
    assert reader.client.get(f"/images/{key}/thumbnail").status == 200
    assert reader.client.get(f"/images/{key}/original").body == (photos.folder / "00.png").read_bytes()
    for path in (
        "/images",
        "/status",
        "/roots",
        "/formats",
        f"/folders?under={photos.folder}",
        "/failures",
        "/duplicates",
    ):
        assert reader.client.get(path).status == 200, path
    assert reader.client("PUT", f"/verdicts/{key}/{other}", {"verdict": "same"}).problem["status"] == 403


def test_a_reader_of_another_root_sees_nothing_not_even_what_is_cached(
    photos: Photos, tmp_path: Path
) -> None:
    key = id_of(photos, "00.png")
    with bare_session(settings_for(photos.dsn)) as conn:
        conn.execute(
            "INSERT INTO imrec.root (root_id, name, raw_path) VALUES (gen_random_uuid(), 'none', '/none')"
        )
    name = f"web_reader_{uuid4().hex[:8]}"
    photos.library.grant("reader", name, create=True, roots=["none"])
    try:
        with serving(photos.library, tmp_path) as own:
            assert own.client.get(f"/images/{key}/thumbnail").status == 200
        with (
            Library(settings_for(make_conninfo(photos.dsn, user=name))) as library,
            serving(library, tmp_path) as found,
        ):
            for path in (f"/images/{key}", f"/images/{key}/thumbnail", f"/images/{key}/original"):
                assert found.client("GET", path).problem["kind"] == "ImageNotFound"
            told = found.client("POST", "/recommend", {"likes": [key], "feature": "histogram"}).problem
            assert told["kind"] == "ImageNotFound"
            assert found.client.ok("GET", "/images")["items"] == []
    finally:
        with psycopg.connect(photos.dsn, autocommit=True) as conn:
            conn.execute(SQL("DROP OWNED BY {}").format(Identifier(name)))
            conn.execute(SQL("DROP ROLE {}").format(Identifier(name)))
            conn.execute("DELETE FROM imrec.root WHERE name = 'none'")
