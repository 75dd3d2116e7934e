"""What Serve's HTTP proxies say themselves, in the service's shape: no route yet, a replica that was lost, too slow.

Serve calls `middlewares` in every proxy when RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH names it, as `council serve` and the
manifests in deploy/ do.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers
from starlette.middleware import Middleware

from council.routes.refusals import Refusal

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

CALLBACK: Final = "council.routes.proxy:middlewares"
AGAIN: Final = {"Retry-After": "1"}
LOST: Final = Refusal(503, "the replica that worked on this was lost: ask again", "replica_lost", headers=AGAIN)
SAID: Final = {
    404: Refusal(503, "the council is not deployed, or is going down: come again", "unavailable", headers=AGAIN),
    408: Refusal(504, "there was no answer in time", "deadline_exceeded"),
    429: Refusal(429, "the council is busy: ask again in 5 s", "overloaded", headers={"Retry-After": "5"}),
    500: LOST,
    503: Refusal(503, "no replica of the council can take this now: come again", "unavailable", headers=AGAIN),
}


def middlewares() -> list[Middleware]:
    """For Serve's proxies."""
    return [Middleware(ProxyErrors)]


class ProxyErrors:
    """Replaces plain-text errors, which only the proxy sends, by ours; what they said goes to the log alone."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/-/"):  # Serve's own health checks
            await self._app(scope, receive, send)
            return
        refusal: Refusal | None = None
        started, said = False, b""

        async def replaced(message: Message) -> None:
            nonlocal refusal, started, said
            if message["type"] == "http.response.start":
                started = True
                headers = Headers(raw=message.get("headers", []))
                if headers.get("content-type", "").startswith("text/plain"):
                    refusal = SAID.get(message["status"])
            if refusal is None:
                await send(message)
                return
            said += message.get("body", b"")
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                logging.getLogger("ray.serve").warning("answered %d for: %s", refusal.status, said[:2000].decode("utf-8", "replace"))
                await refusal.response()(scope, receive, send)

        await self._app(scope, receive, replaced)
        if not started:  # Serve has nothing to say of a replica that died
            await LOST.response()(scope, receive, send)
