"""The service does what its OpenAPI document says, to thousands of requests made up from it, good ones and bad ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis

from council.keys import KeyRing
from tests.conformance import conformance
from tests.listening import Listening, listening
from tests.test_app import served_config

EXAMPLES, FEWEST = 300, 2000
UPLOADS = 60
BUSY = {"service": {"concurrent": 64, "queue": 1000}}
OPERATIONS = {
    "ask_council", "create_chat_completion", "list_models", "get_model", "list_documents", "add_documents", "get_document",
    "remove_document", "get_info", "get_health", "get_ready", "get_metrics",
}  # fmt: skip


@pytest.fixture(scope="module")
def served(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Listening, str, Path]]:
    """A service with a document that asks for keys; a key; the folder of its store."""
    folder = tmp_path_factory.mktemp("openapi")
    key, _ = KeyRing(folder / "keys.json").add("ann")
    with listening(served_config(folder) | BUSY, folder / "keys.json") as at:
        yield at, key, folder


@pytest.mark.slow
def test_thousands_of_requests_conform(served: tuple[Listening, str, Path]) -> None:
    at, key, folder = served
    told = conformance(at.url, key, EXAMPLES, UPLOADS)
    assert told.faults == []
    assert told.count >= FEWEST
    answered = {operation for (operation, status) in told.statuses if status == 200}
    assert answered >= {"POST /v1/council", "POST /v1/chat/completions", "GET /v1/documents", "GET /v1/models/{name}", "GET /v1/info"}
    assert {status for _, status in told.statuses} <= {200, 400, 401, 404, 405, 413, 504}
    on_disk = sum(f.stat().st_blocks * 512 for f in folder.rglob("*") if f.is_file())
    assert on_disk < 64 << 20


def test_documents_conform(served: tuple[Listening, str, Path]) -> None:
    at, key, _ = served
    schema, headers = schemathesis.openapi.from_url(f"{at.url}/openapi.json"), {"Authorization": f"Bearer {key}"}
    added = httpx.post(f"{at.url}/v1/documents", headers=headers, files={"files": ("a.md", b"The Brin tower was built in 1811.")})
    assert added.status_code == 200 and added.json()["object"] == "index_report"
    (id,) = (d["id"] for d in httpx.get(f"{at.url}/v1/documents", headers=headers).json()["data"] if d["file"] == "a.md")
    for method, status in (("GET", 200), ("DELETE", 200), ("GET", 404), ("DELETE", 404)):
        case = schema["/v1/documents/{id}"][method].Case(path_parameters={"id": id}, headers=headers)
        assert case.call_and_validate(base_url=at.url).status_code == status


def test_the_document_is_whole(served: tuple[Listening, str, Path]) -> None:
    document = httpx.get(f"{served[0].url}/openapi.json").json()
    found: dict[str, Any] = {o["operationId"]: (path, o) for path, methods in document["paths"].items() for o in methods.values()}
    assert set(found) == OPERATIONS
    for path, operation in found.values():
        responses = operation["responses"]
        assert "422" not in responses and responses["431"] and responses["500"]
        assert ("security" in operation) == path.startswith("/v1/") == ("401" in responses)
        for status, response in responses.items():
            if not status.startswith("2") and (path, status) != ("/ready", "503"):
                assert response["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorReply"), (path, status)
        assert ("408" in responses) == ("413" in responses) == ("requestBody" in operation)
    for name, kinds in (("ask_council", ["event", "data"]), ("create_chat_completion", ["data"])):
        stream = found[name][1]["responses"]["200"]["content"]["text/event-stream"]
        assert stream["itemSchema"]["required"] == kinds


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/council", "POST"), ("/v1/documents", "GET, POST"), ("/v1/documents/a", "DELETE, GET"), ("/v1/models", "GET"),
        ("/v1/models/council/all", "GET"), ("/health", "GET"), ("/", "GET"), ("/assets/app.js", "GET"),
    ],
)  # fmt: skip
def test_other_methods_are_told_which_there_are(served: tuple[Listening, str, Path], path: str, allowed: str) -> None:
    for method in ("PUT", "PATCH", "OPTIONS", "TRACE"):
        reply = httpx.request(method, f"{served[0].url}{path}")
        assert (reply.status_code, reply.headers["allow"]) == (405, allowed)
        assert reply.json()["error"]["code"] == "wrong_method"
