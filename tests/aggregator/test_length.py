"""Long answers: what enough members say is the answer, and what they do not is shown as dropped."""

from __future__ import annotations

import pytest

from council.aggregator.length import decide_at_length
from council.config import AggregatorConfig
from council.types import NOT_KNOWN, Opinion

RULES = AggregatorConfig(min_agreement=0.6, quorum=2)
BUILT, KEPT, DOG = "The light was built in 1911.", "Ada Trell keeps it.", "The keeper has a dog."


def says(*texts: str | None) -> list[Opinion]:
    return [Opinion(specialist=f"m{i}", answer=t, text=t or "", weight=1.0, error=None if t else "failed") for i, t in enumerate(texts)]


def test_enough_members_make_an_answer() -> None:
    decision, claims = decide_at_length(says(f"{BUILT} {KEPT}", f"{BUILT} {DOG}", f"{KEPT} {BUILT}"), {"p1": BUILT}, RULES)
    assert (decision.status, decision.answer) == ("answered", f"{BUILT} {KEPT}")
    assert decision.agreement == pytest.approx((1 + 2 / 3) / 2)
    assert {c.text: c.kept for c in claims} == {BUILT: True, KEPT: True, DOG: False}
    assert [c.passages for c in claims if c.text == BUILT] == [("p1",)]


def test_those_who_do_not_know_count_against_the_claims() -> None:
    decision, claims = decide_at_length(says(BUILT, BUILT, NOT_KNOWN), {}, RULES)
    assert decision.status == "answered" and [round(c.support, 3) for c in claims] == [0.667]
    decision, claims = decide_at_length(says(BUILT, NOT_KNOWN, NOT_KNOWN), {}, RULES)
    assert decision.status == "abstained" and [round(c.support, 3) for c in claims] == [0.333] and not claims[0].kept
    decision, claims = decide_at_length(says(NOT_KNOWN, NOT_KNOWN), {}, RULES)
    assert (decision.status, decision.reason, claims) == ("abstained", "The members say that the passages do not tell.", ())


def test_those_who_claim_nothing_count_against_the_claims() -> None:
    decision, _ = decide_at_length(says(BUILT, "Sure!", "When was it built?"), {}, RULES)
    assert decision.status == "abstained"


def test_a_lineage_is_one_witness() -> None:
    lines = {"m0": "l", "m1": "l", "m2": "l"}
    decision, claims = decide_at_length(says(DOG, DOG, DOG, KEPT, KEPT), {}, RULES, None, lines)
    assert decision.answer == KEPT and {c.text: round(c.support, 3) for c in claims} == {KEPT: 0.667, DOG: 0.333}


def test_members_that_failed_have_no_weight() -> None:
    decision, _ = decide_at_length(says(BUILT, BUILT, None, None), {}, RULES)
    assert decision.status == "answered" and decision.agreement == pytest.approx(1.0)
    failed, claims = decide_at_length(says(BUILT, None, None), {}, RULES)
    assert failed.status == "failed" and "1 of the 2 votes needed" in failed.reason and claims == ()


def test_nothing_in_common_abstains_and_says_how_near_it_came() -> None:
    decision, claims = decide_at_length(says(BUILT, KEPT, DOG), {}, RULES)
    assert decision.status == "abstained" and "0.33" in decision.reason and not any(c.kept for c in claims)
