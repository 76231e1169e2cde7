"""imrec-pg serve as a user runs it, and what the pages of another origin can do with it in a browser: nothing."""

import http.server
import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from e2e.command import Album, Imrec, Started

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# What a page of another origin tries, and reports of itself.
_ATTACK = """
<!doctype html><title>attack</title><body><script>
const api = "http://127.0.0.1:%(port)d/api/v1", found = {};
const tried = (name, promise) => promise.then(
  reply => { found[name] = "type " + reply.type; }, () => { found[name] = "refused"; });
const picture = (name, path) => new Promise(done => {
  const img = new Image();
  img.onload = () => { found[name] = "seen"; done(); };
  img.onerror = () => { found[name] = "refused"; done(); };
  img.src = api + path;
});
const framed = () => new Promise(done => {
  const frame = document.createElement("iframe");
  frame.onload = () => { try { found.frame = frame.contentDocument === null ? "closed" : "open"; }
                         catch { found.frame = "closed"; } done(); };
  frame.src = "http://127.0.0.1:%(port)d/";
  document.body.append(frame);
});
const said = JSON.stringify({verdict: "same"});
Promise.all([
  tried("read", fetch(api + "/images")),
  tried("read with cookies", fetch(api + "/status", {credentials: "include"})),
  tried("write", fetch(api + "/verdicts/%(one)s/%(two)s", {method: "PUT", body: said,
        headers: {"Content-Type": "application/json"}})),
  tried("send", fetch(api + "/queries", {method: "POST", body: "x", headers: {"Content-Type": "image/png"}})),
  tried("send blindly", fetch(api + "/verdicts/%(one)s/%(two)s", {method: "POST", mode: "no-cors", body: said})),
  picture("thumbnail", "/images/%(one)s/thumbnail"),
  picture("original", "/images/%(one)s/original"),
  framed(),
]).then(() => { window.found = found; });
</script>
"""


@contextmanager
def serve(run: Imrec, *arguments: str | Path) -> Iterator[tuple[Started, str]]:
    started = run.start("serve", "--port", "0", *arguments)
    assert started.process.stdout is not None
    address = started.process.stdout.readline().decode().strip()
    try:
        yield started, address
    finally:
        if started.process.poll() is None:
            started.process.send_signal(signal.SIGTERM)


def ask(address: str, path: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    place = urlsplit(address)
    conn = HTTPConnection("127.0.0.1", place.port or 0, timeout=60)
    try:
        conn.request("GET", path, headers=headers or {})
        reply = conn.getresponse()
        return reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read()
    finally:
        conn.close()


def test_it_serves_until_it_is_asked_to_stop(album: Album, tmp_path: Path) -> None:
    with serve(album.run, "--cache", tmp_path) as (started, address):
        assert address.startswith("http://127.0.0.1:")
        status, _, body = ask(address, "/")
        assert (status, b"<html" in body) == (200, True)
        status, _, body = ask(address, "/api/v1/images?k=1000")
        assert len(json.loads(body)["items"]) == album.images
        port = str(urlsplit(address).port)
        taken = album.run("serve", "--port", port, code=1).message
        assert f"cannot listen on 127.0.0.1, port {port}" in taken
        started.process.send_signal(signal.SIGTERM)
        ended = started.wait()
    assert (ended.code, ended.err) == (0, "stopped\n")


def test_other_machines_need_the_token_that_is_printed_once(album: Album, tmp_path: Path) -> None:
    with serve(album.run, "--cache", tmp_path, "--host", "0.0.0.0") as (_, address):  # noqa: S104
        (token,) = parse_qs(urlsplit(address).query)["token"]
        assert len(token) >= 40
        assert ask(address, "/api/v1/images")[0] == 401
        assert ask(address, "/api/v1/images", {"Authorization": f"Bearer {token}"})[0] == 200
        entered = ask(address, f"/login?token={token}")
        cookie = entered[1]["set-cookie"].partition(";")[0]
        assert ask(address, "/", {"Cookie": cookie})[0] == 200


def test_pages_of_another_origin_see_and_do_nothing(album: Album, browser: "Browser", tmp_path: Path) -> None:
    with serve(album.run, "--cache", tmp_path) as (_, address):
        items = json.loads(ask(address, "/api/v1/images?k=2")[2])["items"]
        one, two = (item["image_id"] for item in items)
        attack = _ATTACK % {"port": urlsplit(address).port, "one": one, "two": two}
        with _origin(attack.encode()) as other:
            page = browser.new_page()
            page.goto(f"http://127.0.0.1:{other}/")
            found: dict[str, Any] = page.wait_for_function("window.found").json_value()
            page.close()
        assert found == {
            "read": "refused",
            "read with cookies": "refused",
            "write": "refused",
            "send": "refused",
            "send blindly": "refused",
            "thumbnail": "refused",
            "original": "refused",
            "frame": "closed",
        }
        assert json.loads(ask(address, "/api/v1/verdicts")[2]) == []


@contextmanager
def _origin(page: bytes) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
