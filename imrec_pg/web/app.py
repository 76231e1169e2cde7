"""The app: routes over one library, behind the guard."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI

from imrec_pg._version import __version__
from imrec_pg.library import Library
from imrec_pg.web import analyses, photos, problems, searching, upkeep
from imrec_pg.web.access import Access
from imrec_pg.web.context import Context
from imrec_pg.web.guard import API, Guard
from imrec_pg.web.pictures import Pictures
from imrec_pg.web.pools import Pool
from imrec_pg.web.static_files import router_of, static_files
from imrec_pg.web.thumbnail_cache import ThumbnailCache

_MOST_WAITING = 500
_MOST_THREADS = 8


def make_app(library: Library, access: Access, cache: Path, cache_size: int) -> Guard:
    """Return an ASGI app that answers for a library, which is to stay open; what it starts, it ends.

    Args:
        library: threads share it; each has a connection of its own.
        access: what requests must show.
        cache: a folder for thumbnails.
        cache_size: how many bytes of them are kept.
    """
    app = FastAPI(
        title="imrec-pg",
        version=__version__,
        description="Photos most like others, from PostgreSQL. Names and fields are those of the SQL functions.",
        openapi_url=f"{API}/openapi.json",
        # They load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
    )
    threads = min(_MOST_THREADS, 2 * (os.cpu_count() or 1) + 2)
    app.state.make_context = lambda: Context(
        library,
        Pictures(library.images.local_files, ThumbnailCache(cache, cache_size)),
        Pool("queries", threads, _MOST_WAITING),
        Pool("work", threads, _MOST_WAITING),
    )
    problems.install(app)
    for router in (searching.router, photos.router, analyses.router, upkeep.router):
        app.include_router(router, prefix=API, responses=problems.RESPONSES)
    app.include_router(router_of(static_files()))
    return Guard(app, access)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    context: Context = app.state.make_context()
    app.state.context = context
    try:
        yield
    finally:
        context.queries.close()
        context.work.close()
        context.pictures.close()
