"""What surrounds every request: its id, its limits, its headers, its count and record, and an answer whatever happens."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from typing import TYPE_CHECKING, Final

from fastapi.security.utils import get_authorization_scheme_param
from starlette.datastructures import Headers, MutableHeaders

from council.routes.caller import identified
from council.routes.refusals import Refusal, refusal_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from council.service import Service

ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
UPLOADS: Final = "/v1/documents"
QUESTIONS: Final = ("/v1/council", "/v1/chat/completions")
ASKING_FOR_KEYS: Final = "/v1/"
HEAD_BYTES: Final = 1 << 16
"""The most that the address and the headers of a request may hold together."""
LONGEST_PATH: Final = 200
SLOWEST_BYTES_S: Final = 1 << 16
"""How fast a body must come, on the average, when it has had as long as a question may take."""
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
}  # fmt: skip


class Envelope:
    """The outermost part of the application."""

    def __init__(self, app: ASGIApp, service: Service, labelled: bool = True) -> None:
        self._app, self._service, self._labelled = app, service, labelled

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        name = given if ID.fullmatch(given) else uuid.uuid4().hex
        state = scope.setdefault("state", {})
        state["request_id"] = name
        started, status = time.monotonic(), 0

        async def labelled(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                if self._labelled:
                    headers["x-request-id"] = name
                for key, value in HEADERS.items():
                    headers.setdefault(key, value)
            await send(message)

        try:
            _check_head(scope)
            elsewhere = Headers(scope=scope).get("origin") in self._service.settings.cors
            if scope["path"] in QUESTIONS and scope["method"] == "POST" and not elsewhere:
                # Before anything is read: to refuse must cost next to nothing. Pages of other origins can read no refusal but
                # from within, where the headers for them are added.
                self._service.check_room()
            await self._app(scope, self._limited(scope, receive), labelled)
        except Exception as exc:
            if status:  # it has begun: nothing can be said any more
                raise
            await refusal_of(exc).response()(scope, receive, labelled)
        finally:
            if self._service.metrics is not None and status:
                self._service.metrics.request(getattr(scope.get("route"), "path", "other"), status)
            if status and scope["path"].startswith(ASKING_FOR_KEYS) and not state.get("recorded"):
                route = f"{scope['method']} {scope['path'][:LONGEST_PATH]}"
                self._service.record(name, route, status, time.monotonic() - started, state.get("grant"))

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        """`receive`, refusing a body that is too large: at once by what it says of itself, else when it has grown so; and one that
        comes too slowly, for whoever sends it holds a place at this replica. Nothing is read of who has no key."""
        upload = scope["path"].rstrip("/") == UPLOADS
        settings = self._service.settings
        most, seen = settings.upload_bytes if upload else settings.body_bytes, 0
        refusal = Refusal(413, f"the body is larger than {most} bytes, which is the most", "body_too_large")
        length = Headers(scope=scope).get("content-length", "0")
        declared = int(length[:20]) if length.isdecimal() else 0
        began, complete = time.monotonic(), False

        async def limited() -> Message:
            nonlocal seen, complete
            if not complete and scope["path"].startswith(ASKING_FOR_KEYS):
                identified(self._service, _key(scope))
            if declared > most:
                raise refusal
            left_s = began + settings.deadline_s + seen / SLOWEST_BYTES_S - time.monotonic()
            try:
                async with asyncio.timeout(None if complete else left_s):
                    message = await receive()
            except TimeoutError as exc:
                raise Refusal(408, "the body came too slowly", "body_too_slow") from exc
            seen += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if seen > most:
                raise refusal
            return message

        return limited


def _check_head(scope: Scope) -> None:
    """Refuses more headers than any client of ours sends; HTTP servers keep all that they get."""
    size = len(scope.get("raw_path") or b"") + len(scope["query_string"]) + sum(len(name) + len(value) for name, value in scope["headers"])
    if size > HEAD_BYTES:
        raise Refusal(431, f"the address and the headers are larger than {HEAD_BYTES} bytes, which is the most", "headers_too_large")


def _key(scope: Scope) -> str | None:
    """The key that a request was sent with."""
    scheme, key = get_authorization_scheme_param(Headers(scope=scope).get("authorization"))
    return key if scheme.lower() == "bearer" and key else None
