"""The connection to a service: what is tried again and when not, and each fault as one clear sentence. Against a real server
that answers as it is told to."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from council.client import CouncilClient
from council.errors import (
    ConfigError,
    CouncilError,
    DeadlineError,
    DocumentError,
    KeysError,
    Overloaded,
    QuestionError,
    RemoteError,
    StoreError,
)
from council.remote import events
from council.routes.streaming import PING, event
from council.types import Verdict
from tests.serving import free_port

KEY = "cs-0123abcd-secret-of-nobody"
VERDICT = Verdict(status="answered", answer="Ada\u2028Trell", reason="All agree.")
GOOD = (200, {"content-type": "application/json"}, VERDICT.model_dump_json().encode())
HANG, DROP = "hang", "drop"


def fault(status: int, code: str | None = None, message: str = "It is so.", param: str | None = None, **headers: str) -> Any:
    body = {"error": {"message": message, "type": "t", "param": param, "code": code}}
    return status, {"content-type": "application/json", **headers}, json.dumps(body).encode()


class Told:
    """A server that answers with what `replies` holds, in turn, and with the last one for ever."""

    def __init__(self) -> None:
        told = self
        self.replies: list[Any] = []
        self.heard: list[tuple[str, str, Any, float]] = []
        self.left = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                sent = json.loads(body) if body.startswith(b"{") else body
                told.heard.append((self.command, self.headers.get("authorization", ""), sent, time.monotonic()))
                reply = told.replies.pop(0) if len(told.replies) > 1 else told.replies[0]
                self.close_connection = True
                if reply == HANG:
                    self.connection.settimeout(20)
                    if self.connection.recv(1) == b"":
                        told.left.set()
                elif reply == DROP:
                    self.connection.shutdown(socket.SHUT_RDWR)
                else:
                    status, headers, content = reply
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("connection", "close")
                    self.end_headers()
                    self.wfile.write(content)

            do_GET = do_DELETE = do_POST

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def told() -> Iterator[Told]:
    server = Told()
    yield server
    server.close()


def ask(told: Told, *replies: Any, key: str | None = KEY, timeout_s: float = 10.0, retries: int = 2) -> Verdict:
    told.replies = list(replies)
    client = CouncilClient(told.url, key, timeout_s, retries)
    try:
        return client.ask("Who keeps the light?")
    finally:
        client.close()


def test_what_is_sent_is_the_question_the_key_and_the_seconds_that_are_left(told: Told) -> None:
    assert ask(told, GOOD) == VERDICT
    ((_, authorization, body, _),) = told.heard
    assert authorization == f"Bearer {KEY}"
    assert 9.0 < body.pop("deadline_s") < 9.6
    assert body == {
        "question": "Who keeps the light?", "retrieval": True, "domain": None, "queries": [], "specialists": None, "check": None,
    }  # fmt: skip


@pytest.mark.parametrize("passing", [fault(503, "unavailable"), fault(502), (502, {}, b"<html>"), (503, {}, b""), DROP])
def test_what_may_pass_is_tried_again(told: Told, passing: Any) -> None:
    assert ask(told, passing, passing, GOOD) == VERDICT
    assert len(told.heard) == 3


def test_it_is_tried_again_when_the_service_says(told: Told) -> None:
    assert ask(told, fault(429, "overloaded", **{"retry-after": "2"}), GOOD) == VERDICT
    (_, _, before, first), (_, _, after, second) = told.heard
    assert 2.0 <= second - first < 4.0
    assert before["deadline_s"] - after["deadline_s"] == pytest.approx(second - first, rel=0.1)


def test_a_wait_beyond_the_deadline_is_not_begun(told: Told) -> None:
    started = time.monotonic()
    with pytest.raises(Overloaded, match="It is so") as refused:
        ask(told, fault(429, "overloaded", **{"retry-after": "30"}), timeout_s=5.0)
    assert refused.value.retry_after_s == 30
    assert len(told.heard) == 1 and time.monotonic() - started < 3.0


def test_retries_end(told: Told) -> None:
    with pytest.raises(RemoteError, match="is down or busy"):
        ask(told, (502, {}, b""), retries=1)
    assert len(told.heard) == 2


def test_nobody_waits_longer_than_was_asked(told: Told) -> None:
    started = time.monotonic()
    with pytest.raises(DeadlineError, match="within 1 s"):
        ask(told, HANG, timeout_s=1.0)
    assert len(told.heard) == 1 and time.monotonic() - started < 3.0


@pytest.mark.parametrize(
    ("reply", "kind", "said"),
    [
        (fault(401, "invalid_api_key"), RemoteError, "does not know this key"),
        (fault(403, "model_not_allowed", "this key may not ask"), RemoteError, "this key may not ask"),
        (fault(404), RemoteError, "It is so"),
        (fault(400, "invalid_question"), QuestionError, "It is so"),
        (fault(400, "invalid_value", param="specialists"), ConfigError, "It is so"),
        (fault(400, "invalid_value", param="queries.0"), QuestionError, "It is so"),
        (fault(413, "body_too_large"), QuestionError, "It is so"),
        (fault(504, "deadline_exceeded"), DeadlineError, "It is so"),
        (fault(500, "internal_error"), RemoteError, "It is so"),
        (fault(503, "store_unavailable"), StoreError, "It is so"),
        (fault(503, "keys_unavailable"), KeysError, "It is so"),
        (fault(503, "unavailable"), RemoteError, "It is so"),
        ((404, {}, b"<html>no such page</html>"), RemoteError, "no council answers"),
        ((405, {}, b""), RemoteError, "POST /v1/council got 405"),
        ((429, {}, b""), Overloaded, "no more requests"),
        ((504, {}, b"<html>"), RemoteError, "down or busy"),
        ((307, {"location": "https://elsewhere.example/v1/council"}, b""), RemoteError, "points elsewhere"),
        ((200, {"content-type": "text/html"}, b"<html>Welcome</html>"), RemoteError, "is no council, or one of another version"),
        ((200, {}, b'{"status": "answered"}'), RemoteError, "is no council, or one of another version"),
        ((200, {}, b"[]"), RemoteError, "is no council, or one of another version"),
        ((400, {}, b'{"error": "bad"}'), RemoteError, "no council answers"),
        (fault(500, message=f"you sent {KEY}\nand more"), RemoteError, "you sent \\*\\*\\* and more"),
        ((302, {"location": f"/?{KEY}"}, b""), RemoteError, "\\*\\*\\*"),
    ],
)
def test_each_fault_is_an_error_of_the_council_in_one_line_without_the_key(
    told: Told, reply: Any, kind: type[CouncilError], said: str
) -> None:
    with pytest.raises(kind, match=said) as raised:
        ask(told, reply, retries=0)
    assert type(raised.value) is kind
    shown: list[BaseException | None] = [raised.value]
    while shown[-1] is not None:
        assert KEY not in str(shown[-1]) + repr(shown[-1])
        shown.append(shown[-1].__cause__ or shown[-1].__context__)
    assert "\n" not in str(raised.value)


def test_no_key_where_one_is_wanted(told: Told) -> None:
    with pytest.raises(RemoteError, match="asks for a key"):
        ask(told, fault(401, "invalid_api_key"), key=None)
    assert told.heard[0][1] == ""


def test_a_key_is_not_sent_elsewhere(told: Told) -> None:
    other = Told()
    other.replies = [GOOD]
    with pytest.raises(RemoteError, match="points elsewhere"):
        ask(told, (307, {"location": f"{other.url}/v1/council"}, b""))
    assert not other.heard
    other.close()


def test_nobody_there() -> None:
    client = CouncilClient(f"http://127.0.0.1:{free_port()}", KEY, retries=1)
    with pytest.raises(RemoteError, match="no council can be reached at http"):
        client.start()
    client.close()


@pytest.mark.parametrize("reply", [fault(503, "store_unavailable"), DROP, (502, {}, b"")])
def test_a_removal_that_may_have_begun_is_not_repeated(told: Told, reply: Any) -> None:
    listed = {"id": "a1", "file": "a.md", "titles": [], "passages": 1, "held": [], "origin": "human", "domain": None, "source": ""}
    told.replies = [(200, {}, json.dumps({"data": [listed]}).encode()), reply]
    client = CouncilClient(told.url, KEY)
    with pytest.raises(CouncilError):
        client.remove(["a.md"])
    assert [method for method, *_ in told.heard] == ["GET", "DELETE"]
    told.replies = [(200, {}, json.dumps({"data": [listed]}).encode()), fault(429), (200, {}, b'{"passages": 3}')]
    assert client.remove(["/somewhere/a.md"]) == 3  # one that was not begun is
    with pytest.raises(DocumentError, match="has no document"):
        told.replies = [(200, {}, json.dumps({"data": [listed]}).encode())]
        client.remove(["a.md", "b.md"])
    client.close()


async def test_a_cancelled_question_is_let_go_of(told: Told) -> None:
    told.replies = [HANG]
    client = CouncilClient(told.url, KEY)
    asked = asyncio.create_task(client.aask("Who keeps the light?"))
    while not told.heard:
        await asyncio.sleep(0.01)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert await asyncio.to_thread(told.left.wait, 5)
    await asyncio.to_thread(client.close)


async def test_closing_ends_what_is_in_flight(told: Told) -> None:
    told.replies = [HANG]
    client = CouncilClient(told.url, KEY)
    asked = asyncio.create_task(asyncio.to_thread(client.ask, "Who keeps the light?"))
    while not told.heard:
        await asyncio.sleep(0.01)
    await asyncio.to_thread(client.close)
    with pytest.raises(CouncilError, match="closed before it had an answer"):
        await asked


# --- streams -----------------------------------------------------------------------------------------------------


def stream(*parts: bytes) -> Any:
    return 200, {"content-type": "text/event-stream; charset=utf-8"}, b"".join(parts)


async def streamed(told: Told, *replies: Any) -> list[Any]:
    told.replies = list(replies)
    heard = []
    async with asyncio.timeout(10):
        client = CouncilClient(told.url, KEY, 5.0, 2)
        try:
            async for happened in client.astream("Who keeps the light?"):
                heard.append(happened)
        finally:
            await asyncio.to_thread(client.close)
    return heard


VOTE = event('{"groups": [], "answer": null, "agreement": null}', "vote")
END = event(VERDICT.model_dump_json(), "verdict")


async def test_a_stream_is_told_and_ends_with_the_verdict(told: Told) -> None:
    heard = await streamed(told, fault(503, "unavailable"), stream(PING, VOTE, event("{}", "news"), PING, END))
    assert [type(happened).__name__ for happened in heard] == ["Tally", "Verdict"]
    assert heard[-1] == VERDICT and told.heard[-1][2]["stream"] is True


@pytest.mark.parametrize(
    ("reply", "kind", "said"),
    [
        (stream(VOTE), RemoteError, "ended before the verdict"),
        ((200, {"content-type": "text/event-stream", "content-length": "9999"}, VOTE), RemoteError, "broke before the verdict"),
        (stream(VOTE, event("{", "verdict")), RemoteError, "another version"),
        (stream(VOTE, event("oh", "error")), RemoteError, "another version"),
        (stream(VOTE, event({"error": {"message": "Too late.", "code": "deadline_exceeded"}}, "error")), DeadlineError, "Too late"),
        ((200, {"content-type": "text/html"}, b"<html>"), RemoteError, "is no council"),
        (fault(400, "invalid_question"), QuestionError, "It is so"),
    ],
)
async def test_a_stream_that_breaks_is_not_begun_again(told: Told, reply: Any, kind: type[CouncilError], said: str) -> None:
    with pytest.raises(kind, match=said):
        await streamed(told, reply)
    assert len(told.heard) == 1


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@settings(deadline=None)
@given(st.lists(st.tuples(st.from_regex(r"[a-z]{1,8}", fullmatch=True), TEXTS), max_size=6), st.data())
def test_events_arrive_as_they_were_sent_however_they_are_cut(sent: list[tuple[str, str]], data: st.DataObject) -> None:
    raw = b"".join(event([text], name) + PING * data.draw(st.integers(0, 1)) for name, text in sent)
    if data.draw(st.booleans()):
        raw = raw.replace(b"\n", b"\r\n")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))

    async def pieces() -> AsyncIterator[bytes]:
        for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True):
            yield raw[start:end]

    async def heard() -> list[tuple[str, str]]:
        return [(name, json.loads(text)[0]) async for name, text in events(pieces())]

    assert asyncio.run(heard()) == sent


# --- what it is made with ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["", "council.example", "ftp://council.example", "http://", "http://h:99999", "http://u:p@h", "http://h/?q=1", "http://[::1"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="address"):
        CouncilClient(url)


@pytest.mark.parametrize("url", ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/"])
def test_addresses_may_end_as_those_of_openai_do(url: str) -> None:
    client = CouncilClient(url, KEY)
    assert client.url == "http://h:1"
    assert repr(client) == "CouncilClient('http://h:1')"
    client.close()
    client.close()
    with pytest.raises(CouncilError, match="closed"):
        client.ask("Who?")


@pytest.mark.parametrize("key", ["", " ", "a\nb", "schlüssel"])
def test_a_key_that_can_not_travel_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ConfigError, match="this key is empty, or has characters") as refused:
        CouncilClient("http://h", key)
    assert key.strip() == "" or key not in str(refused.value)


@pytest.mark.parametrize("options", [{"timeout_s": 0}, {"timeout_s": float("nan")}, {"retries": -1}])
def test_options_have_bounds(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="timeout_s must be above 0"):
        CouncilClient("http://h", **options)
