"""Raw bodies of requests, within limits: of each, and of all that are here at once."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from fastapi import HTTPException, Request

from imrec_pg.web.pools import BusyError

MOST = 64 * 1024 * 1024
"""Bytes of an image that is sent."""
_MOST_OF_ALL = 512 * 1024 * 1024
_IN_MEMORY = 1024 * 1024  # the rest of a body lies in a temporary file until all of it is here


class Bodies:
    """Takes the images that are sent; those that are here at once are bounded, too."""

    def __init__(self) -> None:
        self._here = 0

    @asynccontextmanager
    async def image(self, request: Request) -> AsyncIterator[bytes]:
        """Yield the body of a request, which counts among those that are here until the end of the block.

        Raises:
            HTTPException: there is none, or it is too large.
            BusyError: too much is here already.
        """
        announced = request.headers.get("content-length", "0")
        if announced.isdigit() and int(announced) > MOST:
            raise _too_large()
        size = 0
        try:
            with tempfile.SpooledTemporaryFile(_IN_MEMORY) as spool:
                async for part in request.stream():
                    size += len(part)
                    self._here += len(part)
                    if size > MOST:
                        raise _too_large()
                    if self._here > _MOST_OF_ALL:
                        raise BusyError
                    spool.write(part)
                spool.seek(0)
                data = spool.read()
            if not data:
                raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, "the body is empty: send an image file")
            yield data
        finally:
            self._here -= size


def _too_large() -> HTTPException:
    said = f"the body is over {MOST // 1024**2} MiB"
    return HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, said, {"Connection": "close"})
