"""What surrounds every request: its id, its size limit, its headers, its count, and an answer whatever happens."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers, MutableHeaders

from council.routes.refusals import Refusal, refusal_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from council.service import Service

ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
UPLOADS: Final = "/v1/documents"
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
        scope.setdefault("state", {})["request_id"] = name
        status = 0

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
            await self._app(scope, self._limited(scope, receive), labelled)
        except Exception as exc:
            if status:  # it has begun: nothing can be said any more
                raise
            await refusal_of(exc).response()(scope, receive, labelled)
        finally:
            if self._service.metrics is not None and status:
                self._service.metrics.request(getattr(scope.get("route"), "path", "other"), status)

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        """`receive`, refusing a body that is too large: at once by what it says of itself, else when it has grown so."""
        upload = scope["path"].rstrip("/") == UPLOADS
        settings = self._service.settings
        most, seen = settings.upload_bytes if upload else settings.body_bytes, 0
        refusal = Refusal(413, f"the body is larger than {most} bytes, which is the most", "body_too_large")
        length = Headers(scope=scope).get("content-length", "0")
        declared = int(length) if length.isdecimal() else 0

        async def limited() -> Message:
            nonlocal seen
            if declared > most:
                raise refusal
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > most:
                raise refusal
            return message

        return limited
