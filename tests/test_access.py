"""Nobody reads over HTTP what is another tenant's, or does what a key does not allow, in whatever order things are done."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, ClassVar

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from council.keys import KeyRing
from council.service import document_id
from tests.listening import Listening, listening
from tests.test_app import served_config

TENANTS = ("anna", "bo", "cy")
FILES = ("notes.md", "plan.txt", "list.csv")
RUNS = int(os.environ.get("COUNCIL_RUNS", "30"))
"""Each of up to 20 steps: COUNCIL_RUNS=200 takes some minutes."""
PUBLIC = {"/health": 200, "/ready": 200, "/": 200, "/assets/page.js": 200, "/openapi.json": 200, "/metrics": 404}
"""Without a key; the service of this test exports no metrics."""
CLOSED = [
    ("GET", "/v1/info"), ("GET", "/v1/models"), ("GET", "/v1/models/council"), ("GET", "/v1/documents"), ("GET", "/v1/documents/abc"),
    ("POST", "/v1/documents"), ("DELETE", "/v1/documents/abc"), ("POST", "/v1/council"), ("POST", "/v1/chat/completions"),
]  # fmt: skip
QUESTION = "What does the zorblat of the harbour hold?"
WAYS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/council", {"question": QUESTION}),
    ("/v1/council", {"question": QUESTION, "stream": True, "policy": "escalate"}),
    ("/v1/council", {"question": "And what does it hold?", "history": [{"role": "user", "content": QUESTION}], "queries": ["zorblat"]}),
    ("/v1/council", {"question": QUESTION, "check": True, "stream": True}),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": QUESTION}]}),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": QUESTION}], "stream": True, "model": "council/cheapest"}),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": QUESTION}], "n": 2, "model": "law"}),
]


class Keys:
    """A key of each kind, by what it is for."""

    def __init__(self, ring: KeyRing) -> None:
        self.ring = ring
        self.writers = {t: ring.add(f"{t} writes", tenant=t)[0] for t in TENANTS}
        self.readers = {t: ring.add(f"{t} reads", tenant=t, documents="read")[0] for t in TENANTS}
        self.asking = {t: ring.add(f"{t} asks", tenant=t, documents="none")[0] for t in TENANTS}
        self.of_law = ring.add("law alone", tenant="anna", models=("law",))[0]
        self.of_council = ring.add("the council", tenant="anna", models=("council",))[0]
        self.expired = ring.add("expired", tenant="anna", expires_in=timedelta(seconds=-1))[0]
        self.revoked = ring.add("revoked", tenant="anna")[0]
        ring.revoke("revoked")

    @property
    def void(self) -> list[str | None]:
        """No key, and such as open nothing."""
        good = self.writers["anna"]
        swapped = good[:-1] + ("A" if good[-1] != "A" else "B")
        return [None, "-", "x", "cs-00000000-" + "A" * 43, swapped, good.upper(), self.expired, self.revoked, f"{good} {good}"]


def bearer(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Authorization": f"Bearer {key}"}


@pytest.fixture(scope="module")
def served(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Listening, Keys]]:
    folder = tmp_path_factory.mktemp("access")
    keys = Keys(KeyRing(folder / "keys.json"))
    with listening(served_config(folder) | {"service": {"audit": str(folder / "audit.jsonl")}}, folder / "keys.json") as at:
        yield at, keys


class Access(RuleBasedStateMachine):
    """Tenants that add, read, ask and remove; each document holds a word that stands nowhere else."""

    at: ClassVar[Listening]
    keys: ClassVar[Keys]
    owners: ClassVar[dict[str, str]] = {}
    """Every such word -> whose it is."""

    @initialize()
    def open(self) -> None:
        self.client = httpx.Client(base_url=self.at.url, timeout=60)
        self.there: dict[tuple[str, str], str] = {}
        for tenant in TENANTS:
            for document in self.send(tenant, "GET", "/v1/documents").json()["data"]:
                self.send(tenant, "DELETE", f"/v1/documents/{document['id']}")

    def teardown(self) -> None:
        if hasattr(self, "client"):
            self.client.close()

    def send(self, tenant: str, method: str, path: str, key: str | None = None, **options: Any) -> httpx.Response:
        """A request; whatever comes back holds no word of another tenant's."""
        reply = self.client.request(method, path, headers=bearer(key or self.keys.writers[tenant]), **options)
        assert [word for word, owner in self.owners.items() if owner != tenant and word in reply.text] == []
        assert reply.status_code < 500
        return reply

    @rule(tenant=st.sampled_from(TENANTS), file=st.sampled_from(FILES))
    def add(self, tenant: str, file: str) -> None:
        word = f"wq{len(self.owners):05d}x"
        self.owners[word] = tenant
        text = f"The zorblat of the harbour holds {word}. It was built by many hands, and stands where the river meets the sea."
        body = f'text,title\n"{text}",{word}\n' if file.endswith(".csv") else f"# {word}\n\n{text}\n"
        reply = self.send(tenant, "POST", "/v1/documents", files={"files": (file, body.encode())})
        assert reply.status_code == 200 and reply.json()["new"] + len(reply.json()["changed"]) >= 1
        self.there[tenant, file] = word

    @rule(tenant=st.sampled_from(TENANTS), reads=st.booleans())
    def see(self, tenant: str, reads: bool) -> None:
        key = self.keys.readers[tenant] if reads else None
        listed = {d["file"]: d["id"] for d in self.send(tenant, "GET", "/v1/documents", key).json()["data"]}
        assert set(listed) == {file for owner, file in self.there if owner == tenant}
        for file, id in listed.items():
            assert self.there[tenant, file] in self.send(tenant, "GET", f"/v1/documents/{id}", key).text

    @rule(tenant=st.sampled_from(TENANTS), other=st.sampled_from(TENANTS))
    def look_for(self, tenant: str, other: str) -> None:
        """By ids that another tenant's documents have."""
        for document in self.send(other, "GET", "/v1/documents").json()["data"]:
            reply = self.send(tenant, "GET", f"/v1/documents/{document['id']}")
            assert reply.status_code == (200 if (tenant, document["file"]) in self.there else 404)

    @rule(tenant=st.sampled_from(TENANTS), file=st.sampled_from(FILES))
    def remove(self, tenant: str, file: str) -> None:
        reply = self.send(tenant, "DELETE", f"/v1/documents/{document_id(file)}")
        assert reply.status_code == (200 if self.there.pop((tenant, file), None) else 404)

    @rule(tenant=st.sampled_from(TENANTS), way=st.sampled_from(WAYS), mute=st.booleans())
    def ask(self, tenant: str, way: tuple[str, dict[str, Any]], mute: bool) -> None:
        reply = self.send(tenant, "POST", way[0], self.keys.asking[tenant] if mute else None, json=way[1])
        assert reply.status_code == 200
        if any(owner == tenant for owner, _ in self.there):
            assert any(word in reply.text for word in self.words_of(tenant)), "its own documents are found"

    def words_of(self, tenant: str) -> set[str]:
        return {word for (owner, _), word in self.there.items() if owner == tenant}

    @rule(tenant=st.sampled_from(TENANTS), file=st.sampled_from(FILES))
    def may_not(self, tenant: str, file: str) -> None:
        id = document_id(file)
        for key, methods in ((self.keys.readers[tenant], ("POST", "DELETE")), (self.keys.asking[tenant], ("GET", "POST", "DELETE"))):
            for method in methods:
                path = "/v1/documents" if method == "POST" else f"/v1/documents/{id}"
                files = {"files": (file, b"The zorblat holds nothing.")} if method == "POST" else None
                reply = self.send(tenant, method, path, key, files=files)
                assert (reply.status_code, reply.json()["error"]["code"]) == (403, "documents_not_allowed")

    @rule(route=st.sampled_from(CLOSED), which=st.integers(0, 8))
    def come_without_a_key(self, route: tuple[str, str], which: int) -> None:
        reply = self.client.request(*route, headers=bearer(self.keys.void[which]), json={"question": QUESTION})
        assert (reply.status_code, reply.json()["error"]["code"]) == (401, "invalid_api_key")
        assert reply.headers["www-authenticate"] == "Bearer"
        assert not any(word in reply.text for word in self.owners)


