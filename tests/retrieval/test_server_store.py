"""ServerStore: what a user meets when the server is away, refuses, or holds something else.

The client is the real one; where an answer is needed, a small HTTP server gives the one that Qdrant gives.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from council.config import StoreConfig
from council.errors import StoreError
from council.retrieval.server_store import ServerStore

from .conftest import Space

KEY = "s3cret-key"
Answers = dict[str, tuple[int, dict[str, Any]]]


@pytest.fixture
def serve() -> Iterator[Callable[[Answers], str]]:
    servers: list[ThreadingHTTPServer] = []

    def start(answers: Answers) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = answers.get(self.path, (404, {"status": {"error": "not found"}}))
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def ok(result: Any) -> tuple[int, dict[str, Any]]:
    return 200, {"result": result, "status": "ok", "time": 0.0}


def collection(size: int = 8, distance: str = "Cosine", sparse: dict[str, Any] | None = None) -> Answers:
    params = {
        "vectors": {"dense": {"size": size, "distance": distance}},
        "sparse_vectors": {"sparse": {"modifier": "idf"}} if sparse is None else sparse,
    }
    config = {
        "params": params,
        "hnsw_config": {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000},
        "optimizer_config": {
            "deleted_threshold": 0.2, "vacuum_min_vector_number": 1000, "default_segment_number": 0,
            "flush_interval_sec": 5,
        },
    }  # fmt: skip
    info = {"status": "green", "optimizer_status": "ok", "segments_count": 1, "config": config, "payload_schema": {}}
    return {"/collections/council/exists": ok({"exists": True}), "/collections/council": ok(info)}


def one_line(config: StoreConfig) -> str:
    with pytest.raises(StoreError) as caught:
        ServerStore(config, Space())
    message = str(caught.value)
    assert "\n" not in message
    assert KEY not in message
    return message


def test_an_unreachable_server_is_named() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    message = one_line(StoreConfig(kind="server", url=f"http://user:{KEY}@127.0.0.1:{port}"))
    assert f"the Qdrant server at http://127.0.0.1:{port} can't be reached" in message
    assert "retrieval.store.url" in message


@pytest.mark.parametrize("url", ["", "localhost", "ftp://x", "http://", "http://x:port", "http://[x"])
def test_what_is_no_url_is_said(url: str) -> None:
    assert "retrieval.store.url is no URL" in one_line(StoreConfig(kind="server", url=url))


def test_a_key_is_wanted_where_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    config = StoreConfig(kind="server", api_key_env="COUNCIL_TEST_KEY")
    monkeypatch.delenv("COUNCIL_TEST_KEY", raising=False)
    assert "COUNCIL_TEST_KEY" in one_line(config)
    for bad in (f"{KEY}\nX-Other: 1", f"{KEY}\u00e9"):
        monkeypatch.setenv("COUNCIL_TEST_KEY", bad)
        assert "no usable key" in one_line(config)


@pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection")
@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_is_said_without_the_key(serve: Callable[[Answers], str], monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    monkeypatch.setenv("COUNCIL_TEST_KEY", KEY)
    url = serve({"/collections/council/exists": (status, {"error": f"Invalid API key {KEY}"})})
    message = one_line(StoreConfig(kind="server", url=url, api_key_env="COUNCIL_TEST_KEY"))
    assert "refuses the key" in message
    assert "COUNCIL_TEST_KEY" in message


def test_a_key_that_is_missing_is_said(serve: Callable[[Answers], str]) -> None:
    url = serve({"/collections/council/exists": (401, {})})
    assert "set retrieval.store.api_key_env" in one_line(StoreConfig(kind="server", url=url))


def test_a_failing_server_is_said(serve: Callable[[Answers], str]) -> None:
    url = serve({"/collections/council/exists": (500, {"status": {"error": "disk\nfull"}})})
    assert "500" in one_line(StoreConfig(kind="server", url=url))


def test_another_dimension_is_refused(serve: Callable[[Answers], str]) -> None:
    message = one_line(StoreConfig(kind="server", url=serve(collection(size=768))))
    assert "holds vectors of 768 numbers, and 'test' makes 8" in message


@pytest.mark.parametrize("answers", [collection(distance="Dot"), collection(sparse={}), collection(sparse={"sparse": {}})])
def test_a_collection_of_someone_else_is_refused(serve: Callable[[Answers], str], answers: Answers) -> None:
    assert "is not one of the council's" in one_line(StoreConfig(kind="server", url=serve(answers)))


def test_a_fitting_collection_is_opened_and_a_missing_one_is_empty(serve: Callable[[Answers], str]) -> None:
    ServerStore(StoreConfig(kind="server", url=serve(collection())), Space()).close()
    store = ServerStore(StoreConfig(kind="server", url=serve({"/collections/council/exists": ok({"exists": False})})), Space())
    assert store.count() == 0
    store.close()
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.count()
