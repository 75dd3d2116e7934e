"""Server-sent events, and work that ends with its client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, TypeVar

from fastapi import Request
from fastapi.responses import StreamingResponse

from council.routes.refusals import refusal_of

T = TypeVar("T")
PING_S: Final = 10.0
PING: Final = b": ping\n\n"
GONE: Final = 499
"""The status, which nobody sees, of a request whose client went away."""


def documented_events(*names: str) -> dict[str, Any]:
    """A stream of events of these names as OpenAPI has it, item by item; without names they have none."""
    item: dict[str, Any] = {"type": "object", "required": ["data"], "properties": {"data": {"type": "string", "description": "JSON"}}}
    if names:
        item = {**item, "required": ["event", "data"], "properties": {"event": {"enum": list(names)}, **item["properties"]}}
    return {"text/event-stream": {"itemSchema": item}}


def event(data: Any, name: str | None = None) -> bytes:
    """One event; JSON has no line breaks of its own, so that text can't end it."""
    told = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return (f"event: {name}\n" if name else "").encode() + f"data: {told}\n\n".encode()


async def first_of(items: AsyncIterator[T]) -> AsyncIterator[T]:
    """The same items, when the first is there: what is raised before it is raised here, where a status can still say so."""
    try:
        first = await anext(items)
    except StopAsyncIteration:
        return _none()
    return _with(first, items)


async def _none() -> AsyncIterator[Any]:
    return
    yield


async def _with(first: T, items: AsyncIterator[T]) -> AsyncIterator[T]:
    try:
        yield first
        async for item in items:
            yield item
    finally:
        await items.aclose()  # type: ignore[attr-defined]


def streamed(items: AsyncIterator[T], render: Callable[[T], bytes]) -> StreamingResponse:
    """Items as they come, and a sign of life where none comes for long. An error is told as the last event."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_rendered(items, render), media_type="text/event-stream", headers=headers)


async def _rendered(items: AsyncIterator[T], render: Callable[[T], bytes]) -> AsyncIterator[bytes]:
    coming: asyncio.Task[T] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(items))
            done, _ = await asyncio.wait({coming}, timeout=PING_S)
            if not done:
                yield PING
                continue
            finished, coming = coming, None
            try:
                yield render(finished.result())
            except StopAsyncIteration:
                return
            except Exception as exc:
                yield event(refusal_of(exc).body(), "error")
                return
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
        await items.aclose()  # type: ignore[attr-defined]


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """The result of `work`; if the client goes away meanwhile, the work is cancelled, and CancelledError raised."""
    task = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise asyncio.CancelledError
        return task.result()
    finally:
        for one in (task, leaving):
            one.cancel()
        await asyncio.gather(task, leaving, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
