"""What an agreement rests on: the same members asked again, with less to read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from council.aggregator import Decision, normalise
from council.panel import Asked, Call, Panel
from council.types import NOT_KNOWN, Grounding, Grounds, Opinion, Passage

Decide = Callable[[Sequence[Opinion]], Awaitable[Decision]]


@dataclass(frozen=True)
class Check:
    """Asks `members` again about `text`: without the passage that the answer rests on, and without any.

    All agree on the same passages, so that what one of them gets wrong can become unanimous. Two more calls a member tell
    whether that may have happened.
    """

    panel: Panel
    decide: Decide
    within_s: float

    async def run(self, text: str, passages: Sequence[Passage], members: Sequence[Asked], answer: str) -> Grounding | None:
        """`passages` are those that the members were shown, at least one, and `answer` is what they said. None where too few of them
        could be asked again: that nobody answers tells nothing."""
        resting = next((p for p in passages if holds(p, answer)), passages[0])
        others = [p for p in passages if p.id != resting.id]
        less = [others, []] if others else [[]]
        asked = [[self.panel.prepare(text, some, m.specialist.name, m.weight) for m in members] for some in less]
        # Both at once: hosts batch what comes together.
        opinions = await asyncio.gather(*(self.panel.ask([Call(a) for a in part], self.within_s) for part in asked))
        decisions = [await self.decide(some) for some in opinions]
        if any(d.status == "failed" for d in decisions):
            return None
        without_it, without_any = decisions[0], decisions[-1]
        rests_on: Grounds = "the context"
        if await self._same(without_any, answer):
            rests_on = "the members"
        elif not await self._same(without_it, answer):
            rests_on = "one passage"
        return Grounding(
            rests_on=rests_on, passage=resting.id, without_it=_said(without_it), without_any=_said(without_any),
            contradicted=bool(others) and without_it.status == "answered" and not await self._same(without_it, answer),
            opinions=tuple(o for some in opinions for o in some),
        )  # fmt: skip

    async def _same(self, decision: Decision, answer: str) -> bool:
        """Whether a decision is for this answer, in whatever words."""
        if decision.status != "answered" or decision.answer is None:
            return False
        both = [Opinion(specialist=str(n), answer=said, weight=1.0) for n, said in enumerate((answer, decision.answer))]
        return len((await self.decide(both)).groups) == 1


def holds(passage: Passage, answer: str) -> bool:
    """Whether an answer stands in a passage, word for word but for case and punctuation."""
    said = normalise(answer)
    return bool(said) and f" {said} " in f" {normalise(f'{passage.title} {passage.text}')} "


def _said(decision: Decision) -> str | None:
    if decision.status == "answered":
        return decision.answer
    leading = decision.groups[0].answer if decision.groups and not decision.disagrees else None
    return NOT_KNOWN if leading is not None and normalise(leading) == NOT_KNOWN else None
