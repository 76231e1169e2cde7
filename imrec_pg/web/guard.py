"""What every request passes before the app sees it, and every response on its way out."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import parse_qs

from starlette.responses import HTMLResponse, RedirectResponse, Response

from imrec_pg.web.access import Access, is_origin
from imrec_pg.web.problems import problem

Scope: TypeAlias = Any
Message: TypeAlias = Any
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_LOG = logging.getLogger(__name__)
_SAFE = frozenset({"GET", "HEAD"})
_LOGIN = "/login"
_LOGIN_SIZE = 4096
MOST_JSON = 1024 * 1024
API = "/api/v1"
IMAGES = frozenset({f"{API}/queries", f"{API}/search", f"{API}/embed"})
"""The addresses that take an image; all others take JSON."""
TRANSPORT = "imrec.transport"
"""The extension of the scope by which a connection can be cut."""
_COOKIE_AGE_S = 30 * 24 * 3600

HEADERS = (
    (
        b"content-security-policy",
        (
            b"default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
            b"frame-ancestors 'none'"
        ),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
"""On every response: no script but our files', no frame around the page, no other site's page around our pictures."""

_FORM = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>imrec-pg</title>
<main><h1>imrec-pg</h1>
<p>This server is open to those who have its token. It was printed where imrec-pg serve was started.</p>
<form method="post" action="/login"><label>Token <input name="token" type="password" autocomplete="off"></label>
<button>Open</button></form></main></html>
"""


class _TooSlowError(Exception):
    """The other side has taken nothing for too long."""


class Guard:
    """ASGI middleware: names, origins, the token, content types, time limits, headers.

    Args:
        app: what comes after.
        access: what requests must show.
        answer_s: how long a request may take until its response begins, its body included.
        send_s: how long the other side may take nothing of a response.
    """

    def __init__(self, app: App, access: Access, *, answer_s: float = 60, send_s: float = 30) -> None:
        self._app = app
        self._access = access
        self._answer_s = answer_s
        self._send_s = send_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        out = _Out(send, self._send_s)
        try:
            async with asyncio.timeout(self._answer_s) as limit:
                out.limit = limit
                response = self._refusal(scope) or await self._login(scope, receive)
                taken = receive if scope["path"] in IMAGES else _short(receive)
                await (response or self._app)(scope, taken, out.send)
        except _TooSlowError:
            await out.give_up(scope)
        except TimeoutError:
            await self._late(scope, receive, out)
        except Exception:  # noqa: BLE001 - one request's trouble is not the server's
            _LOG.exception("%s %s failed", scope["method"], scope["path"])
            if not out.started:
                response = problem(
                    HTTPStatus.INTERNAL_SERVER_ERROR, "internal error: the server's log says more"
                )
                await response(scope, receive, out.send)

    async def _late(self, scope: Scope, receive: Receive, out: "_Out") -> None:
        if out.started:
            await out.give_up(scope)
            return
        late = problem(HTTPStatus.SERVICE_UNAVAILABLE, f"this took over {self._answer_s:g} s", "Timeout")
        late.headers["Connection"] = "close"  # what is left of the body is not waited for
        await late(scope, receive, out.send)

    def _refusal(self, scope: Scope) -> Response | None:
        """Return the answer to a request that goes no further, None for one that does."""
        headers = _Headers(scope["headers"])
        host = headers.one("host")
        if not self._access.knows_host(host):
            return problem(
                HTTPStatus.MISDIRECTED_REQUEST,
                "this server does not answer to that name: imrec-pg serve --allow-host NAME",
                "Host",
            )
        assert host is not None
        is_safe = scope["method"] in _SAFE
        if not _is_from_here(headers, host, scope["path"], is_safe=is_safe):
            return problem(HTTPStatus.FORBIDDEN, "another site's page may not ask for this", "Origin")
        if scope["path"] == _LOGIN:
            return None
        if not self._access.admits(headers.one("authorization"), headers.one("cookie")):
            if is_safe and not scope["path"].startswith("/api/"):
                return HTMLResponse(_FORM, HTTPStatus.UNAUTHORIZED, {"Cache-Control": "no-store"})
            refused = problem(HTTPStatus.UNAUTHORIZED, "this server demands its token", "Token")
            refused.headers["WWW-Authenticate"] = "Bearer"
            return refused
        return None if is_safe else _refused_body(headers, scope["path"])

    async def _login(self, scope: Scope, receive: Receive) -> Response | None:
        """Return the answer to somebody who brings the token, None for any other request."""
        if scope["path"] != _LOGIN:
            return None
        raw: bytes = scope["query_string"]
        if scope["method"] == "POST":
            raw = await _short_body(receive)
        elif scope["method"] not in _SAFE:
            return problem(HTTPStatus.METHOD_NOT_ALLOWED, "GET or POST")
        try:
            given = parse_qs(raw.decode("latin-1"), max_num_fields=4).get("token", [""])[0]
        except ValueError:
            given = ""
        if self._access.token is not None and not self._access.is_token(given):
            return HTMLResponse(_FORM, HTTPStatus.UNAUTHORIZED, {"Cache-Control": "no-store"})
        entered = RedirectResponse("/", HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})
        if self._access.token is not None:
            entered.set_cookie(
                self._access.cookie,
                self._access.token,
                max_age=_COOKIE_AGE_S,
                httponly=True,
                samesite="strict",
                secure=scope["scheme"] == "https",
            )
        return entered


