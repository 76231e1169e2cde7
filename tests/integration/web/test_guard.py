"""What requests must show, and what hostile ones get: a problem, and nothing that harms others."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import pytest
from integration.web.conftest import Photos
from integration.web.test_searching import id_of
from web_client import API, Client, Serving, is_cut, serving

from imrec_pg.web import guard, server

TOKEN = "a-token-of-many-letters"  # noqa: S105


@pytest.fixture(scope="session")
def closed(photos: Photos, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Yield a server that demands a token."""
    with serving(photos.library, tmp_path_factory.mktemp("closed"), token=TOKEN) as found:
        yield found


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST", "localhost."])
def test_the_names_of_this_machine_are_answered(client: Client, host: str) -> None:
    for port in ("", f":{client.port}"):
        assert client.get("/roots", Host=host + port).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8765",
        "127.0.0.1.evil.example",
        "localhost:evil",
        "[::1",
        "[::1]x",
        "",
        "::1",
        "localhost@evil.example",
        "192.168.0.1",
    ],
)
def test_a_name_that_somebody_pointed_here_is_not(client: Client, host: str) -> None:
    for path in ("/roots", "//"):
        assert client.get(path, Host=host).problem["status"] == 421


def test_two_hosts_are_none(client: Client) -> None:
    conn = HTTPConnection("127.0.0.1", client.port)
    conn.putrequest("GET", f"{API}/roots", skip_host=True)
    conn.putheader("Host", "localhost")
    conn.putheader("Host", "evil.example")
    conn.endheaders()
    assert conn.getresponse().status in {400, 421}
    conn.close()


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "", "file://", "http://127.0.0.1"]
)
def test_pages_of_other_origins_change_nothing(client: Client, photos: Photos, origin: str) -> None:
    pair = f"/verdicts/{id_of(photos, '00.png')}/{id_of(photos, '02.png')}"
    told = client("PUT", pair, {"verdict": "same"}, {"Origin": origin, "Host": f"127.0.0.1:{client.port}"})
    assert (told.problem["status"], told.problem["kind"]) == (403, "Origin")
    assert client.ok("GET", "/verdicts") == []


def test_the_page_itself_may(client: Client, photos: Photos) -> None:
    headers = {"Origin": f"http://localhost:{client.port}", "Host": f"localhost:{client.port}"}
    asked = {"likes": [id_of(photos, "00.png")], "feature": "histogram"}
    assert client("POST", "/recommend", asked, headers | {"Sec-Fetch-Site": "same-origin"}).status == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_sites_get_no_data_even_by_get(client: Client, site: str) -> None:
    assert client.get("/status", Sec_Fetch_Site=site).problem["kind"] == "Origin"


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "image/png", ""]
)
def test_only_json_is_a_question(client: Client, photos: Photos, kind: str) -> None:
    asked = {"likes": [id_of(photos, "00.png")], "feature": "histogram"}
    assert client("POST", "/recommend", asked, {"Content-Type": kind}).problem["kind"] == "ContentType"


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/json", "multipart/form-data", "application/octet-stream"]
)
def test_only_image_types_are_pictures(client: Client, kind: str) -> None:
    assert client("POST", "/queries", b"x", {"Content-Type": kind}).problem["kind"] == "ContentType"