@pytest.mark.slow
def test_tenants_see_nothing_of_each_other(served: tuple[Listening, Keys]) -> None:
    Access.at, Access.keys = served
    health = [HealthCheck.too_slow, HealthCheck.data_too_large]
    run_state_machine_as_test(
        Access, settings=settings(max_examples=RUNS, stateful_step_count=20, deadline=None, suppress_health_check=health)
    )
    assert len(Access.owners) > RUNS


@pytest.mark.parametrize("which", range(9))
def test_no_key_that_is_none_opens_anything(served: tuple[Listening, Keys], which: int) -> None:
    at, keys = served
    headers = bearer(keys.void[which])
    for method, path in CLOSED:
        assert httpx.request(method, f"{at.url}{path}", headers=headers).status_code == 401, path
    for path, status in PUBLIC.items():
        assert httpx.get(f"{at.url}{path}", headers=headers).status_code == status, path


def test_keys_open_the_models_they_name(served: tuple[Listening, Keys]) -> None:
    at, keys = served

    def ask(key: str, model: str) -> int:
        body = {"model": model, "messages": [{"role": "user", "content": QUESTION}]}
        return httpx.post(f"{at.url}/v1/chat/completions", json=body, headers=bearer(key), timeout=60).status_code

    assert [ask(keys.of_law, m) for m in ("law", "physics", "council", "council/all", "none")] == [200, 403, 403, 403, 403]
    assert [ask(keys.of_council, m) for m in ("law", "council", "council/all", "council/none")] == [403, 200, 200, 404]
    refused = httpx.post(f"{at.url}/v1/council", json={"question": QUESTION, "stream": True}, headers=bearer(keys.of_law))
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "model_not_allowed")
    listed = httpx.get(f"{at.url}/v1/models", headers=bearer(keys.of_law)).json()["data"]
    assert [m["id"] for m in listed] == ["law"]
    assert httpx.get(f"{at.url}/v1/models/council", headers=bearer(keys.of_law)).status_code == 403


