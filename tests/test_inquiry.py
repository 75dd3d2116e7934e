"""One question from its passages to its verdict, over hosts that answer from a table: what a host's fault may not do."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from council.aggregator import Calibration, Calibrator, Promise
from council.config import CouncilConfig
from council.inquiry import Inquiry
from council.panel import Panel, grace
from council.pipeline import _end_for_members
from council.router import Route
from council.types import Passage, Verdict
from specialists.protocol import Generation, GenerationRequest, HostError, Sample, Score, ScoreRequest
from tests.conftest import MEMBERS, scripted_config

PASSAGES = [Passage(id=str(i), title=f"T{i}", text=f"Passage number {i} says so.") for i in range(4)]
SURE = Calibration(
    council="-", fitted_on="made up", questions=100, date="2026-01-01", calibrator=Calibrator(kind="platt", ys=(0.0, 3.0)),
    promise=Promise(kind="selective", alpha=0.1, delta=0.1, threshold=0.9, coverage=0.5, risk=0.05),
)  # fmt: skip


class Hosts:
    """Members answer from a table; a host of which an exception is listed raises it."""

    def __init__(self, answers: Mapping[str, str], faults: Mapping[str, Exception] | None = None) -> None:
        self.answers, self.faults, self.asked = answers, faults or {}, list[GenerationRequest]()

    async def generate(self, engine: str, requests: Sequence[GenerationRequest], within_s: float | None = None) -> list[Generation]:
        self.asked += requests
        if engine in self.faults:
            raise self.faults[engine]
        return [Generation(r.specialist, (Sample(self.answers[r.specialist], 1, "stop"),), 5) for r in requests]

    async def score(self, engine: str, requests: Sequence[ScoreRequest]) -> list[Score]:
        if engine in self.faults:
            raise self.faults[engine]
        return [Score(r.specialist, (-0.1 if r.answer == self.answers[r.specialist] else -5.0,), 5) for r in requests]


def alike(texts: Sequence[str]) -> NDArray[np.float64]:
    return np.eye(len(texts))


def ask(hosts: Hosts, settings: dict[str, Any] | None = None, calibration: Calibration | None = None, window: int = 4000) -> Verdict:
    tree = scripted_config(hosts=5) | (settings or {})
    for engine in tree["engines"]:
        engine["max_context"] = window
    config = CouncilConfig.model_validate(tree)
    panel = Panel(config, {m: lambda messages: sum(len(x["content"].split()) for x in messages) for m in MEMBERS}, cast(Any, hosts))
    with ThreadPoolExecutor(2) as threads:
        inquiry = Inquiry(config, panel, alike, alike, threads, calibration)
        return asyncio.run(inquiry.verdict("Who keeps it?", PASSAGES, Route(dict.fromkeys(MEMBERS, 0.2), {}, "law")))


def test_an_unexpected_fault_of_a_host_costs_its_members_votes_and_nothing_else() -> None:
    verdict = ask(Hosts(dict.fromkeys(MEMBERS, "Ada"), {"script-1": ValueError("odd")}), {"aggregator": {"scoring": "report"}})
    assert (verdict.status, verdict.answer) == ("answered", "Ada")
    assert {o.specialist: o.error for o in verdict.opinions if o.error} == {"law": "host 'script-1' failed: ValueError: odd"}


def test_a_promise_is_not_kept_by_those_who_are_left() -> None:
    """Calibrated councils were heard whole: what failed counts as though it differed."""
    dead: dict[str, Exception] = {f"script-{i}": HostError("died") for i in range(4)}
    assert ask(Hosts(dict.fromkeys(MEMBERS, "Ada"), dead)).status == "answered"
    verdict = ask(Hosts(dict.fromkeys(MEMBERS, "Ada"), dead), calibration=SURE)
    assert (verdict.status, verdict.confidence) == ("abstained", None) and verdict.agreement == pytest.approx(0.2)
    whole = ask(Hosts(dict.fromkeys(MEMBERS, "Ada")), calibration=SURE)
    assert whole.status == "answered" and whole.confidence is not None and whole.confidence.value > 0.9


def test_an_order_of_the_passages_is_shown_once() -> None:
    hosts = Hosts({m: f"Person {m}" for m in MEMBERS})
    verdict = ask(hosts, {"asking": {"widen": ["orders"], "orders": 9}})
    assert [r.kind for r in verdict.rounds] == ["members", "orders", "orders", "orders"]
    prompts = [(r.specialist, str(r.messages)) for r in hosts.asked]
    assert len(prompts) == len(set(prompts)) == 20


def test_members_of_a_lineage_are_one_witness_by_likelihood_too() -> None:
    tree = scripted_config(hosts=5)
    for specialist in tree["specialists"][:3]:
        specialist["lineage"] = "l"
    hosts = Hosts(dict(zip(MEMBERS, ("x", "x", "x", "y", "y"), strict=True)))
    verdict = ask(hosts, {"specialists": tree["specialists"], "aggregator": {"scoring": "decide", "min_agreement": 0.5}})
    assert verdict.answer == "y" and verdict.groups[0].answer == "y"


def test_a_long_answer_keeps_what_it_knows_beside_what_it_does_not() -> None:
    said = "The passages do not mention his mother. He was born in Warsaw in 1867. He studied in Paris."
    verdict = ask(Hosts(dict.fromkeys(MEMBERS, said)), {"prompting": {"answers": "long"}})
    assert verdict.answer == "He was born in Warsaw in 1867. He studied in Paris."
    silent = ask(Hosts(dict.fromkeys(MEMBERS, "The passages do not tell.")), {"prompting": {"answers": "long"}})
    assert silent.status == "abstained"


def test_what_was_not_asked_is_said_as_it_is() -> None:
    hosts = Hosts(dict.fromkeys(MEMBERS, "Ada"))
    assert "for it could change nothing: " in ask(hosts, {"asking": {"policy": "escalate"}}).reason
    cheap = ask(hosts, {"asking": {"policy": "cheapest"}, "aggregator": {"quorum": 2}})
    assert len(cheap.unasked) == 3 and "Not asked: " in cheap.reason


@pytest.mark.parametrize("within_s", [0.5, 0.9, 2.0, 20.0, 60.0, 600.0])
def test_a_silent_host_leaves_time_for_the_vote(within_s: float) -> None:
    """Whoever waits for a host as long as it may take, and then for it to say so, is done before the question's time is over."""
    members_s = _end_for_members(0.0, within_s)
    assert 0.4 * within_s <= members_s and members_s + grace(members_s) <= within_s - min(0.9, 0.02 * within_s)
