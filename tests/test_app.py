"""The service over HTTP, on real Serve: what its routes say to good requests, and to others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

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