def test_a_revoked_key_opens_nothing_two_seconds_later(served: tuple[Listening, Keys]) -> None:
    at, keys = served
    key, _ = keys.ring.add("short-lived")
    headers = bearer(key)
    while httpx.get(f"{at.url}/v1/info", headers=headers).status_code != 200:
        time.sleep(0.05)
    keys.ring.revoke("short-lived")
    time.sleep(2.0)
    assert httpx.get(f"{at.url}/v1/info", headers=headers).status_code == 401


def test_a_rate_is_kept_and_said(served: tuple[Listening, Keys]) -> None:
    at, keys = served
    key, _ = keys.ring.add("slow", per_minute=2)
    time.sleep(1.1)
    replies = [httpx.get(f"{at.url}/v1/info", headers=bearer(key)) for _ in range(4)]
    assert [r.status_code for r in replies] == [200, 200, 429, 429]
    assert 1 <= int(replies[2].headers["retry-after"]) <= 30
    assert replies[2].json()["error"]["type"] == "rate_limit_error"


def test_each_request_has_its_line(served: tuple[Listening, Keys]) -> None:
    at, keys = served
    id = {"x-request-id": "seen-1"}
    httpx.get(f"{at.url}/v1/documents", headers=bearer(keys.readers["bo"]) | id)
    httpx.post(f"{at.url}/v1/council", json={"question": QUESTION}, headers={"x-request-id": "seen-2"})
    httpx.post(f"{at.url}/v1/council", json={"question": QUESTION}, headers=bearer(keys.asking["cy"]) | {"x-request-id": "seen-3"})
    httpx.post(f"{at.url}/v1/council", json={"question": " "}, headers=bearer(keys.asking["cy"]) | {"x-request-id": "seen-4"})
    httpx.get(f"{at.url}/health", headers={"x-request-id": "seen-5"})
    path = at.service.audit.path
    assert path is not None
    lines = [json.loads(line) for line in path.read_text().splitlines() if '"seen-' in line]
    told = [(x["request_id"], x["route"], x["code"], x["tenant"], x["status"], bool(x["key"])) for x in lines]
    assert told == [
        ("seen-1", "GET /v1/documents", 200, "bo", None, True),
        ("seen-2", "POST /v1/council", 401, None, None, False),
        ("seen-3", "POST /v1/council", 200, "cy", lines[2]["status"], True),
        ("seen-4", "POST /v1/council", 400, "cy", "error", True),
    ]
    assert "zorblat" not in path.read_text() and all(key not in path.read_text() for key in keys.writers.values())


def test_the_keys_file_may_be_broken_and_mended(served: tuple[Listening, Keys]) -> None:
    at, keys = served
    kept = keys.ring.path.read_bytes()
    try:
        keys.ring.path.write_bytes(b"{")
        time.sleep(1.2)
        assert httpx.get(f"{at.url}/v1/info", headers=bearer(keys.writers["bo"])).status_code == 401
        assert httpx.get(f"{at.url}/health").status_code == 200
    finally:
        keys.ring.path.write_bytes(kept)
    time.sleep(1.2)
    assert httpx.get(f"{at.url}/v1/info", headers=bearer(keys.writers["bo"])).status_code == 200
