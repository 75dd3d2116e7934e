"""Whom a council asks, and when it has asked enough: rounds of asking under a policy and a budget."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Protocol

from council.aggregator import Decision, fewest_to_settle, is_settled, majority_is_likely
from council.config import AggregatorConfig, AskingConfig
from council.panel import NOT_NEEDED, Asked, Call, Enough
from council.types import Opinion, Round, RoundKind

Ask = Callable[[Sequence[Call], float, Enough | None], Awaitable[list[Opinion]]]
Witness = tuple[Asked, ...]
"""A member, or all those of one lineage: they count as one, and are asked together."""


class Decide(Protocol):
    """The vote on opinions, with votes of the weight `against` held against the leader."""

    def __call__(self, opinions: Sequence[Opinion], against: float) -> Awaitable[Decision]: ...


@dataclass(frozen=True)
class Outcome:
    """What came of a deliberation; `calls` that were made, `limit` the budget that ended it."""

    decision: Decision
    opinions: tuple[Opinion, ...]
    rounds: tuple[Round, ...]
    unasked: tuple[str, ...]
    calls: int
    limit: str | None


@dataclass
class Deliberation:
    """One question's rounds. `routed` and `spare`: the members that routing chose, and those that it left out.

    `reorder` gives a member's prompt with the passages in another order, None where there is none.
    """

    config: AskingConfig
    rules: AggregatorConfig
    deadline_s: float
    ask: Ask
    decide: Decide
    routed: Sequence[Asked]
    spare: Sequence[Asked] = ()
    lineages: Mapping[str, str] = field(default_factory=dict)
    reorder: Callable[[Asked, int], Asked | None] = lambda *_: None
    silence: Callable[[Sequence[Opinion]], float] = lambda _: 0.0
    """The weight of members who failed that is held against the leader for good."""
    begins: Callable[[int, RoundKind, tuple[str, ...]], None] = lambda *_: None
    """Told of each round before its calls are made."""
    _started: float = field(default_factory=time.monotonic, init=False)
    _waiting: list[Witness] = field(default_factory=list, init=False)
    _cancelled: list[Witness] = field(default_factory=list, init=False)
    _opinions: list[Opinion] = field(default_factory=list, init=False)
    _rounds: list[Round] = field(default_factory=list, init=False)
    _calls: int = field(default=0, init=False)
    _tokens: int = field(default=0, init=False)
    _limit: str | None = field(default=None, init=False)
    _decision: Decision = field(init=False)

    async def run(self) -> Outcome:
        """Ask, and widen on disagreement; then it stands as it stands. A deliberation is run once."""
        self._waiting = self._ordered(self.routed)
        self._decision = await self.decide([], 0.0)
        await self._ask_members()
        for step in self.config.widen if self._wants_more() else ():
            await self._ask_members(at_once=True)  # whom the policy had spared, for now each vote may matter
            if self._wants_more():
                await {"members": self._ask_spare, "samples": self._ask_again, "orders": self._ask_in_other_orders}[step]()
            if not self._wants_more():
                break
        unasked = tuple(a.specialist.name for w in self._waiting for a in w)
        return Outcome(self._decision, self._in_order(), tuple(self._rounds), unasked, self._calls, self._limit)

    def _ordered(self, members: Sequence[Asked]) -> list[Witness]:
        """Most to expect of, or cheapest, first; under `all` as they are."""
        found: dict[tuple[str, str], list[Asked]] = {}
        for member in members:
            lineage = self._lineage(member)
            found.setdefault(("lineage", lineage) if lineage else ("member", member.specialist.name), []).append(member)
        witnesses = [tuple(w) for w in found.values()]
        if self.config.policy == "escalate":
            return sorted(witnesses, key=lambda w: -_weight(w))
        if self.config.policy == "cheapest":
            return sorted(witnesses, key=lambda w: (sum(a.specialist.cost for a in w), -_weight(w)))
        return witnesses

    def _lineage(self, member: Asked) -> str:
        return self.lineages.get(member.specialist.name, "")

    @property
    def _caution(self) -> float:
        return 0.0 if self.config.policy == "cheapest" else self.config.caution

    def _wants_more(self) -> bool:
        return self._limit is None and (self._decision.status == "failed" or self._decision.disagrees)

    # --- members ---------------------------------------------------------------------------------------------------

    async def _ask_members(self, at_once: bool = False) -> None:
        """Those who wait, in waves that are no larger than could settle the question."""
        while self._waiting and self._limit is None:
            size = len(self._waiting) if at_once or self.config.policy == "all" else self._wave()
            wave, self._waiting = self._waiting[:size], self._waiting[size:]
            await self._round("members", [call for witness in wave for a in witness for call in self._first_calls(a)])
            if self._is_settled(self._decision, self._opinions, self._waiting):
                break

    def _first_calls(self, member: Asked) -> list[Call]:
        """A member's call, or its calls under as many orders of the passages as are asked for and there are."""
        turned = [self.reorder(member, shift) for shift in range(1, self.config.each_in_orders)]
        return [Call(a, len(self._rounds)) for a in (member, *turned) if a is not None]

    def _wave(self) -> int:
        supports = [g.support for g in self._decision.groups]
        weights = [_weight(w) for w in self._waiting]
        fewest = fewest_to_settle(weights, supports, self._decision.weight, self._caution, self.rules.min_agreement)
        members = list(accumulate(len(w) for w in self._waiting))
        wanted = self.rules.quorum - _voters(self._opinions)
        of_quorum = next((n for n, some in enumerate(members, 1) if some >= wanted), len(members))
        return max(fewest, of_quorum)

    def _is_settled(self, decision: Decision, opinions: Sequence[Opinion], left: Sequence[Witness]) -> bool:
        if not left or _voters(opinions) < self.rules.quorum or decision.weight <= 0:
            return not left  # votes without weight are outweighed by any that has some
        cast = decision.weight + self.silence(opinions)
        part = decision.weight / cast
        supports, firm = [g.support * part for g in decision.groups], decision.firm * part if decision.fluid else None
        return is_settled(supports, cast, sum(map(_weight, left)), self._caution, self.rules.min_agreement, firm)

    async def _ask_spare(self) -> None:
        known = {o.specialist for o in self._opinions}
        self._waiting = self._ordered([a for a in self.spare if a.specialist.name not in known])
        await self._ask_members()

    # --- further answers of the same members -----------------------------------------------------------------------

    async def _ask_again(self) -> None:
        """Another sample of each, until the leader is the majority as surely as is asked, or as often as is allowed."""
        for number in range(1, self.config.samples + 1):
            calls = [Call(a, len(self._rounds), self.config.temperature, number) for a in self._who_answered()]
            if not self._wants_more() or not calls:
                return
            await self._round("samples", calls)
            if self._majority_is_likely(self._decision):
                return

    def _majority_is_likely(self, decision: Decision) -> bool:
        leader, *others = decision.votes or (0,)
        return majority_is_likely(leader, sum(others), self.config.level)

    async def _ask_in_other_orders(self) -> None:
        for shift in range(1, self.config.orders + 1):
            turned = [self.reorder(a, shift) for a in self._who_answered()]
            calls = [Call(a, len(self._rounds)) for a in turned if a is not None]
            if not self._wants_more() or not calls:
                return
            await self._round("orders", calls)

    def _who_answered(self) -> list[Asked]:
        """Those whose first answer could be read: of the others, more would not help."""
        able = {o.specialist for o in self._opinions if o.error is None}
        return [a for a in (*self.routed, *self.spare) if a.specialist.name in able]

    # --- one round -------------------------------------------------------------------------------------------------

    async def _round(self, kind: RoundKind, calls: Sequence[Call]) -> None:
        """Ask, as far as the budget goes, and vote again. Those that it does not go to are put back to wait."""
        within, kept = self._affordable(calls)
        asked = tuple(dict.fromkeys(c.name for c in kept))
        if kind == "members":
            left = {c.name: c.asked for c in reversed(calls) if c.name not in asked}
            self._waiting = self._ordered([left[name] for name in reversed(left)]) + self._waiting
        if not kept:
            return
        self.begins(len(self._rounds), kind, asked)
        before, against = list(self._opinions), self._waiting

        async def enough(opinions: Sequence[Opinion], flying: Sequence[Call]) -> bool:
            some = [*before, *await self._by_consistency(opinions)]
            if kind != "members":
                decision = await self.decide(some, self.silence(some))
                return decision.status == "answered" and self._majority_is_likely(decision)
            if any(self._lineage(c.asked) for c in flying):
                return False  # half a lineage may have voted, whose votes the other half would change
            left = [*((c.asked,) for c in flying), *against]
            return self._is_settled(await self.decide(some, self._against(left, some)), some, left)

        found = await self.ask(kept, within, None if kind == "members" and self.config.policy == "all" else enough)
        self._opinions += await self._by_consistency(found)
        self._calls += sum(c.asked.prompt is not None for c in kept)
        self._tokens += sum(o.prompt_tokens + o.output_tokens for o in found)
        cancelled = {c.name: c.asked for c, o in zip(kept, found, strict=True) if o.error == NOT_NEEDED and kind == "members"}
        self._cancelled += [(asked,) for asked in cancelled.values()]
        self._decision = await self.decide(self._opinions, self._against([*self._waiting, *self._cancelled], self._opinions))
        leading = self._decision.groups[0].answer if self._decision.groups else None
        self._rounds.append(Round(kind=kind, asked=asked, answer=leading, agreement=self._decision.agreement))

    async def _by_consistency(self, opinions: Sequence[Opinion]) -> list[Opinion]:
        """The opinions of who was asked in several orders at once, with its weight times the share of its leading answer; what it
        says in later rounds has that weight too."""
        if self.config.each_in_orders == 1:
            return list(opinions)
        known = {o.specialist: o.weight for o in self._opinions}
        opinions = [o.model_copy(update={"weight": known.get(o.specialist, o.weight)}) for o in opinions]
        own = {name: [o for o in opinions if o.specialist == name] for name in {o.specialist for o in opinions} - known.keys()}
        steady = {name: (await self.decide(some, 0.0)).agreement or 1.0 for name, some in own.items() if len(some) > 1}
        return [o.model_copy(update={"weight": o.weight * steady.get(o.specialist, 1.0)}) for o in opinions]

    def _against(self, left: Sequence[Witness], opinions: Sequence[Opinion]) -> float:
        return self._caution * sum(map(_weight, left)) + self.silence(opinions)

    def _affordable(self, calls: Sequence[Call]) -> tuple[float, list[Call]]:
        """The seconds that a round may take, and the first of its calls that the budget allows; it notes which limit it met."""
        limits, spent_s = self.config, time.monotonic() - self._started
        within = min(self.deadline_s, limits.max_seconds - spent_s) if limits.max_seconds is not None else self.deadline_s
        if within <= 0:
            self._limit = f"{limits.max_seconds:g} seconds"
            return 0.0, []
        kept: list[Call] = []
        tokens, number = self._tokens, self._calls
        for call in calls:
            tokens, number = tokens + call.most_tokens, number + (call.asked.prompt is not None)
            if limits.max_calls is not None and number > limits.max_calls:
                self._limit = f"{limits.max_calls} calls"
                break
            if limits.max_tokens is not None and tokens > limits.max_tokens:
                self._limit = f"{limits.max_tokens} tokens"
                break
            kept.append(call)
        return within, kept

    def _in_order(self) -> tuple[Opinion, ...]:
        """By the members' order, then by round."""
        place = {a.specialist.name: i for i, a in enumerate((*self.routed, *self.spare))}
        return tuple(sorted(self._opinions, key=lambda o: (place[o.specialist], o.round)))


def _weight(witness: Witness) -> float:
    return max((a.weight for a in witness if a.prompt is not None), default=0.0)


def _voters(opinions: Sequence[Opinion]) -> int:
    return len({o.specialist for o in opinions if o.error is None and o.answer is not None})
