"""Routes of the library as a whole: status, failures, the doctor, and what ingests are doing now."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import asdict, fields
from datetime import datetime
from http import HTTPStatus
from importlib.metadata import version

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import StreamingResponse

from imrec_pg.doctor import Finding
from imrec_pg.errors import ImrecError
from imrec_pg.web import context, models
from imrec_pg.web.context import Context
from imrec_pg.web.pools import BusyError

router = APIRouter(tags=["library"])
_EVERY_S = 2
_COMMENT_EVERY = 7  # rounds: proxies close what is silent
_MOST_STREAMS = 64


@router.get("/status")
async def status(request: Request) -> models.StatusTold:
    """Return counts, sizes and versions: imrec-pg status --json."""
    it = context.of(request)
    found = await it.work.run(it.library.status)
    known = {one.name: getattr(found, one.name) for one in fields(found)}
    return models.StatusTold(**known, imrec_pg_version=version("imrec-pg"))


@router.get("/failures")
async def failures(request: Request, k: models.Page = 100, after: models.Cursor = None) -> models.FailurePage:
    """Return the files that could not be read, by path."""
    it = context.of(request)
    start = context.number_of(after, 10**9)
    found = await it.queries.run(it.library.failures)
    return models.FailurePage(
        items=found[start : start + k],
        next=context.cursor(start + k) if start + k < len(found) else None,
        failures=len(found),
    )


@router.get("/doctor")
async def doctor(request: Request) -> list[Finding]:
    """Return what is well and what is not in the database, each finding with what mends it."""
    it = context.of(request)
    return await it.work.run(it.library.doctor)


@router.get("/events", response_class=StreamingResponse, responses=models.binary("text/event-stream"))
async def events(request: Request) -> StreamingResponse:
    """Return server-sent events: "running" with the ingests at work, whenever that changes."""
    it = context.of(request)
    if it.streams >= _MOST_STREAMS:
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "too many pages listen already")
    return StreamingResponse(
        _events(it), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )


async def _events(it: Context) -> AsyncIterator[str]:
    it.streams += 1
    try:
        last, rounds = None, 0
        while True:
            event = await _event(it)
            if event != last:
                last = event
                yield event
            elif rounds % _COMMENT_EVERY == 0:
                yield ": still here\n\n"
            rounds += 1
            await asyncio.sleep(_EVERY_S)
    finally:
        it.streams -= 1


async def _event(it: Context) -> str:
    try:
        running = await it.running.get(None, it.queries, it.library.running)
    except (ImrecError, BusyError) as error:
        return f"event: trouble\ndata: {json.dumps(str(error))}\n\n"
    return f"event: running\ndata: {json.dumps([asdict(one) for one in running], default=_plain)}\n\n"


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