@pytest.mark.parametrize(
    "path", ["//", "/roots", "/nothing", "//static/nothing", "/images/x/thumbnail", "/openapi.json"]
)
def test_every_response_keeps_scripts_frames_and_other_sites_out(client: Client, path: str) -> None:
    reply = client.get(path)
    policy = dict(part.split(" ", 1) for part in reply.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert not {"script-src", "style-src"} & set(policy)
    assert "unsafe" not in reply.headers["content-security-policy"]
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["cross-origin-resource-policy"] == "same-origin"
    assert not [name for name in reply.headers if name.lower().startswith("access-control")]


def test_nothing_of_the_docs_loads_from_elsewhere(client: Client) -> None:
    for path in ("//docs", "//redoc", "//openapi.json"):
        assert client.get(path).status == 404
    assert client.ok("GET", "/openapi.json")["info"]["title"] == "imrec-pg"


@pytest.mark.parametrize(
    "path",
    [
        "//static/../app.py",
        "//static/%2e%2e/app.py",
        "//static/..%2fapp.py",
        "//static//etc/passwd",
        "//etc/passwd",
    ],
)
def test_no_address_leads_to_other_files(client: Client, path: str) -> None:
    assert client.get(path).status == 404


def test_bodies_have_an_end(client: Client) -> None:
    large = b"\xff" * (64 * 1024 * 1024 + 1)
    announced = client(
        "POST", "/queries", b"", {"Content-Type": "image/png", "Content-Length": str(len(large))}
    )
    assert announced.problem["status"] == 413
    many = b'{"likes": ["' + b"x" * guard.MOST_JSON + b'"]}'
    assert client("POST", "/recommend", many, {"Content-Type": "application/json"}).problem["status"] == 413


def test_a_body_without_a_length_ends_as_well(client: Client) -> None:
    conn = HTTPConnection("127.0.0.1", client.port, timeout=60)
    pieces = (b"x" * 65536 for _ in range(100))
    conn.request(
        "POST", f"{API}/recommend", pieces, {"Content-Type": "application/json"}, encode_chunked=True
    )
    assert conn.getresponse().status == 400
    conn.close()


def test_without_the_token_nothing_is_told(closed: Serving) -> None:
    told = closed.client("GET", "/roots")
    assert (told.problem["kind"], told.headers["www-authenticate"]) == ("Token", "Bearer")
    for path in ("//", "//static/app.js"):
        form = closed.client.get(path)
        assert form.status == 401
        assert b"<form" in form.body
        assert b"<script" not in form.body
    assert closed.client("POST", "/queries", b"x").status == 401


@pytest.mark.parametrize("given", ["", "wrong", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "\xe9" * 20])
def test_another_token_does_not_help(closed: Serving, given: str) -> None:
    assert closed.client.get("/roots", Authorization=f"Bearer {given}").status == 401
    assert closed.client.get("/roots", Cookie=f"imrec_pg_{closed.client.port}={given}").status == 401
    assert "set-cookie" not in closed.client.get(f"//login?token={given.encode('latin-1').hex()}").headers


def test_the_token_opens_by_bearer_or_by_a_cookie_that_no_script_and_no_other_site_has(
    closed: Serving,
) -> None:
    assert closed.client.get("/roots", Authorization=f"Bearer {TOKEN}").status == 200
    for entered in (
        closed.client.get(f"//login?token={TOKEN}"),
        closed.client(
            "POST",
            "//login",
            f"token={TOKEN}".encode(),
            {"Content-Type": "application/x-www-form-urlencoded"},
        ),
    ):
        assert (entered.status, entered.headers["location"]) == (303, "/")
        cookie, *flags = entered.headers["set-cookie"].split("; ")
        assert {"HttpOnly", "SameSite=strict"} <= set(flags)
        assert closed.client.get("/roots", Cookie=cookie).status == 200


def test_another_sites_page_cannot_even_log_in(closed: Serving) -> None:
    reply = closed.client("POST", "//login", f"token={TOKEN}".encode(), {"Origin": "http://evil.example"})
    assert reply.problem["kind"] == "Origin"


def test_a_thousand_idle_connections_keep_nobody_waiting(client: Client, photos: Photos) -> None:
    server._allow_files()
    held: list[socket.socket] = []
    try:
        for number in range(1_000):
            held.append(client.connect())
            if number % 2:
                held[-1].sendall(b"GET /api/v1/roots HTTP/1.1\r\nHost: loc")
        asked = {"likes": [id_of(photos, "00.png")], "feature": "histogram"}
        assert client("POST", "/recommend", asked).status == 200
    finally:
        for one in held:
            one.close()


def test_who_never_finishes_a_request_is_cut_off(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_HEADERS_S", 0.2)
    for start in (b"", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: "):
        with client.connect() as held:
            held.sendall(start)
            assert is_cut(held)


def test_who_takes_nothing_of_a_response_is_cut_off_and_holds_up_nobody(
    photos: Photos, tmp_path: Path
) -> None:
    key = id_of(photos, "large.bmp")
    size = (photos.folder / "large.bmp").stat().st_size
    request = f"GET {API}/images/{key}/original HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with serving(photos.library, tmp_path) as found:
        found.guard._send_s = 0.3
        held = []
        for _ in range(4):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", found.client.port))
            sock.sendall(request)
            held.append(sock)
        with ThreadPoolExecutor(4) as pool:
            assert {reply.status for reply in pool.map(lambda _: found.client.get("/roots"), range(8))} == {
                200
            }
        # Each is cut in the middle: what the two systems had buffered comes, and then the end.
        until = time.monotonic() + 60
        while found.open_files(size) and time.monotonic() < until:
            time.sleep(0.05)
        assert not found.open_files(size)
        assert all(len(_rest(sock)) < size for sock in held)


def _rest(sock: socket.socket) -> bytes:
    found = b""
    try:
        while part := sock.recv(1 << 20):
            found += part
    except ConnectionError:
        pass
    finally:
        sock.close()
    return found
