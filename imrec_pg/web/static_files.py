"""The page's files: a closed list, made when the server starts, so that no address leads to any other file."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import APIRouter, HTTPException, Request, Response

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webp": "image/webp",
    ".ico": "image/x-icon",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
    "": "text/plain; charset=utf-8",  # LICENSE
}
_THREE = ("three.module.js", "three.core.js", "OrbitControls.js", "LICENSE")


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file of the page."""

    data: bytes
    media_type: str

    @property
    def etag(self) -> str:
        """Changes with the content."""
        return f'"{hashlib.sha256(self.data).hexdigest()[:32]}"'


def static_files() -> dict[str, StaticFile]:
    """Return the page's files by the rest of their address, such as three/three.module.js."""
    found = dict(_below(files("imrec_pg.web").joinpath("static"), ""))
    vendor = files("imrec_pg.pictures").joinpath("vendor")
    for name in _THREE:
        data = vendor.joinpath(name).read_bytes()
        # A bare name needs an import map, which would be a script inside the page.
        data = data.replace(b"} from 'three';", b"} from './three.module.js';")
        found[f"three/{name}"] = StaticFile(data, _TYPES[_extension(name)])
    return found


def router_of(known: Mapping[str, StaticFile]) -> APIRouter:
    """Return routes to the page at / and to its files below /static/."""
    router = APIRouter(include_in_schema=False)

    def answer(request: Request, name: str) -> Response:
        file = known.get(name)
        if file is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "there is no such page")
        headers = {"ETag": file.etag, "Cache-Control": "private, no-cache"}
        if request.headers.get("if-none-match") == file.etag:
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(file.data, headers=headers, media_type=file.media_type)

    @router.get("/")
    async def page(request: Request) -> Response:
        return answer(request, "index.html")

    @router.get("/static/{name:path}")
    async def static(request: Request, name: str) -> Response:
        return answer(request, name)

    @router.get("/favicon.ico")
    async def icon(request: Request) -> Response:
        return answer(request, "favicon.svg")

    return router


def _below(folder: Traversable, prefix: str) -> Iterator[tuple[str, StaticFile]]:
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _below(entry, f"{prefix}{entry.name}/")
        elif _extension(entry.name) in _TYPES and not entry.name.startswith("."):
            yield f"{prefix}{entry.name}", StaticFile(entry.read_bytes(), _TYPES[_extension(entry.name)])


def _extension(name: str) -> str:
    dot = name.rfind(".")
    return name[dot:].lower() if dot > 0 else ""
