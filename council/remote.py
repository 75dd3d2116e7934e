"""A connection to a council's service: its address and key, what is tried again, and faults as the council's own errors."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, stop_before_delay, wait_exponential_jitter

from council import __version__
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

CONNECT_S: Final = 10.0
FIRST_S, LONGEST_S, JITTER_S = 0.5, 20.0, 0.5
"""How long is waited before something is tried again: twice as long each time, and up to `JITTER_S` more."""
KEPT: Final = 0.05
"""The part of a question's seconds, one at most, that the service is not given: its answer has a way to come."""
LONGEST_DEADLINE_S: Final = 86_400.0
PASSING: Final = (429, 502, 503)
SHOWN: Final = 1000
QUESTION: Final = ("question", "queries", "domain")
"""Fields of a request that are the question's."""
BY_CODE: Final[Mapping[str, type[CouncilError]]] = {
    "invalid_question": QuestionError, "invalid_value": ConfigError, "deadline_exceeded": DeadlineError,
    "invalid_document": DocumentError, "unreadable_document": DocumentError, "document_not_found": DocumentError,
    "store_unavailable": StoreError, "keys_unavailable": KeysError, "overloaded": Overloaded,
}  # fmt: skip
"""What the service calls its errors."""


@dataclass(frozen=True)
class Call:
    """A request."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    form: Mapping[str, str] | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    """What to upload, by name."""
    timed: bool = False
    """Whether the service is told how many seconds are left."""
    again: bool = True
    """Whether to do it twice is the same as to do it once, so that it may be repeated where nobody knows how far it came."""
    also: tuple[int, ...] = ()
    """Statuses beside 200 with which the answer comes."""


class _Passing(Exception):
    """A fault that may have passed when it is tried again, in `wait_s` at the earliest."""

    def __init__(self, error: CouncilError, wait_s: float = 0.0) -> None:
        super().__init__(str(error))
        self.error, self.wait_s = error, wait_s


class Connection:
    """Sends requests to one service. All of it, but for making it, belongs to one event loop."""

    def __init__(self, url: str, key: str | None, timeout_s: float, retries: int) -> None:
        """`timeout_s`: of one request, with all that is tried again. Raises ConfigError; nothing is sent yet."""
        if not timeout_s > 0 or retries < 0:
            raise ConfigError(f"timeout_s must be above 0 and retries at least 0, not {timeout_s} and {retries}")
        self.url, self._key = _address(url), _usable(key)
        self._timeout_s, self._retries = timeout_s, retries
        headers = {"User-Agent": f"council/{__version__}"} | ({"Authorization": f"Bearer {self._key}"} if self._key else {})
        self._http = httpx.AsyncClient(headers=headers, timeout=httpx.Timeout(None, connect=CONNECT_S))

    async def close(self) -> None:
        """Let go of it; a second call does nothing."""
        await self._http.aclose()

    async def fetch(self, call: Call) -> Any:
        """The JSON of the answer. Raises the council's errors."""
        until = time.monotonic() + self._timeout_s
        reply = await self._retried(call, until, False)
        try:
            return reply.json()
        except ValueError as exc:
            raise self.strange() from exc

    async def listen(self, call: Call, heard: Callable[[str, str], None]) -> None:
        """Calls `heard` with the name and the data of each event, as it comes. Only what was not answered at all is tried again:
        who has heard the first event is not told it twice. Raises the council's errors."""
        until = time.monotonic() + self._timeout_s
        reply = await self._retried(call, until, True)
        try:
            if not reply.headers.get("content-type", "").startswith("text/event-stream"):
                raise self.strange()
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + until - time.monotonic()):
                async for name, data in events(reply.aiter_bytes()):
                    heard(name, data)
        except TimeoutError as exc:
            raise self._late() from exc
        except httpx.HTTPError as exc:
            raise RemoteError(self._clean(f"the connection to {self.url} broke before the verdict: {_why(exc)}; ask again")) from exc
        finally:
            await reply.aclose()

    def told_of(self, data: str, call: Call) -> CouncilError:
        """The error that an event tells of."""
        try:
            return self.error(json.loads(data), call) or self.strange()
        except ValueError:
            return self.strange()

    def error(self, told: Any, call: Call, status: int | None = None, wait_s: float = 0.0) -> CouncilError | None:
        """The error that the service told of, in its shape; None: it is none of a council's."""
        about = told.get("error") if isinstance(told, dict) else None
        if not isinstance(about, dict) or not isinstance(about.get("message"), str):
            return None
        message, code, param = self._clean(about["message"]), about.get("code"), about.get("param")
        if status == 401:
            what = "does not know this key" if self._key else "asks for a key"
            return RemoteError(f"the council at {self.url} {what}: use one that its `council keys add` has made")
        if status == 413:
            return (DocumentError if call.files else QuestionError)(message)
        kind = BY_CODE.get(str(code))
        if status == 429 or kind is Overloaded:
            return Overloaded(message, wait_s)
        if call.files and status == 400 and param != "domain":
            kind = DocumentError
        elif kind is ConfigError and str(param).split(".")[0] in QUESTION:
            kind = QuestionError
        if kind is None:
            return RemoteError(f"the council at {self.url} says: {message}")
        return kind(message)

    def strange(self) -> RemoteError:
        """Of an answer that can't be read."""
        return RemoteError(f"what answers at {self.url} is no council, or one of another version than {__version__}: check the address")

    # --- one request -------------------------------------------------------------------------------------------

    async def _retried(self, call: Call, until: float, stream: bool) -> httpx.Response:
        """The answer, of which a stream's body is still to be read."""
        between = wait_exponential_jitter(multiplier=FIRST_S, max=LONGEST_S, jitter=JITTER_S)

        def wait(state: RetryCallState) -> float:
            fault = state.outcome.exception() if state.outcome is not None else None
            return max(between(state), fault.wait_s if isinstance(fault, _Passing) else 0.0)

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_Passing), wait=wait, reraise=True,
            stop=stop_after_attempt(self._retries + 1) | stop_before_delay(max(0.0, until - time.monotonic())),
        )  # fmt: skip
        try:
            return await retrying(self._once, call, until, stream)
        except _Passing as exc:
            raise exc.error from exc.__cause__

    async def _once(self, call: Call, until: float, stream: bool) -> httpx.Response:
        left_s = until - time.monotonic()
        if left_s <= 0:
            raise self._late()
        try:
            async with asyncio.timeout(left_s):
                reply = await self._http.send(self._request(call, left_s), stream=stream)
                if reply.status_code != 200 and stream:
                    try:
                        await reply.aread()
                    finally:
                        await reply.aclose()
        except TimeoutError as exc:
            raise self._late() from exc
        except httpx.HTTPError as exc:
            unheard = isinstance(exc, httpx.ConnectError | httpx.ConnectTimeout)
            error = RemoteError(self._clean(f"no council can be reached at {self.url}: {_why(exc)}; check the address, or start it"))
            if isinstance(exc, httpx.TransportError) and (unheard or call.again):
                raise _Passing(error) from exc
            raise error from exc
        if reply.status_code == 200 or reply.status_code in call.also:
            return reply
        raise self._refused(reply, call)

    def _request(self, call: Call, left_s: float) -> httpx.Request:
        given: dict[str, Any] = {}
        if call.body is not None:
            within_s = min(left_s - min(1.0, KEPT * left_s), LONGEST_DEADLINE_S)
            given["json"] = dict(call.body) | ({"deadline_s": within_s} if call.timed else {})
        if call.files:
            given["files"] = [("files", (name, content)) for name, content in call.files.items()]
            given["data"] = dict(call.form or {})
        return self._http.build_request(call.method, f"{self.url}{call.path}", **given)

    def _refused(self, reply: httpx.Response, call: Call) -> Exception:
        """What an answer of another status means; passing, if it may be another one soon."""
        status, asked = reply.status_code, reply.headers.get("retry-after", "")
        wait_s = float(asked) if asked.isdecimal() else 0.0
        try:
            error = self.error(reply.json(), call, status, wait_s)
        except ValueError:
            error = None
        if error is None:
            error = self._foreign(reply, call, wait_s)
        if status in PASSING and (call.again or status == 429):
            return _Passing(error, wait_s)
        return error

    def _foreign(self, reply: httpx.Response, call: Call, wait_s: float) -> CouncilError:
        """Of an answer that no council has written."""
        status = f"{reply.status_code} {reply.reason_phrase}".strip()
        if reply.status_code == 429:
            return Overloaded(f"{self.url} takes no more requests now; ask again later", wait_s)
        if reply.has_redirect_location:
            return RemoteError(self._clean(f"{self.url} points elsewhere: give {reply.headers['location']} if you trust it"))
        if reply.status_code >= 500:
            return RemoteError(f"{self.url} answered {status}: the council there is down or busy; try again later")
        return RemoteError(f"no council answers at {self.url}: {call.method} {call.path} got {status}; check the address")

    def _late(self) -> DeadlineError:
        return DeadlineError(f"there was no answer from {self.url} within {self._timeout_s:g} s; ask again with more, or later")

    def _clean(self, text: str) -> str:
        """One line, without the key, which a server may send back."""
        line = " ".join(text.split())
        line = line.replace(self._key, "***") if self._key else line
        return line if len(line) <= SHOWN else f"{line[:SHOWN]}…"


