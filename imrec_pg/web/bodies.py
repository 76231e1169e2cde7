"""Raw bodies of requests, within limits: of each, and of all that arrive at once."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import BinaryIO

from fastapi import HTTPException, Request

from imrec_pg.web.pools import BusyError

MOST = 64 * 1024 * 1024
"""Bytes of an image that is sent."""
_MOST_OF_ALL = 512 * 1024 * 1024
_IN_MEMORY = 1024 * 1024  # the rest of a body lies in a temporary file until all of it is here


class Bodies:
    """Takes the images that are sent; those that arrive at once are bounded, too."""

    def __init__(self) -> None:
        self._arriving = 0

    async def image(self, request: Request) -> bytes:
        """Return the body of a request.

        Raises:
            HTTPException: there is none, it is too large, or no image type.
            BusyError: too much is arriving.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not kind.startswith("image/"):
            raise HTTPException(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body is the image file itself: image/jpeg, say"
            )
        announced = request.headers.get("content-length", "0")
        if announced.isdigit() and int(announced) > MOST:
            raise _too_large()
        async with self._spool(request) as spool:
            spool.seek(0)
            data = spool.read()
        if not data:
            raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, "the body is empty: send an image file")
        return data

    @asynccontextmanager
    async def _spool(self, request: Request) -> AsyncIterator[BinaryIO]:
        size = 0
        try:
            with tempfile.SpooledTemporaryFile(_IN_MEMORY) as spool:
                async for part in request.stream():
                    size += len(part)
                    self._arriving += len(part)
                    if size > MOST:
                        raise _too_large()
                    if self._arriving > _MOST_OF_ALL:
                        raise BusyError
                    spool.write(part)
                yield spool  # type: ignore[misc]  # it has what BinaryIO has
        finally:
            self._arriving -= size


def _too_large() -> HTTPException:
    said = f"the body is over {MOST // 1024**2} MiB"
    return HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, said, {"Connection": "close"})
