"""Whole councils of scripted members on real Ray Serve replicas, with the real store and embedder."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from council import Council, CouncilConfig, Question
from council.errors import ConfigError, QuestionError, StartError
from council.types import NOT_KNOWN
from tests.conftest import MEMBERS, scripted_config

LIGHT = "The Varn light was built in 1911. Ada Trell keeps it."
ASKED = "Who keeps the Varn light?"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documents")
    (folder / "light.md").write_text(f"# Varn light\n\n{LIGHT}\n")
    (folder / "boat.txt").write_text("The ferry to Oskel leaves at noon.")
    path = tmp_path_factory.mktemp("store") / "s"
    with_store = scripted_config() | {"retrieval": {"store": {"path": str(path)}}}
    council = Council(CouncilConfig.model_validate(with_store))
    assert council.index([folder]).new == 2
    council.close()
    return path


def make(
    answers: dict[str, dict[str, str]], store: Path, hosts: int = 1, aggregator: dict[str, Any] | None = None,
    asking: dict[str, Any] | None = None, prompting: dict[str, Any] | None = None, on_failure: str = "abstain",
    **options: Any,
) -> Council:  # fmt: skip
    tree = scripted_config(answers, hosts, **options) | {
        "retrieval": {"store": {"path": str(store)}, "on_failure": on_failure}, "aggregator": aggregator or {},
        "routing": {"temperature": 100.0}, "asking": asking or {}, "prompting": prompting or {},
    }  # fmt: skip
    deadline = tree["engines"][0]["options"].pop("deadline_s", None)
    if deadline is not None:
        for engine in tree["engines"]:
            engine["options"].pop("deadline_s", None)
        tree["deadline_s"] = deadline
    return Council(CouncilConfig.model_validate(tree))


def agreeing(answer: str = "Ada Trell") -> dict[str, dict[str, str]]:
    return {m: {"keeps the Varn light": answer} for m in MEMBERS}


@pytest.fixture
def own_store(store: Path, tmp_path: Path) -> Path:
    """A copy for a council of its own: an embedded store is open once."""
    return Path(shutil.copytree(store, tmp_path / "s", ignore=shutil.ignore_patterns("*.lock")))


@pytest.fixture(scope="module")
def council(ray_session: None, store: Path) -> Iterator[Council]:
    with make(agreeing() | {"law": {"keeps the Varn light": "Bo Lind"}}, store) as council:
        yield council


def test_an_answer_comes_with_its_sources_and_its_dissent(council: Council) -> None:
    verdict = council.ask(ASKED)
    assert (verdict.status, verdict.answer) == ("answered", "Ada Trell")
    assert [s.text for s in verdict.sources] == [LIGHT]
    assert verdict.sources[0].provenance.source.endswith("light.md")
    assert {g.answer: g.members for g in verdict.groups}["Bo Lind"] == ("law",)
    assert verdict.agreement == pytest.approx(0.8, abs=0.02)
    assert verdict.confidence is None
    assert verdict.calls == 5
    assert set(verdict.timings_s) == {"retrieve", "route", "generate", "vote", "total"}
    assert [o.specialist for o in verdict.opinions] == list(MEMBERS)


def test_a_question_that_nobody_can_answer_is_abstained_from(council: Council) -> None:
    verdict = council.ask("What does the museum cost?")
    assert (verdict.status, verdict.answer) == ("abstained", None)
    assert [g.answer for g in verdict.groups] == [NOT_KNOWN]


def test_only_named_members_are_asked(council: Council) -> None:
    verdict = council.ask(ASKED, specialists=["law", "physics"])
    assert [o.specialist for o in verdict.opinions] == ["law", "physics"]
    with pytest.raises(ConfigError, match="no specialist 'cooking'"):
        council.ask(ASKED, specialists=["cooking"])


def test_without_retrieval_nothing_is_shown(council: Council) -> None:
    verdict = council.ask(ASKED, retrieval=False)
    assert verdict.sources == ()


def test_retrieve_shows_what_members_would_see(council: Council) -> None:
    assert council.retrieve(ASKED)[0].text == LIGHT
    assert len(council.retrieve(ASKED, top_k=1)) == 1


def test_many_keep_their_order_and_fail_alone(council: Council) -> None:
    seen: list[int] = []
    verdicts = council.ask_many([ASKED, "  ", "What does the museum cost?", ASKED], progress=seen.append)
    assert [v.status for v in verdicts] == ["answered", "failed", "abstained", "answered"]
    assert "empty" in verdicts[1].reason
    assert seen == [1, 2, 3, 4]


async def test_ask_and_aask_work_inside_a_running_loop(council: Council) -> None:
    assert council.ask(ASKED).status == "answered"
    both = await asyncio.gather(council.aask(ASKED), council.aask(Question(text=ASKED, domain="law")))
    assert both[0].status == "answered"
    assert both[1].sources == ()  # no document is of that domain


@pytest.mark.parametrize("text", ["", "   \n"])
def test_an_empty_question_is_refused(council: Council, text: str) -> None:
    with pytest.raises(QuestionError, match="the question is empty"):
        council.ask(text)


def test_a_question_over_the_budget_is_refused(council: Council) -> None:
    with pytest.raises(QuestionError, match="too long"):
        council.ask("why " * 3000)


def test_members_report_their_health(council: Council) -> None:
    members = council.members()
    assert [m.name for m in members] == list(MEMBERS)
    assert all(m.health is not None and m.health.ok for m in members)


def test_a_failed_member_is_an_opinion_and_no_vote(ray_session: None, own_store: Path) -> None:
    with make(agreeing(), own_store, fail=("law", "finance")) as council:
        verdict = council.ask(ASKED)
    assert verdict.agreement == pytest.approx(1.0)
    assert {o.specialist for o in verdict.opinions if o.error} == {"law", "finance"}
    assert all("law" not in g.members for g in verdict.groups)


def test_below_the_quorum_the_verdict_is_failed(ray_session: None, own_store: Path) -> None:
    with make(agreeing(), own_store, aggregator={"quorum": 4}, fail=("law", "finance")) as council:
        verdict = council.ask(ASKED)
    assert (verdict.status, verdict.answer) == ("failed", None)
    assert "law" in verdict.reason


def test_a_late_host_is_an_opinion_with_its_error(ray_session: None, own_store: Path) -> None:
    slow = {"medicine": 20.0, "finance": 20.0, "computing": 20.0}  # the members of the first of two hosts
    with make(agreeing(), own_store, hosts=2, delays_s=slow, deadline_s=1.5) as council:
        verdict = council.ask(ASKED)
    assert {o.specialist for o in verdict.opinions if o.error and "late" in o.error} == set(slow)
    assert verdict.status == "answered"


def test_an_empty_store_says_so(ray_session: None, tmp_path: Path) -> None:
    with make({}, tmp_path / "empty") as council:
        verdict = council.ask(ASKED)
    assert verdict.status == "abstained"
    assert "council index" in verdict.reason


def test_missing_weights_fail_at_start(ray_session: None, tmp_path: Path) -> None:
    overrides = {"specialists.law.adapter": str(tmp_path / "gone"), "retrieval.store.path": str(tmp_path / "s")}
    with pytest.raises(StartError, match=f"'law'.*{tmp_path}/gone"), Council.from_config("pocket", overrides):
        pass


def test_a_killed_host_loses_no_verdict_and_comes_back(ray_session: None, own_store: Path) -> None:
    """A hundred questions in flight over two hosts; one of them is killed."""
    with make(agreeing(), own_store, hosts=2, delay_s=0.5, aggregator={"quorum": 1}) as council:
        health = {m.engine: m.health for m in council.members()}
        victim = health["script-0"]
        assert victim is not None
        pid = int(victim.facts["pid"])
        kill = threading.Timer(0.2, lambda: os.kill(pid, signal.SIGKILL))  # by then the next sixteen wait for it
        verdicts = council.ask_many([ASKED] * 100, concurrency=16, progress=lambda done: kill.start() if done == 16 else None)
        assert len(verdicts) == 100
        assert all(len(v.opinions) == 5 for v in verdicts)
        hit = [o for v in verdicts for o in v.opinions if o.error]
        assert hit and all(o.specialist in ("medicine", "finance", "computing") for o in hit)
        assert all(v.status == "answered" for v in verdicts)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and any(o.error for o in council.ask(ASKED).opinions):
            time.sleep(0.5)
        assert not any(o.error for o in council.ask(ASKED).opinions)


def test_escalation_asks_no_more_than_it_takes(ray_session: None, own_store: Path) -> None:
    with make(agreeing(), own_store, hosts=2, asking={"policy": "escalate"}) as council:
        verdict = council.ask(ASKED)
        assert (verdict.status, verdict.answer, verdict.calls) == ("answered", "Ada Trell", 3)
        assert len(verdict.opinions) == 3 and len(verdict.unasked) == 2
        assert verdict.reason.endswith(f"Not asked, for it could change nothing: {', '.join(verdict.unasked)}.")
        assert verdict.agreement == pytest.approx(0.6, abs=0.02)
        named = council.ask(ASKED, specialists=["law"])
        assert (named.calls, named.unasked) == (1, ())


def test_disagreement_widens_within_its_budget(ray_session: None, own_store: Path) -> None:
    differing = {m: {"keeps the Varn light": f"Person {m}"} for m in MEMBERS}
    asking = {"policy": "escalate", "widen": ["members", "samples", "orders"], "samples": 3, "max_calls": 12}
    with make(differing, own_store, asking=asking) as council:
        verdict = council.ask(ASKED)
    assert (verdict.status, verdict.calls) == ("abstained", 12)
    assert [r.kind for r in verdict.rounds][-2:] == ["samples", "samples"]
    assert verdict.reason.endswith("The budget of 12 calls is spent.")
    assert len(verdict.groups) == 5 and all(g.support == pytest.approx(0.2, abs=0.02) for g in verdict.groups)


def test_a_budget_of_seconds_cuts_off_what_is_slow(ray_session: None, own_store: Path) -> None:
    slow: dict[str, Any] = {"delays_s": {"physics": 90.0}, "asking": {"max_seconds": 6.0}, "hosts": 5}
    with make(agreeing(), own_store, **slow) as council:
        verdict = council.ask(ASKED)
    assert verdict.status == "answered"
    assert [o.error for o in verdict.opinions if o.error] == [o.error for o in verdict.opinions if o.specialist == "physics"]


def test_members_judge_the_answers_by_likelihood(ray_session: None, own_store: Path) -> None:
    answers = agreeing() | {"law": {"keeps the Varn light": "Bo Lind"}, "physics": {"keeps the Varn light": "Bo Lind"}}
    with make(answers, own_store, aggregator={"scoring": "decide", "min_agreement": 0.55}) as council:
        verdict = council.ask(ASKED)
    assert (verdict.status, verdict.answer) == ("answered", "Ada Trell")
    best, other = verdict.candidates
    assert (best.answer, other.answer, len(best.likelihoods)) == ("Ada Trell", "Bo Lind", 5)
    # each gives nearly all its weight to what it said itself
    assert best.support == pytest.approx(0.6, abs=0.02) == verdict.agreement
    assert best.by_passages == pytest.approx(0.0)  # the script says the same without them
    assert verdict.timings_s["score"] > 0


def test_long_answers_keep_what_enough_members_say(ray_session: None, own_store: Path) -> None:
    said = "The Varn light was built in 1911. Ada Trell keeps it."
    answers = agreeing(said) | {"law": {"keeps the Varn light": "Ada Trell keeps it. The keeper has a dog."}}
    answers["physics"] = {"keeps the Varn light": "The passages do not tell."}
    with make(answers, own_store, aggregator={"min_agreement": 0.55}, prompting={"answers": "long"}) as council:
        verdict = council.ask(ASKED)
        told = council.prompts(ASKED)["law"][0]["content"]
    assert (verdict.status, verdict.answer) == ("answered", said)
    kept = {c.text: (c.kept, round(c.support, 1)) for c in verdict.claims}
    assert kept["Ada Trell keeps it."] == (True, 0.8)  # the one that does not know counts against it
    assert kept["The keeper has a dog."] == (False, 0.2)
    assert [s.text for s in verdict.sources] == [LIGHT]
    assert "a few plain sentences" in told


@pytest.mark.parametrize(("policy", "status"), [("abstain", "abstained"), ("answer_without", "answered")])
def test_a_store_that_fails_is_told_and_not_silently_missed(ray_session: None, own_store: Path, policy: str, status: str) -> None:
    with make(agreeing(), own_store, on_failure=policy) as council:
        assert council.ask(ASKED).status == "answered"
        council.retriever.close()  # as though its disk or its server had gone
        verdict = council.ask(ASKED)
    assert verdict.status == status
    said = " ".join((verdict.reason, *verdict.warnings))
    assert "is closed" in said and ("No documents can be read" in said) == (policy == "abstain")
    assert verdict.sources == () and verdict.confidence is None
