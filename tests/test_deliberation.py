"""Rounds of asking with the real vote; members answer from tables, so that thousands of councils take seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from council.aggregator import Decision, decide
from council.config import AggregatorConfig, AskingConfig
from council.deliberation import Deliberation, Outcome
from council.panel import NOT_NEEDED, Asked, Call, Enough
from council.prompting import Prompt
from council.types import Opinion
from specialists.config import SpecialistConfig

NAMES = ("one", "two", "three", "four", "five", "six", "seven")
Answers = Sequence[str | None]
"""Of a member, its answer each time it is asked; the last for good. None: it fails."""


def member(name: str, weight: float, fits: bool = True, cost: float = 1.0) -> Asked:
    specialist = SpecialistConfig(name=name, engine="e", domain=name, description=name, max_tokens=10, cost=cost)
    return Asked(specialist, weight, Prompt([], 5, 0) if fits else None, None if fits else "too long")


class Table:
    """Members that answer from a table, and what they were asked."""

    def __init__(self, answers: Mapping[str, Answers], slow: Mapping[str, float] | None = None) -> None:
        self.answers, self.asked, self.slow = answers, list[Call](), slow or {}

    def _said(self, call: Call) -> Opinion:
        before = sum(c.name == call.name for c in self.asked[: self.asked.index(call)])
        answers = self.answers[call.name]
        answer = answers[min(before, len(answers) - 1)] if call.asked.prompt is not None else None
        return Opinion(
            specialist=call.name, answer=answer, text=answer or "", weight=call.asked.weight, prompt_tokens=5, output_tokens=1,
            round=call.round, error=None if answer else "failed",
        )  # fmt: skip

    async def ask(self, calls: Sequence[Call], within_s: float, enough: Enough | None) -> list[Opinion]:
        self.asked += calls
        said = [self._said(c) for c in calls]
        quick = [o for o in said if o.specialist not in self.slow]
        late = [c for c in calls if c.name in self.slow]
        if late and quick and enough is not None and await enough(quick, late):
            return [o if o in quick else o.model_copy(update={"answer": None, "error": NOT_NEEDED}) for o in said]
        await asyncio.sleep(max((self.slow.get(c.name, 0.0) for c in calls), default=0.0))
        return said


def deliberate(
    answers: Mapping[str, Answers], weights: Mapping[str, float] | None = None, asking: Mapping[str, Any] | None = None,
    rules: Mapping[str, Any] | None = None, spare: Sequence[str] = (), costs: Mapping[str, float] | None = None,
    lineages: Mapping[str, str] | None = None, orders: int = 0, slow: Mapping[str, float] | None = None,
    silence: bool = False,
) -> tuple[Outcome, Table]:  # fmt: skip
    table, rule = Table(answers, slow), AggregatorConfig.model_validate(rules or {})
    members = {n: member(n, (weights or {}).get(n, 1.0), cost=(costs or {}).get(n, 1.0)) for n in answers}

    async def vote(opinions: Sequence[Opinion], against: float) -> Decision:
        return decide(opinions, rule, None, lineages, against)

    made = Deliberation(
        AskingConfig.model_validate(asking or {}), rule, 5.0, table.ask, vote, [m for n, m in members.items() if n not in spare],
        [members[n] for n in spare], lineages or {}, lambda a, n: replace(a, prompt=Prompt([], 5, 0, (str(n),))) if n <= orders else None,
        lambda some: sum(o.weight for o in some if o.error) if silence else 0.0,
    )  # fmt: skip
    return asyncio.run(made.run()), table


def of(*answers: str | None) -> dict[str, Answers]:
    return {name: [answer] for name, answer in zip(NAMES, answers, strict=False)}


def test_all_asks_everybody_at_once() -> None:
    outcome, _ = deliberate(of("x", "x", "x", "x", "y"))
    assert (outcome.decision.status, outcome.decision.answer, outcome.calls, outcome.unasked) == ("answered", "x", 5, ())
    assert [(r.kind, len(r.asked), r.answer) for r in outcome.rounds] == [("members", 5, "x")]


def test_escalation_stops_when_the_rest_cannot_change_the_outcome() -> None:
    outcome, _ = deliberate(of("x", "x", "x", "x", "y"), asking={"policy": "escalate"}, rules={"min_agreement": 0.6})
    assert (outcome.decision.answer, outcome.calls, outcome.unasked) == ("x", 3, ("four", "five"))
    assert outcome.decision.agreement == pytest.approx(0.6)  # the least it could have become, not the 1.0 of the three
    assert [r.agreement for r in outcome.rounds] == [pytest.approx(0.6)]


def test_escalation_stops_when_agreement_is_out_of_reach() -> None:
    outcome, _ = deliberate(of("a", "b", "c", "d", "e"), asking={"policy": "escalate"}, rules={"min_agreement": 0.8})
    assert (outcome.decision.status, outcome.calls) == ("abstained", 3)


def test_the_heaviest_are_asked_first() -> None:
    weights = {"one": 0.1, "two": 0.2, "three": 0.7}
    outcome, _ = deliberate(of("x", "x", "y"), weights, {"policy": "escalate"}, {"min_agreement": 0.6})
    assert (outcome.decision.answer, outcome.calls, outcome.unasked) == ("y", 1, ("two", "one"))


def test_the_cheapest_are_asked_first_until_they_agree() -> None:
    costs = {"one": 9.0, "two": 1.0, "three": 2.0, "four": 3.0}
    outcome, table = deliberate(of("x", "y", "z", "y"), asking={"policy": "cheapest"}, rules={"quorum": 2}, costs=costs)
    assert [c.name for c in table.asked] == ["two", "three", "four"]
    assert (outcome.decision.answer, outcome.unasked) == ("y", ("one",))


@given(
    st.lists(st.tuples(st.sampled_from(["x", "y", "z", None]), st.integers(1, 9)), min_size=1, max_size=7),
    st.sampled_from([0.0, 0.34, 0.5, 0.6, 0.75, 0.8, 1.0]), st.integers(1, 3),
)  # fmt: skip
@settings(max_examples=600, deadline=None)
def test_exact_escalation_has_the_outcome_of_asking_all(members: list[tuple[str | None, int]], threshold: float, quorum: int) -> None:
    answers = of(*(a for a, _ in members))
    weights = {n: float(w) for n, (_, w) in zip(NAMES, members, strict=False)}
    rules = {"min_agreement": threshold, "quorum": min(quorum, len(members))}
    everybody, _ = deliberate(answers, weights, {}, rules)
    fewer, table = deliberate(answers, weights, {"policy": "escalate"}, rules)
    assert (fewer.decision.status, fewer.decision.answer) == (everybody.decision.status, everybody.decision.answer)
    assert fewer.calls <= everybody.calls and len({c.name for c in table.asked}) == fewer.calls
    if fewer.decision.status == "answered":
        assert fewer.decision.agreement is not None and everybody.decision.agreement is not None
        assert threshold - 1e-9 <= fewer.decision.agreement <= everybody.decision.agreement + 1e-9


@given(st.lists(st.tuples(st.sampled_from(["x", "y", "z"]), st.integers(1, 9)), min_size=1, max_size=7), st.sampled_from([0.34, 0.6, 0.8]))
@settings(max_examples=300, deadline=None)
def test_waves_ask_nobody_whom_asking_one_by_one_would_spare(members: list[tuple[str, int]], threshold: float) -> None:
    """One by one, with the heaviest first, until every way in which the others might vote ends alike."""
    answers = of(*(a for a, _ in members))
    weights = {n: float(w) for n, (_, w) in zip(NAMES, members, strict=False)}
    fewer, _ = deliberate(answers, weights, {"policy": "escalate"}, {"min_agreement": threshold})
    order = sorted(answers, key=lambda n: -weights[n])
    for asked in range(1, len(order)):
        cast = sum(weights[n] for n in order[:asked])
        left = sum(weights[n] for n in order[asked:])
        sums = sorted((sum(weights[n] for n in order[:asked] if answers[n] == [a]) for a in "xyz"), reverse=True)
        sure = sums[0] - sums[1] > left + 1e-9 and sums[0] >= threshold * (cast + left) - 1e-9
        if sure or sums[0] + left < threshold * (cast + left) - 1e-9:
            assert fewer.calls <= asked
            return


@given(st.permutations(range(5)), st.lists(st.sampled_from(["x", "y", None]), min_size=5, max_size=5))
@settings(max_examples=100, deadline=None)
def test_the_order_of_members_does_not_matter(order: list[int], answers: list[str | None]) -> None:
    told, weights = of(*answers), dict(zip(NAMES, (5.0, 4.0, 3.0, 2.0, 1.0), strict=False))
    first, _ = deliberate(told, weights, {"policy": "escalate"})
    second, _ = deliberate({NAMES[i]: told[NAMES[i]] for i in order}, weights, {"policy": "escalate"})
    assert (first.decision, set(first.unasked)) == (second.decision, set(second.unasked))


@given(
    st.lists(st.tuples(st.sampled_from(["x", "y", "z"]), st.integers(1, 9), st.sampled_from(["", "k", "l"])), min_size=1, max_size=6),
    st.sampled_from([0.34, 0.6, 0.8]),
)  # fmt: skip
@settings(max_examples=400, deadline=None)
def test_escalation_is_exact_with_lineages_too(members: list[tuple[str, int, str]], threshold: float) -> None:
    answers = of(*(a for a, _, _ in members))
    weights = {n: float(w) for n, (_, w, _) in zip(NAMES, members, strict=False)}
    lineages = {n: line for n, (_, _, line) in zip(NAMES, members, strict=False) if line}
    everybody, _ = deliberate(answers, weights, {}, {"min_agreement": threshold}, lineages=lineages)
    fewer, _ = deliberate(answers, weights, {"policy": "escalate"}, {"min_agreement": threshold}, lineages=lineages)
    assert (fewer.decision.status, fewer.decision.answer) == (everybody.decision.status, everybody.decision.answer)


def test_a_failed_member_is_replaced_by_the_next() -> None:
    outcome, _ = deliberate(of("x", None, "x", "x", "y"), asking={"policy": "escalate"}, rules={"min_agreement": 0.6, "quorum": 3})
    assert (outcome.decision.answer, outcome.calls) == ("x", 4)


def test_a_call_in_flight_is_cancelled_once_it_cannot_matter() -> None:
    """Three differ, so that the others are asked at the same time; after the fourth the fifth decides nothing."""
    asking = {"policy": "escalate", "widen": ("members",)}
    outcome, _ = deliberate(of("a", "b", "c", "a", "d"), asking=asking, rules={"min_agreement": 0.8}, slow={"five": 5.0})
    assert {o.specialist: o.error for o in outcome.opinions}["five"] == NOT_NEEDED
    assert (outcome.decision.status, outcome.calls) == ("abstained", 5)


def test_samples_in_flight_are_cancelled_once_the_others_agree() -> None:
    answers = {"one": ["x"], "two": ["x"], "three": ["y", "x", "x"], "four": ["x"]}
    asking = {"widen": ("samples",), "samples": 9, "level": 0.9}
    outcome, _ = deliberate(answers, asking=asking, rules={"min_agreement": 0.8}, slow={"four": 0.05})
    assert outcome.decision.answer == "x"
    assert [o.error for o in outcome.opinions if o.specialist == "four"] == [None, NOT_NEEDED]


def test_disagreement_widens_to_members_that_routing_left_out() -> None:
    answers = of("x", "y", "x", "x", "x")
    told, _ = deliberate(answers, spare=("three", "four", "five"), rules={"min_agreement": 0.8})
    assert (told.decision.status, told.calls) == ("abstained", 2)
    wide, _ = deliberate(answers, asking={"widen": ("members",)}, spare=("three", "four", "five"), rules={"min_agreement": 0.8})
    assert (wide.decision.answer, wide.calls) == ("x", 5)
    assert [(r.kind, r.asked) for r in wide.rounds] == [("members", ("one", "two")), ("members", ("three", "four", "five"))]


def test_disagreement_widens_to_further_samples() -> None:
    answers = {"one": ["x"], "two": ["x"], "three": ["y", "x", "x", "x"]}
    outcome, table = deliberate(answers, asking={"widen": ("samples",), "samples": 3, "temperature": 0.5}, rules={"min_agreement": 0.8})
    assert outcome.decision.answer == "x"
    assert [r.kind for r in outcome.rounds] == ["members", "samples"]
    assert {c.temperature for c in table.asked if c.round} == {0.5} and {c.seed for c in table.asked if c.round} == {1}
    assert outcome.decision.agreement == pytest.approx(5 / 6)  # the third's two votes share its weight


def test_sampling_ends_when_the_majority_is_clear() -> None:
    answers = {"one": ["x"], "two": ["x"], "three": ["x"], "four": ["y"]}
    asking = {"widen": ("samples",), "samples": 50, "level": 0.9}
    outcome, _ = deliberate(answers, asking=asking, rules={"min_agreement": 0.9})
    assert outcome.decision.status == "abstained"  # three against one, however often they are asked
    assert len(outcome.rounds) == 2  # six to two: P(majority) is 0.91


def test_disagreement_widens_to_other_orders_of_the_passages() -> None:
    answers = {"one": ["x"], "two": ["y", "x", "x"], "three": ["x"]}
    outcome, _ = deliberate(answers, asking={"widen": ("orders",), "orders": 5}, rules={"min_agreement": 0.85}, orders=3)
    assert [r.kind for r in outcome.rounds] == ["members", "orders", "orders"]
    assert (outcome.decision.answer, outcome.calls) == ("x", 9)


def test_who_answers_by_the_order_of_what_it_reads_counts_for_less() -> None:
    answers = {"one": ["x"], "two": ["x"], "three": ["y", "x", "y"]}
    outcome, table = deliberate(answers, asking={"each_in_orders": 3}, rules={"min_agreement": 0.5}, orders=5)
    assert outcome.calls == len(table.asked) == 9 and [r.kind for r in outcome.rounds] == ["members"]
    assert outcome.rounds[0].asked == ("one", "two", "three")
    assert {o.specialist: o.weight for o in outcome.opinions} == pytest.approx({"one": 1.0, "two": 1.0, "three": 2 / 3})
    # of the third's weight of 2/3 a third is for x
    assert outcome.decision.agreement == pytest.approx((2 + 2 / 9) / (2 + 2 / 3))
    once, _ = deliberate(answers, asking={"each_in_orders": 3}, orders=0)
    assert once.calls == 3  # there are no other orders


def test_a_budget_that_ends_within_the_orders_of_a_member_puts_nobody_back_twice() -> None:
    outcome, table = deliberate(of("x", "y", "x"), asking={"each_in_orders": 2, "max_calls": 3}, orders=1)
    assert [c.name for c in table.asked] == ["one", "one", "two"]
    assert outcome.unasked == ("three",)


def test_what_nobody_can_answer_is_not_asked_again() -> None:
    outcome, _ = deliberate(of("not known", "not known", "x"), asking={"widen": ("samples", "orders")}, rules={"min_agreement": 0.6})
    assert (outcome.decision.status, outcome.calls) == ("abstained", 3)


@pytest.mark.parametrize(
    ("limits", "calls", "told"),
    [({"max_calls": 4}, 4, "4 calls"), ({"max_tokens": 50}, 6, "50 tokens"), ({"max_calls": 7}, 7, "7 calls")],
)
def test_a_budget_is_never_exceeded(limits: dict[str, Any], calls: int, told: str) -> None:
    asking = {"policy": "escalate", "widen": ("samples", "orders"), "samples": 5, **limits}
    outcome, _ = deliberate(of("a", "b", "c", "d", "e"), asking=asking, rules={"min_agreement": 0.5}, orders=5)
    assert (outcome.decision.status, outcome.calls, outcome.limit) == ("abstained", calls, told)
    assert len(outcome.opinions) == calls and sum(o.prompt_tokens + o.output_tokens for o in outcome.opinions) <= 50


def test_a_budget_of_seconds_ends_the_asking() -> None:
    asking = {"widen": ("samples",), "samples": 100, "max_seconds": 0.2}
    outcome, _ = deliberate(of("a", "b"), asking=asking, slow={"one": 0.1})
    assert outcome.limit == "0.2 seconds" and 2 <= outcome.calls <= 8


def test_members_whose_prompt_does_not_fit_are_no_calls_and_no_weight() -> None:
    table, rule = Table(of("x", "x", "y")), AggregatorConfig(min_agreement=0.9)
    members = [member("one", 1.0), member("two", 1.0), member("three", 9.0, fits=False)]

    async def vote(opinions: Sequence[Opinion], against: float) -> Decision:
        return decide(opinions, rule, None, None, against)

    outcome = asyncio.run(Deliberation(AskingConfig(policy="escalate"), rule, 5.0, table.ask, vote, members).run())
    assert (outcome.decision.answer, outcome.calls) == ("x", 2)


NAMES_OF_PEOPLE = ("Curie", "Marie Curie", "Pierre Curie", "M. Curie", "Irene Curie", "Bohr")


@given(
    st.lists(st.tuples(st.sampled_from(NAMES_OF_PEOPLE), st.integers(1, 5)), min_size=1, max_size=6),
    st.sampled_from([0.34, 0.5, 0.6, 0.8]),
)  # fmt: skip
@settings(max_examples=500, deadline=None)
def test_escalation_is_exact_where_a_later_answer_parts_earlier_ones(members: list[tuple[str, int]], threshold: float) -> None:
    """ "Curie" is Marie Curie, until somebody says Pierre Curie."""
    answers = of(*(a for a, _ in members))
    weights = {n: float(w) for n, (_, w) in zip(NAMES, members, strict=False)}
    everybody, _ = deliberate(answers, weights, {}, {"min_agreement": threshold})
    fewer, _ = deliberate(answers, weights, {"policy": "escalate"}, {"min_agreement": threshold})
    assert fewer.decision.status == everybody.decision.status
    if fewer.decision.answer != everybody.decision.answer:  # one meaning, in another's words
        assert {fewer.decision.answer, everybody.decision.answer} <= set(NAMES_OF_PEOPLE) - {"Bohr"}


def test_a_lineage_may_have_the_name_of_a_member() -> None:
    weights, lineages = {"one": 0.4, "two": 0.3, "three": 0.3}, {"two": "three"}
    outcome, _ = deliberate(of("x", "y", "y"), weights, {"policy": "escalate"}, {"min_agreement": 0.4}, lineages=lineages)
    assert outcome.decision.answer == "y"


def test_votes_without_weight_settle_nothing() -> None:
    weights = {"one": 1.0, "two": 0.0, "three": 0.0, "four": 0.0}
    outcome, _ = deliberate(of(None, "x", "y", "y"), weights, {"policy": "escalate"}, {"min_agreement": 0.6})
    assert (outcome.decision.answer, outcome.calls) == ("y", 4)


def test_what_was_cancelled_is_held_against_the_leader() -> None:
    """A lineage of two, asked together, settles it while the third is still in flight for the quorum."""
    weights = {"one": 6.0, "two": 6.0, "three": 3.0}
    outcome, _ = deliberate(
        of("x", "x", "y"), weights, {"policy": "escalate", "widen": ("members",)}, {"min_agreement": 0.6, "quorum": 2},
        lineages={"one": "l", "two": "l"}, slow={"three": 5.0},
    )  # fmt: skip
    assert outcome.decision.answer == "x" and outcome.decision.agreement == pytest.approx(2 / 3)
    assert outcome.calls == 2  # the quorum is of members, not of lineages


def test_silent_members_can_be_held_against_the_leader() -> None:
    loud, _ = deliberate(of("x", None, None, None, None), asking={}, rules={"min_agreement": 0.6})
    assert loud.decision.agreement == pytest.approx(1.0)
    for policy in ("all", "escalate"):
        held, _ = deliberate(of("x", None, None, None, None), asking={"policy": policy}, rules={"min_agreement": 0.6}, silence=True)
        assert held.decision.status == "abstained" and held.decision.agreement == pytest.approx(0.2)
    enough, _ = deliberate(of("x", "x", "x", None, "y"), asking={"policy": "escalate"}, rules={"min_agreement": 0.6}, silence=True)
    assert enough.decision.answer == "x" and enough.decision.agreement == pytest.approx(0.6)
