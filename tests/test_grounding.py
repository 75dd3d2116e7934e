"""What an agreement rests on: members that read what they are shown, some of it false."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import numpy as np
import pytest

from council.config import CouncilConfig
from council.grounding import holds
from council.inquiry import Inquiry
from council.panel import Panel
from council.router import Route
from council.types import Passage, Verdict
from specialists.protocol import Generation, GenerationRequest, Sample
from tests.conftest import MEMBERS, scripted_config

KEEPER = re.compile(r"The keeper is (\w+)\.")


class Readers:
    """Each says whom the first passage that it is shown names; `known` is what it says if none does."""

    def __init__(self, known: str = "The passages do not tell.") -> None:
        self.known, self.calls = known, 0

    async def generate(self, engine: str, requests: Sequence[GenerationRequest], within_s: float | None = None) -> list[Generation]:
        self.calls += len(requests)
        return [Generation(r.specialist, (Sample(self._said(r), 1, "stop"),), 5) for r in requests]

    def _said(self, request: GenerationRequest) -> str:
        # the best passage has the least number, in whatever place it stands
        text = request.messages[-1]["content"]
        named = sorted(re.findall(r"T(\d)\W[^\n]*\n?The keeper is (\w+)\.", text))
        return named[0][1] if named else self.known


def ask(names: Sequence[str], readers: Readers, check: bool = True, **asking: Any) -> Verdict:
    tree = scripted_config(hosts=2) | {"asking": asking, "prompting": {"quoting": "bare"}}
    config = CouncilConfig.model_validate(tree)
    panel = Panel(config, {m: lambda messages: sum(len(x["content"].split()) for x in messages) for m in MEMBERS}, cast(Any, readers))
    passages = [
        Passage(id=str(i), title=f"T{i}", text=f"The keeper is {name}." if name else "The sea is wide.") for i, name in enumerate(names)
    ]
    with ThreadPoolExecutor(2) as threads:
        inquiry = Inquiry(config, panel, lambda t: np.eye(len(t)), lambda t: np.eye(len(t)), threads, None)
        return asyncio.run(inquiry.verdict("Who keeps it?", passages, Route(dict.fromkeys(MEMBERS, 0.2), {}, "law"), check))


@pytest.mark.parametrize(
    ("names", "known", "rests_on", "without_it", "without_any"),
    [
        (["Ada", "", ""], "The passages do not tell.", "one passage", "not known", "not known"),
        (["Ada"], "The passages do not tell.", "one passage", "not known", "not known"),
        (["Ada", "Ada", ""], "The passages do not tell.", "the context", "Ada", "not known"),
        (["Ada", "", ""], "Ada", "the members", "Ada", "Ada"),
        (["Ada", "", ""], "Eve", "one passage", "Eve", "Eve"),
    ],
)
def test_the_verdict_says_what_the_agreement_rests_on(
    names: list[str], known: str, rests_on: str, without_it: str, without_any: str
) -> None:
    verdict = ask(names, Readers(known), on_contradiction="report")
    assert (verdict.status, verdict.answer) == ("answered", "Ada")
    assert verdict.grounding is not None
    found = verdict.grounding
    assert (found.rests_on, found.passage, found.without_it, found.without_any) == (rests_on, "0", without_it, without_any)
    assert verdict.calls == 5 + len(found.opinions)


def test_the_passage_left_out_is_that_in_which_the_answer_stands() -> None:
    verdict = ask(["", "Ada", ""], Readers())
    assert verdict.grounding is not None and verdict.grounding.passage == "1"


def test_passages_that_contradict_one_another_are_an_abstention() -> None:
    verdict = ask(["Eve", "Ada", "Ada"], Readers())
    assert (verdict.status, verdict.answer) == ("abstained", None)
    assert verdict.reason == "The passages contradict one another: the members say 'Eve', and without one of the passages 'Ada'."
    assert verdict.grounding is not None and verdict.grounding.contradicted
    assert [s.id for s in verdict.sources] == ["0", "1", "2"]  # all that was shown: whoever reads it may judge
    told = ask(["Eve", "Ada", "Ada"], Readers(), on_contradiction="report")
    assert told.answer == "Eve" and told.grounding is not None and told.grounding.contradicted


def test_without_a_check_nobody_is_asked_again_nor_where_there_is_no_answer() -> None:
    readers = Readers()
    assert ask(["Ada", ""], readers, check=False).grounding is None and readers.calls == 5
    silent = Readers()
    assert ask(["", ""], silent).status == "abstained" and silent.calls == 5


def test_an_answer_stands_in_a_passage_as_words() -> None:
    passage = Passage(id="1", title="The Keeper", text="Her name is Ada Byron.")
    assert holds(passage, "ada byron") and holds(passage, "The keeper") and not holds(passage, "Ad") and not holds(passage, "")


def test_long_answers_are_not_checked() -> None:
    tree = scripted_config() | {"asking": {"check_context": 0.5}, "prompting": {"answers": "long"}}
    with pytest.raises(ValueError, match="check_context"):
        CouncilConfig.model_validate(tree)