async def events(pieces: AsyncIterator[bytes]) -> AsyncIterator[tuple[str, str]]:
    """The name and the data of each server-sent event. Lines end at line feeds and nowhere else: JSON may hold U+2028, at which
    Python's `splitlines` would break it."""
    name, rest = "", b""
    data: list[str] = []
    async for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in (raw.removesuffix(b"\r") for raw in lines):
            label, _, value = line.decode("utf-8", "replace").partition(":")
            value = value.removeprefix(" ")
            if not line:
                if data:
                    yield name, "\n".join(data)
                name, data = "", []
            elif label == "event":
                name = value
            elif label == "data":
                data.append(value)


def _why(exc: Exception) -> str:
    return " ".join(str(exc).split()) or type(exc).__name__


def _address(url: str) -> str:
    """The address to which paths are added; that of the OpenAI-compatible part, which ends in /v1, will do, too."""
    hint = "give one like http://localhost:8000"
    try:
        parts = urlsplit(url.strip())
        _ = parts.port
    except ValueError as exc:
        raise ConfigError(f"that is no address of a council: {hint}") from exc
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ConfigError(f"that is no address of a council: {hint}")
    if "@" in parts.netloc:
        raise ConfigError("a council's address has no name or password in it: give the key as a key")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v1')}"


def _usable(key: str | None) -> str | None:
    """The key without blanks around it; refused where it could not travel in a header, since that error would show it."""
    stripped = key.strip() if key is not None else None
    if stripped is not None and not (stripped and stripped.isascii() and stripped.isprintable()):
        raise ConfigError("this key is empty, or has characters that no key has: set it again")
    return stripped
