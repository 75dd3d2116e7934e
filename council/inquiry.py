"""One question, once its passages and its members are known: asked, voted on, and made a verdict."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import Any, Final

from council.aggregator import (
    Calibration,
    Decision,
    Similarity,
    decide,
    decide_at_length,
    decide_by_likelihood,
    weigh_candidates,
    witness_weights,
)
from council.config import AggregatorConfig, CouncilConfig
from council.deliberation import Deliberation, Outcome
from council.errors import QuestionError
from council.events import Asked as Told
from council.events import Place, Routed, Tell
from council.grounding import Check, holds
from council.panel import NOT_NEEDED, Asked, Call, Enough, Panel
from council.prompting import Prompt
from council.router import Route
from council.tracing import note
from council.types import NOT_KNOWN, Candidate, Claim, Confidence, Example, Grounding, Opinion, Passage, RoundKind, Source, Verdict

MOST_CANDIDATES: Final = 8
"""Answers beyond these, in the order of their support, are not judged by likelihood."""


@dataclass
class Inquiry:
    """What it takes to answer a question. `likeness` tells which answers mean the same, `cosines` which sentences do.

    `calibration`: the one that holds for this question, if any.
    """

    config: CouncilConfig
    panel: Panel
    likeness: Similarity
    cosines: Similarity
    threads: Executor
    calibration: Calibration | None
    spent: dict[str, float] = field(default_factory=dict)
    """Seconds by stage."""
    tell: Tell | None = None
    """Told of rounds, opinions and how the vote stands."""
    ends: float = math.inf
    """When the members must have answered, by time.monotonic()."""

    async def verdict(self, text: str, passages: Sequence[Passage], route: Route, check: bool = False) -> Verdict:
        """Ask and decide; with `check`, find out what an answer rests on. Raises QuestionError for a question that is too long
        for every member."""
        rules = self._rules(route.domain)
        asked, spare = ([self.panel.prepare(text, passages, n, w) for n, w in part.items()] for part in (route.asked, route.spare))
        if asked and all(a.prompt is None for a in asked):
            raise QuestionError(str(asked[0].error))
        self._tell_route(text, route, rules)
        outcome = await self._deliberate(text, passages, asked, spare, rules)
        read = {id for o in outcome.opinions for id in o.passages}
        shown = [p for p in passages if p.id in read]
        candidates: tuple[Candidate, ...] = ()
        claims: tuple[Claim, ...] = ()
        if self.config.prompting.answers == "long":
            texts = {p.id: f"{p.title}. {p.text}" if p.title else p.text for p in shown}
            decision, claims = await self._timed("vote", decide_at_length, outcome.opinions, texts, rules, self.cosines, self._lineages)
            outcome = replace(outcome, decision=decision)
        if rules.scoring != "off":
            candidates = await self._cross_score(text, [*asked, *spare], outcome)
        if rules.scoring == "decide":
            outcome = replace(outcome, decision=decide_by_likelihood(outcome.decision, candidates, rules))
        grounding = await self._ground(text, shown, asked, outcome.decision, rules) if check and shown else None
        if grounding is not None and grounding.contradicted and self.config.asking.on_contradiction == "abstain":
            outcome = replace(outcome, decision=_contradicted(outcome.decision, grounding))
        decision = outcome.decision
        return Verdict(
            status=decision.status, answer=decision.answer, reason=self._reason(outcome), agreement=decision.agreement,
            confidence=_confidence(decision, self.calibration), groups=decision.groups, opinions=outcome.opinions, claims=claims,
            candidates=candidates, sources=_sources(decision, claims, shown), examples=_examples(asked),
            grounding=grounding, domain=route.domain,
            rounds=outcome.rounds, unasked=outcome.unasked, calls=outcome.calls + len(grounding.opinions if grounding else ()),
        )  # fmt: skip

    async def _ground(
        self, text: str, shown: Sequence[Passage], asked: Sequence[Asked], decision: Decision, rules: AggregatorConfig
    ) -> Grounding | None:
        """What an answer rests on; None for an abstention."""
        if decision.status != "answered" or decision.answer is None:
            return None

        async def vote(opinions: Sequence[Opinion]) -> Decision:
            made: Decision = await self._timed("vote", decide, opinions, rules, self.likeness, self._lineages)
            return made

        began = time.monotonic()
        if self.tell is not None:
            self.tell(Told(round=-1, kind="check", members=tuple(a.specialist.name for a in asked)))
        check = Check(self.panel.unheard(), vote, self._within(self.config.deadline_s))
        found = await check.run(text, shown, [a for a in asked if a.prompt is not None], decision.answer)
        self.spent["check"] = time.monotonic() - began
        note("check", self.spent["check"])
        return found

    def _rules(self, domain: str | None) -> AggregatorConfig:
        promise = self.calibration.promise_in(domain) if self.calibration is not None else None
        rules = self.config.aggregator
        return rules if promise is None else rules.model_copy(update={"min_agreement": promise.threshold})

    async def _deliberate(
        self, text: str, passages: Sequence[Passage], asked: Sequence[Asked], spare: Sequence[Asked], rules: AggregatorConfig
    ) -> Outcome:
        shown = {a.specialist.name: [a.prompt] for a in (*asked, *spare)}

        async def ask(calls: Sequence[Call], within_s: float, enough: Enough | None) -> list[Opinion]:
            began = time.monotonic()
            opinions = await self.panel.ask(calls, self._within(within_s), enough)
            self.spent["generate"] = self.spent.get("generate", 0.0) + time.monotonic() - began
            return opinions

        async def vote(opinions: Sequence[Opinion], against: float) -> Decision:
            decision: Decision = await self._timed("vote", decide, opinions, rules, self.likeness, self._lineages, against)
            return decision

        def turned(member: Asked, shift: int) -> Asked | None:
            made = self.panel.prepare(text, passages, member.specialist.name, member.weight, shift)
            before = shown[member.specialist.name]
            if made.prompt is None or any(p is not None and p.messages == made.prompt.messages for p in before):
                return None  # every order of the passages that fit has been shown
            before.append(made.prompt)
            return made

        return await Deliberation(
            self.config.asking, rules, self.config.deadline_s, ask, vote, asked, spare, self._lineages, turned,
            _silent if self.calibration is not None else lambda _: 0.0, self._tell_round,
        ).run()  # fmt: skip

    def _within(self, seconds: float) -> float:
        """At most these, and none beyond the question's end."""
        return max(0.0, min(seconds, self.ends - time.monotonic()))

    def _tell_round(self, number: int, kind: RoundKind, members: tuple[str, ...]) -> None:
        if self.tell is not None:
            self.tell(Told(round=number, kind=kind, members=members))

    def _tell_route(self, text: str, route: Route, rules: AggregatorConfig) -> None:
        if self.tell is not None:
            domains = {s.name: s.domain for s in self.config.specialists}
            places = tuple(
                Place(specialist=name, domain=domains[name], weight=weight, asked=name in route.asked)
                for name, weight in (*route.asked.items(), *route.spare.items())
            )
            told = Routed(question=text, domain=route.domain, members=places, min_agreement=rules.min_agreement, quorum=rules.quorum)
            self.tell(told)

    @property
    def _lineages(self) -> dict[str, str]:
        return {s.name: s.lineage for s in self.config.specialists if s.lineage}

    async def _cross_score(self, text: str, members: Sequence[Asked], outcome: Outcome) -> tuple[Candidate, ...]:
        """The leading answers as every member that was asked judges them. A refusal is scored in words that a member said it in."""
        began = time.monotonic()
        heard = {o.specialist for o in outcome.opinions}
        members = [a for a in members if a.specialist.name in heard]
        said = {o.answer: o.text for o in reversed(outcome.opinions) if o.error is None and o.answer is not None}
        leading = [g.answer for g in outcome.decision.groups[:MOST_CANDIDATES]]
        answers = {answer: said.get(answer, answer) if answer == NOT_KNOWN else answer for answer in leading}
        bare = [self.panel.prepare(text, [], a.specialist.name, a.weight) for a in members]
        likelihoods = await self.panel.score(members, bare, answers, self._within(self.config.deadline_s))
        self.spent["score"] = time.monotonic() - began
        note("score", self.spent["score"])
        return weigh_candidates(likelihoods, leading, witness_weights({a.specialist.name: a.weight for a in members}, self._lineages))

    def _reason(self, outcome: Outcome) -> str:
        told = [outcome.decision.reason]
        if outcome.limit:
            told.append(f"The budget of {outcome.limit} is spent.")
        elif outcome.unasked:
            surely = self.config.asking.policy == "escalate" and self.config.asking.caution == 1.0
            told.append(f"Not asked{', for it could change nothing' * surely}: {', '.join(outcome.unasked)}.")
        return " ".join(told)

    async def _timed(self, stage: str, work: Callable[..., Any], *args: Any) -> Any:
        began = time.monotonic()
        result = await asyncio.get_running_loop().run_in_executor(self.threads, work, *args)
        took = time.monotonic() - began
        self.spent[stage] = self.spent.get(stage, 0.0) + took
        note(stage, took)
        return result


