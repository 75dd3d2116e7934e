"""The service over HTTP, on real Serve: what its routes say to good requests, and to others."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from council.keys import KeyRing
from council.serve import APPLICATION
from tests.conformance import conformance
from tests.conftest import MEMBERS, scripted_config
from tests.serving import serving

LIGHT = "The Varn light was built in 1911. Ada Trell keeps it."
ASKED = "Who keeps the Varn light?"


def served_config(tmp_path: Path, **options: Any) -> dict[str, Any]:
    """Five scripted members who agree on the keeper of the light, and on nothing else."""
    answers = {m: {"keeps the Varn light": "Ada Trell"} for m in MEMBERS}
    return scripted_config(answers, **options) | {"retrieval": {"store": {"path": str(tmp_path / "store")}}}


@pytest.fixture(scope="module")
def url(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(served_config(tmp_path_factory.mktemp("served"))) as address:
        files = {"files": ("light.md", f"# Varn light\n\n{LIGHT}\n".encode())}
        assert httpx.post(f"{address}/v1/documents", files=files, timeout=60).json()["new"] == 1
        yield address


def ask(url: str, **body: Any) -> httpx.Response:
    return httpx.post(f"{url}/v1/council", json={"question": ASKED, **body}, timeout=60)


def test_a_question_gets_a_verdict(url: str) -> None:
    reply = ask(url)
    verdict = reply.json()
    assert reply.status_code == 200
    assert (verdict["status"], verdict["answer"]) == ("answered", "Ada Trell")
    assert verdict["sources"][0]["text"] == LIGHT
    assert verdict["sources"][0]["provenance"]["source"] == "light.md"


def test_what_happens_is_told_as_it_happens(url: str) -> None:
    events: list[tuple[str, Any]] = []
    with httpx.stream("POST", f"{url}/v1/council", json={"question": ASKED, "stream": True}, timeout=60) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        for part in "".join(reply.iter_text()).split("\n\n"):
            if part.startswith("event: "):
                name, data = part.split("\n")
                events.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    names = [name for name, _ in events]
    assert set(names[:2]) == {"routed", "retrieved"}
    assert names.count("opinion") == 5 and "vote" in names and names[-1] == "verdict"
    assert events[-1][1]["answer"] == "Ada Trell"


@pytest.mark.slow
def test_requests_made_up_from_its_document_conform(url: str) -> None:
    told = conformance(url, None, 8, 4, coverage=False)
    assert told.faults == [] and told.count >= 50
    assert {status for _, status in told.statuses} <= {200, 400, 404, 405, 504}


@pytest.mark.slow
def test_metrics_of_all_parts_are_exported(url: str) -> None:
    ask(url)
    wanted = ["ray_council_questions_total", "ray_council_drift", "ray_council_requests_total", "ray_council_question_seconds_bucket"]
    wanted += ["ray_council_in_progress", "ray_council_opinions_total", "ray_council_member_generations_total"]
    ends = time.monotonic() + 45
    while missing := [name for name in wanted if f"\n{name}{{" not in (reply := httpx.get(f"{url}/metrics", timeout=30)).text]:
        assert time.monotonic() < ends, missing
        time.sleep(1.0)
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'status="answered"' in reply.text and 'route="/v1/council"' in reply.text
    assert LIGHT not in reply.text and ASKED not in reply.text
    drift = [line for line in reply.text.splitlines() if line.startswith("ray_council_drift{")]
    assert drift and all(line.endswith(" 0.0") for line in drift)


# --- slow members, clients that leave, an end ------------------------------------------------------------------------

WITHIN_S = 20.0


@pytest.fixture(scope="module")
def slow(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, Path]]:
    """A client with a key, and the audit's file. `computing` takes a minute among the others of its host; `sleeper` does, too, on a
    host that does one thing at a time, which is also that of `waker`, who answers at once. Two questions at work, one waits."""
    folder = tmp_path_factory.mktemp("slow")
    tree = served_config(folder, delays_s={"computing": 60.0})
    options = {"answers": {"waker": {"": "awake"}}, "delays_s": {"sleeper": 60.0}}
    one = {"name": "one", "kind": "scripted", "options": options, "resources": {"num_cpus": 0.1}, "max_ongoing_requests": 1}
    tree["engines"].append(one)
    for name in ("sleeper", "waker"):
        tree["specialists"].append({"name": name, "engine": "one", "domain": name, "persona": "You.", "description": f"A {name}."})
    key, _ = KeyRing(folder / "keys.json").add("ann")
    audit = folder / "audit.jsonl"
    tree["service"] = {"concurrent": 2, "queue": 1, "deadline_s": WITHIN_S, "keys": str(folder / "keys.json"), "audit": str(audit)}
    with serving(tree, True) as address, httpx.Client(base_url=address, headers={"Authorization": f"Bearer {key}"}, timeout=40) as client:
        yield client, audit


def chat(client: httpx.Client, model: str, **body: Any) -> httpx.Response:
    return client.post("/v1/chat/completions", json={"model": model, "messages": [{"role": "user", "content": ASKED}], **body})


def wakes(client: httpx.Client, within_s: float) -> bool:
    """Whether the host of one thing at a time is free within these seconds."""
    reply = chat(client, "waker", deadline_s=within_s)
    return reply.status_code == 200 and reply.json()["choices"][0]["message"]["content"] == "awake"


def leaves_whole(client: httpx.Client) -> None:
    with pytest.raises(httpx.ReadTimeout):
        client.post("/v1/chat/completions", json={"model": "sleeper", "messages": [{"role": "user", "content": ASKED}]}, timeout=2.5)


def leaves_stream(client: httpx.Client) -> None:
    body = {"question": ASKED, "specialists": ["sleeper"], "stream": True}
    with client.stream("POST", "/v1/council", json=body) as reply:
        events = reply.iter_text()  # kept: it closes the connection when it is let go
        assert next(events).startswith("event: ")
        time.sleep(2.0)


@pytest.mark.slow
@pytest.mark.parametrize("leaves", [leaves_whole, leaves_stream], ids=["whole", "stream"])
def test_who_leaves_is_not_worked_for(slow: tuple[httpx.Client, Path], leaves: Callable[[httpx.Client], None]) -> None:
    client, audit = slow
    assert wakes(client, WITHIN_S)
    leaving = threading.Thread(target=leaves, args=(client,))
    leaving.start()
    time.sleep(0.5)
    assert not wakes(client, 0.8)  # meanwhile the host is taken
    leaving.join()
    began = time.monotonic()
    assert wakes(client, WITHIN_S) and time.monotonic() - began < 5.0
    assert [json.loads(line)["status"] for line in audit.read_text().splitlines()].count("cancelled") >= 1


@pytest.mark.slow
def test_slow_members_are_cut_off_and_the_others_vote(slow: tuple[httpx.Client, Path]) -> None:
    client, _ = slow
    for stream in (False, True):
        began = time.monotonic()
        reply = client.post("/v1/council", json={"question": ASKED, "deadline_s": 3.0, "stream": stream})
        assert time.monotonic() - began < 3.5
        verdict = json.loads(reply.text.split("event: verdict\ndata: ")[1]) if stream else reply.json()
        assert (verdict["status"], verdict["answer"]) == ("answered", "Ada Trell")
        late = {o["specialist"] for o in verdict["opinions"] if (o["error"] or "").startswith("late:")}
        assert late >= {"computing", "sleeper"} and not late & {"medicine", "law", "finance", "physics"}


@pytest.mark.slow
def test_no_room_and_no_time_are_said_at_once(slow: tuple[httpx.Client, Path]) -> None:
    client, _ = slow
    threads = [threading.Thread(target=leaves_whole, args=(client,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.7)
    began = time.monotonic()
    for stream in (False, True):
        reply = chat(client, "law", stream=stream)
        assert (reply.status_code, reply.json()["error"]["code"]) == (429, "overloaded")
        assert int(reply.headers["retry-after"]) >= 1
    assert time.monotonic() - began < 0.7
    for thread in threads:
        thread.join()
    assert chat(client, "law").status_code == 200
    late = chat(client, "law", deadline_s=0.001)
    assert (late.status_code, late.json()["error"]["code"]) == (504, "deadline_exceeded")


@pytest.mark.slow
def test_who_goes_down_ends_what_it_has_begun(slow: tuple[httpx.Client, Path]) -> None:
    """The last of those with this service."""
    from ray import serve

    client, audit = slow
    assert client.get("/ready").status_code == 200
    begun: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: begun.append(client.post("/v1/council", json={"question": ASKED, "deadline_s": 5.0})))
    thread.start()
    time.sleep(1.0)
    serve.get_app_handle(APPLICATION).broadcast("drain").results(timeout_s=10)
    for stream in (False, True):
        refused = client.post("/v1/council", json={"question": ASKED, "stream": stream})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "going_down")
        assert int(refused.headers["retry-after"]) >= 1
    unready = client.get("/ready")
    assert unready.status_code == 503 and unready.json()["ready"] is False and unready.json()["members"]["law"]["ok"]
    assert client.get("/health").status_code == 200
    thread.join()
    assert begun[0].json()["answer"] == "Ada Trell"
    told = [json.loads(line) for line in audit.read_text().splitlines()]
    assert {"answered", "cancelled", "refused", "late"} <= {line["status"] for line in told}
    assert {200, 429, 499, 503, 504} <= {line["code"] for line in told}
