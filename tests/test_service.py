"""The service without HTTP: places, deadlines, draining, the wording of questions, readiness, and a record of each question."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from council.errors import ConfigError, DocumentError, GoingDown, Overloaded, QuestionError
from council.events import Event, Routed
from council.history import Turn
from council.options import Options
from council.service import ANYBODY, Asking, Service, document_id
from tests.conftest import scripted_config
from tests.listening import service_of

ASKED = "Who keeps the Varn light?"
BEFORE = [Turn(role="user", content=ASKED), Turn(role="assistant", content="Ada Trell")]


@pytest.fixture(scope="module")
def service(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Two places, one waits. `medicine` words questions, and `law` takes half a minute; both have a host of their own."""
    folder = tmp_path_factory.mktemp("service")
    answers = {"medicine": {"Last question": "Since when has Ada Trell kept the Varn light?"}, "physics": {"": "Ada Trell"}}
    tree = scripted_config(answers, hosts=5, delays_s={"law": 30.0})
    tree["retrieval"] = {"store": {"path": str(folder / "store")}}
    tree["service"] = {"concurrent": 2, "queue": 1, "rewriter": "medicine", "audit": str(folder / "audit.jsonl"), "audit_text": True}
    with service_of(tree) as made:
        yield made


def asking(text: str = ASKED, member: str = "physics", within_s: float = 20.0, **fields: Any) -> Asking:
    return Asking(text, ANYBODY, "id-1", "POST /test", options=Options(False, (member,), within_s=within_s, alone=True), **fields)


def recorded(service: Service) -> dict[str, Any]:
    path = service.audit.path
    assert isinstance(path, Path)
    last: dict[str, Any] = json.loads(path.read_text().splitlines()[-1])
    return last


async def test_a_question_is_answered_and_recorded(service: Service) -> None:
    verdict = await service.ask(asking())
    line = recorded(service)
    assert verdict.answer == "Ada Trell"
    assert (line["status"], line["code"], line["question"], line["answer"]) == ("answered", 200, ASKED, "Ada Trell")
    assert line["calls"] == 1 and line["tokens"] > 0 and line["key"] is None and line["tenant"] == "default"


async def test_a_member_words_what_leans_on_what_was_said(service: Service) -> None:
    events: list[Event] = []
    await service.ask(asking("And since when?", before=BEFORE), events.append)
    (routed,) = (e for e in events if isinstance(e, Routed))
    assert routed.question == "Since when has Ada Trell kept the Varn light?"
    await service.ask(asking("And since 1911?", before=BEFORE), events.append)
    assert events[-1] and [e.question for e in events if isinstance(e, Routed)][-1].startswith("And since 1911? (Asked after:")


@pytest.mark.parametrize(
    ("text", "member", "error"),
    [(" \n", "physics", QuestionError), ("a " * 5000, "physics", QuestionError), (ASKED, "nobody", ConfigError)],
)
async def test_what_can_not_be_asked_is_refused_and_recorded(service: Service, text: str, member: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        await service.ask(asking(text, member))
    assert (recorded(service)["status"], recorded(service)["code"]) == ("error", 400)
    assert service.admission.working == 0


async def test_places_are_kept_and_given_back(service: Service) -> None:
    held = [asyncio.create_task(service.ask(asking(member="law"))) for _ in range(3)]
    await asyncio.sleep(0.3)
    assert (service.admission.working, service.admission.waiting) == (2, 1)
    with pytest.raises(Overloaded) as refused:
        await service.ask(asking())
    assert refused.value.retry_after_s >= 1 and recorded(service)["code"] == 429
    for task in held:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)
    assert (service.admission.working, service.admission.waiting) == (0, 0)
    assert recorded(service)["status"] == "cancelled"
    assert (await service.ask(asking())).answer == "Ada Trell"


async def test_a_member_that_is_late_fails_alone(service: Service) -> None:
    began = time.monotonic()
    verdict = await service.ask(asking(member="law", within_s=1.5))
    assert verdict.status == "failed" and time.monotonic() - began < 2.0
    assert (verdict.opinions[0].error or "").startswith("late:")


async def test_who_goes_down_finishes_what_waits_and_takes_nothing_new(service: Service) -> None:
    held = [asyncio.create_task(service.ask(asking(member="law", within_s=2.0))) for _ in range(2)]
    waits = asyncio.create_task(service.ask(asking()))
    await asyncio.sleep(0.2)
    service.draining = True
    try:
        with pytest.raises(GoingDown):
            await service.ask(asking())
        assert (recorded(service)["status"], recorded(service)["code"]) == ("refused", 503)
        assert not (await service.readiness()).ready
        assert (await waits).answer == "Ada Trell"
        assert all(v.status == "failed" for v in await asyncio.gather(*held))
    finally:
        service.draining = False
    assert (await service.readiness()).ready


async def test_documents_come_and_go_by_tenant(service: Service, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("The Brin tower was built in 1811 by Odo Lund.")
    assert (await service.index(tmp_path, "anna", "towers")).new == 1
    assert [(d.file, d.domain) for d in await service.documents("anna")] == [("a.md", "towers")]
    assert await service.documents("bo") == []
    assert await service.file_of(document_id("a.md"), "anna") == "a.md"
    with pytest.raises(DocumentError):
        await service.file_of(document_id("a.md"), "bo")
    assert "1811" in (await service.passages("a.md", "anna"))[0].text
    assert await service.remove("a.md", "anna") == 1 and await service.documents("anna") == []


def test_without_keys_anybody_asks(service: Service) -> None:
    assert service.grant(None) is ANYBODY and service.grant("x") is ANYBODY and ANYBODY.allows("council")
