"""One connection to a Qdrant server: its key, its address, what is tried again, and its faults in one line."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import urlsplit

from qdrant_client import QdrantClient
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from council.config import StoreConfig
from council.errors import StoreError
from council.retrieval.fault import one_line

T = TypeVar("T")

TIMEOUT_S: Final = 30


@dataclass(frozen=True)
class Patience:
    """How often something is tried, and how long it is waited between: twice as long each time, and up to `jitter_s` more."""

    attempts: int = 6
    first_s: float = 0.5
    longest_s: float = 20.0
    jitter_s: float = 1.0
    longest_asked_s: float = 60.0
    """A server that asks to be left alone for longer (Retry-After) is not asked again."""


PATIENCE: Final = Patience()


class ServerClient:
    """A connection to `config.url`, or for reading to `config.read_url`; from any thread. Nothing is sent until it is used."""

    def __init__(self, config: StoreConfig, patience: Patience = PATIENCE, reading: bool = False) -> None:
        replica = config.read_url if reading else None
        self._setting = "retrieval.store.read_url" if replica is not None else "retrieval.store.url"
        self._read_only, self._key_env = config.read_only, config.api_key_env
        url = config.url if replica is None else replica
        self.where = _address(url, self._setting)
        self._patience = patience
        self._client: QdrantClient | None = None
        self._key = _key(config.api_key_env)
        self._client = self._guard(lambda: QdrantClient(url=url, api_key=self._key, timeout=TIMEOUT_S, check_compatibility=False))

    def call(self, work: Callable[[QdrantClient], T], patient: bool = False) -> T:
        """What `work` makes of the connection; if `patient`, tried again while what is wrong may pass, which is for what may be
        done twice. Raises StoreError."""
        client = self._client
        if client is None:
            raise StoreError(f"the connection to {self.where} is closed: open it again")
        return self._guard(lambda: self._retrying(work, client) if patient else work(client))

    def check_writable(self) -> None:
        """StoreError under `read_only`; asked before anything is sent."""
        if self._read_only:
            raise StoreError(f"nothing is written to the Qdrant server at {self.where}: retrieval.store.read_only is set")

    def close(self) -> None:
        """Let go of the connection; a second call does nothing."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    @property
    def _retrying(self) -> Retrying:
        patience = self._patience
        between = wait_exponential_jitter(multiplier=patience.first_s, max=patience.longest_s, jitter=patience.jitter_s)

        def wait(state: RetryCallState) -> float:
            return max(between(state), _asked_wait(state.outcome.exception() if state.outcome is not None else None))

        return Retrying(
            retry=retry_if_exception(lambda exc: _may_pass(exc) and _asked_wait(exc) <= patience.longest_asked_s),
            stop=stop_after_attempt(patience.attempts), wait=wait, reraise=True,
        )  # fmt: skip

    def _guard(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except StoreError:
            raise
        except Exception as exc:
            text = self._fault(exc)
            raise StoreError(text.replace(self._key, "***") if self._key else text) from exc

    def _fault(self, exc: Exception) -> str:
        """Qdrant's errors in one line. None of them holds the key, which travels in a header, unless a server sends it back."""
        server = f"the Qdrant server at {self.where}"
        match exc:
            case UnexpectedResponse(status_code=401 | 403):
                named = self._key_env is not None
                hint = f"check the variable {self._key_env}" if named else "set retrieval.store.api_key_env"
                return f"{server} refuses the key: {hint}"
            case UnexpectedResponse(status_code=404):
                return f"{server} answered {_answer(exc)}; if the collection was migrated or removed, open the store again"
            case UnexpectedResponse():
                return f"{server} answered {_answer(exc)}"
            case ResponseHandlingException() if isinstance(exc.source, ValueError):
                return f"{server} answered what is no answer of Qdrant's: {one_line(exc.source)}; check {self._setting}"
            case ResponseHandlingException():
                return f"{server} can't be reached: {one_line(exc.source)}; start it, or set {self._setting}"
            case ResourceExhaustedResponse():
                return f"{server} answered 429 and asks to wait {exc.retry_after_s} s: {one_line(exc)}"
            case _:
                return f"the request to {server} failed: {one_line(exc)}"


def connect(config: StoreConfig, patience: Patience = PATIENCE) -> tuple[ServerClient, ServerClient]:
    """What to write to and what to read from: the same, unless the config names a replica."""
    writer = ServerClient(config, patience)
    return writer, ServerClient(config, patience, reading=True) if config.read_url is not None else writer


def _may_pass(exc: BaseException) -> bool:
    """Whether the same request may succeed later: the connection broke, or the server is busy or out of order."""
    match exc:
        case ResponseHandlingException():
            return not isinstance(exc.source, ValueError)  # which is an answer that can't be read
        case UnexpectedResponse(status_code=int(status)):
            return status in (408, 429) or status >= 500
        case _:
            return isinstance(exc, QdrantException)  # 429 with Retry-After, in seconds or as a date


def _asked_wait(exc: BaseException | None) -> float:
    """The seconds that the server asks to wait; a date is not read."""
    match exc:
        case ResourceExhaustedResponse():
            return exc.retry_after_s
        case UnexpectedResponse():
            asked = str(exc.headers.get("Retry-After", ""))
            return float(asked) if asked.isdecimal() else 0.0
        case _:
            return 0.0


def _answer(exc: UnexpectedResponse) -> str:
    """The status and what Qdrant says to it, or the beginning of what somebody else does."""
    try:
        said = exc.structured()["status"]["error"]
    except (ValueError, KeyError, TypeError):
        return one_line(exc)
    return f"{exc.status_code}: {one_line(Exception(said))}"


def _key(env: str | None) -> str | None:
    """The key in the environment; refused when it could not travel in a header, since that error would show it."""
    if env is None:
        return None
    key = os.environ.get(env, "").strip()
    if not key:
        raise StoreError(f"the environment variable {env} (retrieval.store.api_key_env) holds no key: set it")
    if not (key.isascii() and key.isprintable()):
        raise StoreError(f"the environment variable {env} (retrieval.store.api_key_env) holds no usable key: set it again")
    return key


def _address(url: str, setting: str) -> str:
    """The URL without a name and password in it."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError as exc:
        raise StoreError(f"{setting} is no URL: give one like http://localhost:6333") from exc
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise StoreError(f"{setting} is no URL: give one like http://localhost:6333")
    return f"{parts.scheme}://{parts.hostname}{port}"