def _examples(asked: Sequence[Asked]) -> tuple[Example, ...]:
    """Those that any member was shown."""
    return tuple({e.id: e for a in asked if a.prompt is not None for e in a.prompt.examples}.values())


def _contradicted(decision: Decision, grounding: Grounding) -> Decision:
    reason = (
        f"The passages contradict one another: the members say {decision.answer!r}, and without one of the passages "
        f"{grounding.without_it!r}."
    )
    return replace(decision, status="abstained", answer=None, reason=reason)


def _silent(opinions: Sequence[Opinion]) -> float:
    """The weight of members of whom nothing was heard. A calibration knows councils of which all were heard: under it they
    count as though they differed, so that what it promised holds."""
    heard = {o.specialist for o in opinions if o.error is None or o.text or o.error == NOT_NEEDED}
    return sum({o.specialist: o.weight for o in opinions if o.specialist not in heard}.values())


def _confidence(decision: Decision, calibration: Calibration | None) -> Confidence | None:
    """Of the answer, where one is given: nothing was calibrated on abstentions."""
    if calibration is None or decision.status != "answered" or decision.agreement is None:
        return None
    return Confidence(value=calibration.confidence(decision.agreement), calibrated_on=calibration.describe())


def _sources(decision: Decision, claims: Sequence[Claim], shown: Sequence[Passage]) -> tuple[Source, ...]:
    """The passages in which the answer stands; all that were shown if it stands in none, or if there is no answer."""
    saying = {p for c in claims if c.kept for p in c.passages}
    holding = [p for p in shown if p.id in saying or holds(p, decision.answer or "")]
    return tuple(
        Source(id=p.id, title=p.title, text=p.text, score=p.score, likeness=p.likeness, provenance=p.provenance) for p in holding or shown
    )