class _Out:
    """The way of a response: headers are added, and each step has its time."""

    def __init__(self, send: Send, patience_s: float) -> None:
        self._send = send
        self._patience_s = patience_s
        self.started = False
        self.limit: asyncio.Timeout | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            if self.limit is not None and not self.limit.expired():
                self.limit.reschedule(None)
            names = {name.lower() for name, _ in message["headers"]}
            message = message | {
                "headers": [*message["headers"], *(one for one in HEADERS if one[0] not in names)]
            }
        try:
            async with asyncio.timeout(self._patience_s):
                await self._send(message)
        except TimeoutError as error:
            raise _TooSlowError from error

    @staticmethod
    async def give_up(scope: Scope) -> None:
        """Cut the connection: the response cannot be completed, and closing would wait for what is not taken."""
        transport = scope.get("extensions", {}).get(TRANSPORT)
        if transport is not None:
            transport.abort()
            await asyncio.sleep(0)  # the server hears of it


class _Headers:
    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self._all = [(name.lower(), value.decode("latin-1")) for name, value in headers]

    def one(self, name: str) -> str | None:
        """Return a header's value; None where it is absent. One that stands there twice equals nothing expected."""
        found = [value for known, value in self._all if known == name.encode()]
        return ", ".join(found) if found else None


def _is_from_here(headers: _Headers, host: str, path: str, *, is_safe: bool) -> bool:
    """Return whether no page of another site is behind a request, as far as its browser tells."""
    site = headers.one("sec-fetch-site")
    if site in {"cross-site", "same-site"} and (not is_safe or path.startswith("/api/")):
        return False
    if is_safe:
        return True
    origin = headers.one("origin")
    return origin is None or is_origin(origin, host)


def _refused_body(headers: _Headers, path: str) -> Response | None:
    """Return the answer to a body of a wrong type or size, None for one that may be read."""
    length = headers.one("content-length")
    if length in {None, "0"} and headers.one("transfer-encoding") is None:
        return None
    kind = (headers.one("content-type") or "").partition(";")[0].strip().lower()
    takes_image = path in IMAGES
    if not (kind.startswith("image/") if takes_image else kind == "application/json"):
        wanted = "the image file itself, as image/jpeg, say" if takes_image else "application/json"
        return problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"a body is {wanted}", "ContentType")
    if not takes_image and (length or "0").isdigit() and int(length or 0) > MOST_JSON:
        return problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body is at most {MOST_JSON:,} bytes", "TooLarge"
        )
    return None


def _short(receive: Receive) -> Receive:
    """Return what takes a body of JSON, and no more than that."""
    size = 0

    async def limited() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > MOST_JSON:
            raise ValueError(f"the body is over {MOST_JSON:,} bytes")
        return message

    return limited


async def _short_body(receive: Receive) -> bytes:
    body = b""
    while len(body) <= _LOGIN_SIZE:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] != "http.request" or not message.get("more_body"):
            break
    return body[:_LOGIN_SIZE]
