"""Routes of stored photos: what is known of them, thumbnails, originals, and what they can be filtered by."""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from io import BufferedReader
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query, Request, Response
from starlette.responses import StreamingResponse

from imrec_pg.catalogue.images import Facet, ImageDetails
from imrec_pg.catalogue.roots import RootState
from imrec_pg.paths import terminal_text
from imrec_pg.web import context, models
from imrec_pg.web.pictures import SIDES, NoPictureError, Original, placeholder

router = APIRouter(tags=["photos"])
_CHUNK = 64 * 1024
# An id is the digest of the content: what it stands for never changes.
_FOR_EVER = "private, max-age=31536000, immutable"


@router.get("/images")
async def images(request: Request, k: models.Page = 24, after: UUID | None = None) -> models.ImagePage:
    """Return stored images in the order of their ids, which is as good as a random one."""
    it = context.of(request)
    found = await it.queries.run(it.library.images.some, k, after)
    return models.ImagePage(items=found, next=str(found[-1].image_id) if len(found) == k else None)


@router.get("/images/{image_id}")
async def image(request: Request, image_id: UUID) -> ImageDetails:
    """Return what is stored of an image, and the files that hold it."""
    it = context.of(request)
    return await it.queries.run(it.library.images.get, image_id)


@router.get("/images/{image_id}/thumbnail", response_class=Response, responses=models.binary("image/webp"))
async def thumbnail(request: Request, image_id: UUID, size: Annotated[int, Query()] = SIDES[0]) -> Response:
    """Return a photo as a WebP that fits into a square of size pixels, 256 or 1024.

    Where there is none, the body of the 404 is a picture that says why, and so does the header X-Imrec-Reason.
    """
    if size not in SIDES:
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, f"size is {' or '.join(map(str, SIDES))}")
    it = context.of(request)
    headers = {"Cache-Control": _FOR_EVER, "ETag": f'"{image_id.hex}-{size}"'}
    try:
        found = await it.work.run(it.pictures.thumbnail, image_id, size)
    except NoPictureError as error:
        body = placeholder(error.reason, size)
        said = {"Cache-Control": "no-store", "X-Imrec-Reason": error.reason}
        return Response(body, HTTPStatus.NOT_FOUND, said, media_type="image/webp")
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(found, headers=headers, media_type="image/webp")


@router.get("/images/{image_id}/original", response_class=Response, responses=models.binary("*/*"))
async def original(request: Request, image_id: UUID) -> Response:
    """Return the file itself, as long as it still holds the image."""
    it = context.of(request)
    try:
        found = await it.work.run(it.pictures.original, image_id)
    except NoPictureError as error:
        raise HTTPException(HTTPStatus.NOT_FOUND, str(error), {"X-Imrec-Reason": error.reason}) from error
    headers = {
        "Cache-Control": _FOR_EVER,
        "ETag": f'"{image_id.hex}"',
        "Content-Length": str(found.size),
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(terminal_text(found.name), safe='')}",
    }
    return _FileResponse(found, headers)


class _FileResponse(StreamingResponse):
    """An open file, sent in pieces and then closed, whatever happens."""

    def __init__(self, original: Original, headers: dict[str, str]) -> None:
        super().__init__(
            _pieces(original.file, original.size), headers=headers, media_type=original.media_type
        )
        self._file = original.file

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - as ASGI has it
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()


async def _pieces(file: BufferedReader, size: int) -> AsyncIterator[bytes]:
    left = size
    while left > 0:
        # In a thread: a disk may have fallen asleep.
        piece = await asyncio.to_thread(file.read, min(_CHUNK, left))
        if not piece:
            return
        left -= len(piece)
        yield piece


@router.get("/roots", tags=["filters"])
async def roots(request: Request) -> list[RootState]:
    """Return the roots, where they lie on this host, and how many files each has."""
    it = context.of(request)
    return await it.queries.run(it.library.roots.states)


@router.get("/folders", tags=["filters"])
async def folders(request: Request, under: models.Text | None = None) -> list[str]:
    """Return the folders with photos right below one, or those of the roots: values of the filter under."""
    it = context.of(request)
    if under is not None and (not under.startswith("/") or "\0" in under):
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, "under is the absolute path of a folder")
    return await it.queries.run(it.library.images.folders, under)


@router.get("/cameras", tags=["filters"])
async def cameras(request: Request) -> list[Facet]:
    """Return the cameras, those with most images first: values of the filter camera."""
    it = context.of(request)
    return await it.queries.run(it.library.images.cameras)


@router.get("/formats", tags=["filters"])
async def formats(request: Request) -> list[Facet]:
    """Return the formats, the most frequent first: values of the filter format."""
    it = context.of(request)
    return await it.queries.run(it.library.images.formats)
