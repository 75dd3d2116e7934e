"""Streams of events: what is in them can't break them, errors are told where they still can be, and work ends with its client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st

from council.errors import DeadlineError, QuestionError
from council.routes import streaming
from council.routes.streaming import PING, event, first_of, streamed, unless_gone

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


class Script:
    """Yields what it is told to, raises an error if it is given one, and knows whether it was closed."""

    def __init__(self, *items: bytes | Exception | float) -> None:
        self.items, self.closed = items, False

    async def run(self) -> AsyncIterator[bytes]:
        try:
            for item in self.items:
                if isinstance(item, Exception):
                    raise item
                if isinstance(item, bytes):
                    yield item
                else:
                    await asyncio.sleep(item)
        finally:
            self.closed = True


async def sent(script: Script) -> list[bytes]:
    response = streamed(await first_of(script.run()), lambda item: item)
    assert response.media_type == "text/event-stream" and response.headers["cache-control"] == "no-store"
    return [bytes(part) if not isinstance(part, str) else part.encode() async for part in response.body_iterator]


def request(*messages: str, then: float = 0.0) -> Request:
    """Of a client that sends its body and stays, or leaves `then` seconds later."""
    waiting = list(messages)

    async def receive() -> dict[str, Any]:
        if waiting:
            return {"type": waiting.pop(0)}
        await asyncio.sleep(then or 3600.0)
        return {"type": "http.disconnect"}

    return Request({"type": "http"}, receive)


@given(VALUES, st.none() | st.sampled_from(["vote", "verdict"]))
def test_an_event_is_one_line_of_json_whatever_is_in_it(value: Any, name: str | None) -> None:
    told = event(value if not isinstance(value, str) else [value], name).decode("utf-8", "surrogatepass")
    lines = told.split("\n")
    assert lines[-2:] == ["", ""] and len(lines) == (4 if name else 3) and "\r" not in told
    assert name is None or lines[0] == f"event: {name}"
    assert json.loads(lines[-3].removeprefix("data: ")) == (value if not isinstance(value, str) else [value])


async def test_items_come_as_they_are() -> None:
    script = Script(b"a", b"b", b"c")
    assert await sent(script) == [b"a", b"b", b"c"] and script.closed
    assert await sent(Script()) == []


async def test_an_error_before_the_first_item_is_raised() -> None:
    with pytest.raises(QuestionError, match="no question"):
        await sent(Script(QuestionError("no question"), b"a"))


async def test_an_error_after_it_is_the_last_event() -> None:
    *before, last = await sent(script := Script(b"a", DeadlineError("too late"), b"b"))
    assert before == [b"a"] and last.startswith(b"event: error\ndata: ") and script.closed
    assert json.loads(last.decode().split("data: ")[1])["error"]["code"] == "deadline_exceeded"
    (_, unknown) = await sent(Script(b"a", ZeroDivisionError("secret")))
    assert b"secret" not in unknown and b"internal_error" in unknown


async def test_silence_is_filled_with_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "PING_S", 0.05)
    told = await sent(Script(b"a", 0.23, b"b"))
    assert told[0] == b"a" and told[-1] == b"b" and 2 <= told.count(PING) <= 5


async def test_whoever_stops_reading_ends_the_work() -> None:
    for pause in (0.0, 3600.0):  # while an item is at hand, and while one is waited for
        script = Script(b"a", pause, b"b", 3600.0)
        parts = streamed(await first_of(script.run()), lambda item: item).body_iterator
        async for part in parts:
            assert part == b"a"
            break
        if pause:
            waiting = asyncio.ensure_future(anext(aiter(parts)))
            await asyncio.sleep(0.05)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        await parts.aclose()  # type: ignore[attr-defined]
        assert script.closed


async def test_work_goes_on_while_its_client_stays() -> None:
    async def work() -> int:
        await asyncio.sleep(0.05)
        return 7

    assert await unless_gone(request("http.request"), work()) == 7
    with pytest.raises(QuestionError):
        await unless_gone(request("http.request"), _raises())
    assert len(asyncio.all_tasks()) == 1


async def _raises() -> None:
    raise QuestionError("none")


async def test_work_is_cancelled_when_its_client_leaves() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    with pytest.raises(asyncio.CancelledError):
        await unless_gone(request("http.request", then=0.05), work())
    outer = asyncio.ensure_future(unless_gone(request("http.request"), work()))
    await asyncio.sleep(0.05)
    outer.cancel()
    await asyncio.gather(outer, return_exceptions=True)
    assert ended == ["cancelled"] * 2 and len(asyncio.all_tasks()) == 1