def revisit(
    verdict: Verdict, config: CouncilConfig, likeness: Similarity, weights: Mapping[str, float] | None = None,
    min_agreement: float | None = None,
) -> Verdict:  # fmt: skip
    """What the council would have said under `config`, had its members said what they said in `verdict`, each asked once.

    With other `weights` or another threshold, where given. Under policies that ask fewer, those who would be spared are.
    """
    rules = config.aggregator if min_agreement is None else config.aggregator.model_copy(update={"min_agreement": min_agreement})
    said = {o.specialist: o.model_copy(update={"weight": weights[o.specialist]} if weights else {}) for o in reversed(verdict.opinions)}
    lineages = {s.name: s.lineage for s in config.specialists if s.lineage}

    async def recall(calls: Sequence[Call], within_s: float, enough: Enough | None) -> list[Opinion]:
        return [said[c.name] for c in calls]

    async def vote(opinions: Sequence[Opinion], against: float) -> Decision:
        return decide(opinions, rules, likeness, lineages, against)

    asked = [Asked(s, said[s.name].weight, Prompt([], 0, 0)) for s in config.specialists if s.name in said]
    asking = config.asking.model_copy(update={"widen": ()})
    outcome = asyncio.run(Deliberation(asking, rules, config.deadline_s, recall, vote, asked, lineages=lineages).run())
    made = outcome.decision
    return verdict.model_copy(update={
        "status": made.status, "answer": made.answer, "agreement": made.agreement, "groups": made.groups, "reason": made.reason,
        "opinions": outcome.opinions, "rounds": outcome.rounds, "unasked": outcome.unasked, "calls": outcome.calls,
    })  # fmt: skip
