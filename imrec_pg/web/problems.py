"""Errors as application/problem+json (RFC 9457): what is wrong, and how to fix it."""

import json
import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from imrec_pg import errors
from imrec_pg.web.pools import BusyError

_LOG = logging.getLogger(__name__)
_RETRY_S = "2"

RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "What is wrong, and how to fix it (RFC 9457).",
        "content": {
            "application/problem+json": {
                "schema": {
                    "type": "object",
                    "required": ["type", "title", "status", "detail"],
                    "properties": {
                        "type": {"type": "string"},
                        "title": {"type": "string"},
                        "status": {"type": "integer"},
                        "detail": {"type": "string"},
                        "kind": {"type": "string", "description": "A short, stable name for programs."},
                    },
                }
            }
        },
    }
}
"""For openapi.json."""

# The first class that fits decides.
_STATUS: tuple[tuple[type[errors.ImrecError], HTTPStatus], ...] = (
    (errors.ImageNotFoundError, HTTPStatus.NOT_FOUND),
    (errors.NoClustersError, HTTPStatus.NOT_FOUND),
    (errors.NoMapError, HTTPStatus.NOT_FOUND),
    (errors.UsageError, HTTPStatus.BAD_REQUEST),
    (errors.DecodeError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (errors.PermissionDeniedError, HTTPStatus.FORBIDDEN),
    (errors.DatabaseUnreachableError, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.ConflictError, HTTPStatus.CONFLICT),
    (errors.ModelMismatchError, HTTPStatus.CONFLICT),
    (errors.WeightsError, HTTPStatus.SERVICE_UNAVAILABLE),
)


def problem(status: int, detail: str, kind: str | None = None) -> Response:
    """Return a response that tells of a problem; kind is a short, stable name for programs."""
    told = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    body = json.dumps(told if kind is None else told | {"kind": kind}).encode()
    headers = {"Retry-After": _RETRY_S} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return Response(body, status, headers, media_type="application/problem+json")


def problem_of(error: errors.ImrecError) -> Response:
    """Return the response that tells of one of our errors."""
    status = next((found for kind, found in _STATUS if isinstance(error, kind)), None)
    kind = error.kind if isinstance(error, errors.DecodeError) else type(error).__name__.removesuffix("Error")
    if status is None:
        _LOG.error("%s", error)
        status = HTTPStatus.INTERNAL_SERVER_ERROR
    return problem(status, str(error), kind)


def install(app: FastAPI) -> None:
    """Have the app tell of all errors in this way."""

    async def ours(_request: Request, error: Exception) -> Response:
        assert isinstance(error, errors.ImrecError)
        return problem_of(error)

    async def busy(_request: Request, _error: Exception) -> Response:
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests wait already: try again", "Busy")

    async def invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        said = "; ".join(
            f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()[:5]
        )
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, said, "Invalid")

    async def other(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        response = problem(error.status_code, str(error.detail))
        response.headers.update(error.headers or {})
        return response

    app.add_exception_handler(errors.ImrecError, ours)
    app.add_exception_handler(BusyError, busy)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, other)
