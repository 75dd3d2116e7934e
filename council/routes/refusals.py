"""Errors as HTTP says them: one status and one sentence for each, in OpenAI's shape."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any, Final

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from council.errors import (
    ConfigError,
    CouncilError,
    DeadlineError,
    DocumentError,
    GoingDown,
    KeysError,
    Overloaded,
    QuestionError,
    StoreError,
)
from council.openai_api import ErrorBody, ErrorReply
from council.types import Verdict

TYPES: Final[Mapping[int, str]] = {
    401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error",
    500: "server_error", 503: "server_error", 504: "timeout_error",
}  # fmt: skip
"""Of what isn't here: invalid_request_error."""
UNREAD: Final = {"There was an error parsing the body": "it is no JSON of a usual depth and size in UTF-8"}
"""What the framework says -> what its reader can do something with."""
UNION: Final = re.compile(r"\[|^(constrained-)?(str|int|float|bool)$")
"""A part of a field's address that is no name in the request: which of several types did not fit."""
GOING_DOWN_S: Final = 5
"""After how many seconds whoever takes this replica's place may be there."""


class Refusal(HTTPException):
    """A request that is answered with an error. It is HTTP's own kind of exception, so that one raised while the body is read is
    not taken for a fault of the body."""

    def __init__(
        self, status: int, message: str, code: str | None = None, param: str | None = None,
        headers: Mapping[str, str] | None = None, verdict: Verdict | None = None,
    ) -> None:  # fmt: skip
        super().__init__(status, message, dict(headers or {}))
        self.status, self.message, self.code, self.param, self.verdict = status, message, code, param, verdict

    def body(self) -> dict[str, Any]:
        """In OpenAI's shape; with the verdict, where it is that which failed."""
        about = ErrorBody(message=self.message, type=TYPES.get(self.status, "invalid_request_error"), param=self.param, code=self.code)
        return ErrorReply(error=about, council=self.verdict).model_dump(mode="json", exclude=None if self.verdict else {"council"})

    def response(self) -> JSONResponse:
        return JSONResponse(self.body(), self.status, self.headers)


def refusal_of(exc: Exception) -> Refusal:
    """What is said of an error. Of what nobody foresaw, nothing but that it happened; the log has the rest."""
    if isinstance(exc, Refusal):
        return exc
    if isinstance(exc, RequestValidationError):
        return _invalid(exc)
    if isinstance(exc, HTTPException):
        told = {404: ("there is nothing at this address", "not_found"), 405: ("this address does not take this method", "wrong_method")}
        fallback = "the body can't be read: " + UNREAD.get(str(exc.detail), str(exc.detail)), "invalid_body"
        message, code = told.get(exc.status_code) or (fallback if exc.status_code == 400 else (str(exc.detail), None))
        return Refusal(exc.status_code, message, code, headers=exc.headers)
    if isinstance(exc, GoingDown):
        return Refusal(503, str(exc), "going_down", headers={"Retry-After": str(GOING_DOWN_S)})
    if isinstance(exc, Overloaded):
        return Refusal(429, str(exc), "overloaded", headers={"Retry-After": str(exc.retry_after_s)})
    for kind, status, code in (
        (DeadlineError, 504, "deadline_exceeded"), (QuestionError, 400, "invalid_question"), (ConfigError, 400, "invalid_value"),
        (DocumentError, 400, "invalid_document"), (StoreError, 503, "store_unavailable"), (KeysError, 503, "keys_unavailable"),
        (CouncilError, 503, "unavailable"),
    ):  # fmt: skip
        if isinstance(exc, kind):
            return Refusal(status, str(exc), code)
    logging.getLogger("council.service").error("a request failed", exc_info=exc)
    return Refusal(500, "something went wrong here; the service's log tells what, by the request id", "internal_error")


def _invalid(exc: RequestValidationError) -> Refusal:
    """The first fault, with the field that has it."""
    fault = exc.errors()[0]
    where = [str(part) for part in fault["loc"]]
    known = where[1:] if fault["type"] == "extra_forbidden" else [part for part in where[1:] if not UNION.search(part)]
    field = ".".join(known) or None
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "json_invalid":
        field, message = None, f"the body is no JSON: {fault.get('ctx', {}).get('error', message)}"
    elif fault["type"] == "extra_forbidden":
        message = "this service has no such field"
    elif message.startswith("Expected UploadFile"):
        message = "this is no file: give it a file's name"
    elif field is None and fault["type"] != "missing":
        message = "the body is no JSON object, or not sent as application/json"
    elif field is None:
        message = "there is no body, or it is not sent as application/json"
    return Refusal(400, f"{field}: {message}" if field else message, "invalid_value", field)


async def answer(request: Request, exc: Exception) -> JSONResponse:
    """FastAPI's handler of all of these."""
    refusal = refusal_of(exc)
    if refusal.status == 405:
        refusal.headers = {"Allow": ", ".join(sorted(_methods(request)))}
    return refusal.response()


def _methods(request: Request) -> set[str]:
    """What this address takes: each of its routes by itself knows only its own."""
    routes = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    return {method for route in routes for method in getattr(route, "methods", None) or ()}


def documented(*statuses: int, **others: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    """These statuses as OpenAPI has them, and those that the envelope has for any request; `ok` is what it has of 200, `unready`
    of 503."""
    told = {
        400: "The request can't be understood: the message names the field.",
        401: "No key, or one that is not known.",
        403: "The key does not allow this.",
        404: "There is no such thing.",
        408: "The body came too slowly.",
        413: "The body is larger than the service takes.",
        431: "The address and the headers are larger than the service takes.",
        429: "Too many requests, or no room for one more: come again when Retry-After says.",
        500: "Something went wrong in the service.",
        503: "Too few members answer, or the store can't be read.",
        504: "There was no verdict in time.",
    }
    made: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorReply, "description": told[status]} for status in sorted({*statuses, 431})
    }
    return made | {status: others[name] for name, status in (("ok", 200), ("unready", 503)) if name in others}
