"""What surrounds a request, around an application of a few lines: limits that are kept however a body comes, and an answer always."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from council import Council, CouncilConfig
from council.app import build_app
from council.keys import KeyRing
from council.routes.envelope import HEAD_BYTES, HEADERS, Envelope
from council.service import Service
from tests.conftest import scripted_config

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY, UPLOAD, SLOW_S = 2000, 5000, 0.3


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Of a council that was not started: nothing is asked here."""
    folder = tmp_path_factory.mktemp("envelope")
    limits = {"body_bytes": BODY, "upload_bytes": UPLOAD, "deadline_s": SLOW_S, "audit": str(folder / "audit.jsonl")}
    council = Council(CouncilConfig.model_validate(scripted_config() | {"service": limits}))
    made = Service(council)
    yield made
    made.close()
    council.close()


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with how many bytes it got."""
    got, more = 0, True
    while more:
        message = await receive()
        got, more = got + len(message.get("body", b"")), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(got).encode()})


async def call(
    service: Service, app: ASGIApp, pieces: list[bytes], path: str = "/v1/council", pause_s: float = 0.0, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer to a request whose body comes in pieces."""
    sent: list[Message] = []
    left = list(pieces)

    async def receive() -> Message:
        await asyncio.sleep(pause_s)
        body = left.pop(0) if left else b""
        return {"type": "http.request", "body": body, "more_body": bool(left)}

    async def send(message: Message) -> None:
        sent.append(message)

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope: Scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"", "headers": raw}
    await Envelope(app, service)(scope, receive, send)
    told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], told, b"".join(m.get("body", b"") for m in sent[1:])


@settings(deadline=None)
@given(sizes=st.lists(st.integers(0, 3000), max_size=6), upload=st.booleans(), honest=st.booleans())
def test_no_more_is_taken_than_may_be(service: Service, sizes: list[int], upload: bool, honest: bool) -> None:
    path, most, whole = ("/v1/documents", UPLOAD, sum(sizes)) if upload else ("/v1/council", BODY, sum(sizes))
    length = str(whole) if honest else "0"
    status, told, body = asyncio.run(call(service, echo, [b"x" * n for n in sizes], path, content_length=length))
    assert status == (413 if whole > most else 200)
    assert (body == str(whole).encode()) if status == 200 else json.loads(body)["error"]["code"] == "body_too_large"
    assert all(told[name.lower()] == value for name, value in HEADERS.items()) and told["x-request-id"]


@pytest.mark.parametrize(("length", "status"), [("2001", 413), ("9" * 5000, 413), ("0", 200), ("-1", 200), ("x", 200), ("", 200)])
async def test_what_a_body_says_of_itself_is_believed_only_if_it_is_too_much(service: Service, length: str, status: int) -> None:
    assert (await call(service, echo, [b"x"], content_length=length))[0] == status


async def test_a_slow_body_is_not_waited_for(service: Service) -> None:
    status, _, body = await call(service, echo, [b"x"] * 100, pause_s=0.05)
    assert (status, json.loads(body)["error"]["code"]) == (408, "body_too_slow")


async def test_the_end_of_a_long_answer_is_waited_for(service: Service) -> None:
    """A body that is there has all the time it wants."""

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await asyncio.sleep(2 * SLOW_S)
        assert (await receive())["type"] == "http.request"
        await echo(scope, receive, send)

    assert (await call(service, slow, [b"x"]))[0] == 200


async def test_heads_are_bounded(service: Service) -> None:
    assert (await call(service, echo, [], x_big="a" * (HEAD_BYTES - 100)))[0] == 200
    status, told, body = await call(service, echo, [], x_big="a" * HEAD_BYTES)
    assert (status, json.loads(body)["error"]["code"]) == (431, "headers_too_large") and told["x-request-id"]


@pytest.mark.parametrize(("given", "kept"), [("a-1", True), ("a\r\nb: c", False), ("", False), ("a" * 65, False)])
async def test_an_id_is_kept_if_it_is_plain(service: Service, given: str, kept: bool) -> None:
    _, told, _ = await call(service, echo, [], x_request_id=given)
    assert (told["x-request-id"] == given) is kept


async def test_what_nobody_foresaw_tells_nothing(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError("secret")

    status, told, body = await call(service, broken, [])
    assert status == 500 and b"secret" not in body and json.loads(body)["error"]["code"] == "internal_error" and told["x-request-id"]
    assert "secret" in caplog.text


async def test_an_error_after_the_first_word_is_not_a_second_answer(service: Service) -> None:
    async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await call(service, breaks, [])


async def test_each_request_of_the_service_is_recorded(service: Service) -> None:
    path = service.audit.path
    assert path is not None

    async def recorded(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["recorded"] = True
        await echo(scope, receive, send)

    before = _lines(path)
    await call(service, echo, [], "/health", x_request_id="a")
    await call(service, recorded, [], "/v1/council", x_request_id="b")
    await call(service, echo, [], "/v1/documents/" + "x" * 1000, x_request_id="c")
    (line,) = _lines(path)[len(before) :]
    assert (line["request_id"], line["code"], line["key"], len(line["route"])) == ("c", 200, None, 205)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def test_pages_of_named_origins_can_read_what_they_are_told(tmp_path: Path) -> None:
    """Refusals for want of a key or of room, too; pages of other origins read nothing."""
    tree = {"service": {"concurrent": 1, "queue": 0, "cors": ["https://help.example.org"]}}
    key, _ = (ring := KeyRing(tmp_path / "keys.json")).add("ann")
    with closing(Council(CouncilConfig.model_validate(scripted_config() | tree))) as council:
        service = Service(council, ring)
        transport = httpx.ASGITransport(build_app(service))
        async with httpx.AsyncClient(transport=transport, base_url="http://council") as client:
            asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
            for origin, allowed in (("https://help.example.org", True), ("https://evil.example.org", False)):
                told = await client.options("/v1/council", headers={"Origin": origin} | asked)
                assert (told.headers.get("access-control-allow-origin") == origin) is allowed
                for status, sent in ((401, {}), (429, {"Authorization": f"Bearer {key}"})):
                    async with service.admission.slot():
                        told = await client.post("/v1/council", json={"question": "Who?"}, headers={"Origin": origin} | sent)
                    assert told.status_code == (status if allowed else 429)
                    assert (told.headers.get("access-control-allow-origin") == origin) is allowed
        service.close()
