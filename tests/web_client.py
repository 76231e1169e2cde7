"""A server of the REST API in a thread of the test, and a client that sends what it is told to."""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPMessage
from pathlib import Path
from typing import Any

from imrec_pg.library import Library
from imrec_pg.web import server
from imrec_pg.web.access import access
from imrec_pg.web.app import make_app
from imrec_pg.web.guard import Guard

API = "/api/v1"
_PATIENCE_S = 60


@dataclass(frozen=True)
class Reply:
    status: int
    headers: HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def problem(self) -> dict[str, Any]:
        assert self.headers["content-type"] == "application/problem+json", self.body[:300]
        found: dict[str, Any] = json.loads(self.body)
        assert found["status"] == self.status
        assert found["detail"]
        return found


@dataclass(frozen=True)
class Client:
    port: int
    headers: Mapping[str, str] = field(default_factory=dict)

    def __call__(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Send a request to the API, or to any path that begins with two slashes; dicts travel as JSON."""
        sent = dict(self.headers) | dict(headers or {})
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if data is not None and not any(name.lower() == "content-type" for name in sent):
            sent["Content-Type"] = "image/png" if isinstance(body, bytes) else "application/json"
        conn = HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE_S)
        try:
            conn.request(method, path[1:] if path.startswith("//") else f"{API}{path}", data, sent)
            reply = conn.getresponse()
            return Reply(reply.status, reply.headers, reply.read())
        finally:
            conn.close()

    def get(self, path: str, **headers: str) -> Reply:
        return self("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def ok(self, method: str, path: str, body: object = None) -> Any:
        reply = self(method, path, body)
        assert reply.status == 200, reply.body
        return reply.json

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=_PATIENCE_S)


@dataclass(frozen=True)
class Serving:
    client: Client
    token: str | None
    cache: Path
    guard: Guard

    @staticmethod
    def open_files(size: int) -> int:
        """Return how many files of this size the process, and so the server in it, has open."""
        found = 0
        for number in os.listdir("/proc/self/fd"):  # noqa: PTH208
            with suppress(OSError):
                found += os.fstat(int(number)).st_size == size
        return found


@contextmanager
def serving(
    library: Library,
    cache: Path,
    *,
    host: str = "127.0.0.1",
    token: str | None = None,
    cache_size: int = 10**8,
) -> Iterator[Serving]:
    """Serve in a thread until the end of the block."""
    with server.listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        required = access(host, port, token)
        app = make_app(library, required, cache, cache_size)
        started = threading.Event()
        made = server.server_of(app, started.set)
        thread = threading.Thread(target=made.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        assert started.wait(_PATIENCE_S)
        try:
            yield Serving(Client(port), required.token, cache, app)
        finally:
            made.should_exit = True
            thread.join(_PATIENCE_S)
            assert not thread.is_alive()


def is_cut(sock: socket.socket) -> bool:
    """Return whether the other side has closed or cut a connection, once it has."""
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        with suppress(ConnectionError):
            if sock.recv(65536):
                continue
        return True
    return False
