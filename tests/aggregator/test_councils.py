"""5,000 councils that are made up: what must hold of every vote."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from council.aggregator import decide
from council.config import AggregatorConfig
from council.types import Opinion

ANSWERS = ("Bohr", "Niels Bohr", "Curie", "12 km", "12,000 m", "13 km", "yes", "no", "not known", "1932", "4 May 1932", "the old hall")


@st.composite
def councils(draw: st.DrawFn) -> list[Opinion]:
    """One to seven members of different names, some of which failed."""
    opinions = []
    for n in range(draw(st.integers(1, 7))):
        failed = draw(st.integers(0, 9)) == 0
        answer = None if failed else draw(st.sampled_from(ANSWERS))
        weight = draw(st.sampled_from([0.25, 0.5, 1.0, 2.0]))
        opinions.append(Opinion(specialist=f"m{n}", answer=answer, weight=weight, error="late" if failed else None))
    return opinions


@pytest.mark.slow
@given(councils(), st.randoms(use_true_random=False), st.sampled_from([0.5, 0.6, 0.8]), st.integers(0, 6))
@settings(max_examples=5000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_invariants_of_every_vote(opinions: list[Opinion], random: object, min_agreement: float, copied: int) -> None:
    config = AggregatorConfig(min_agreement=min_agreement)
    told = decide(opinions, config)

    shuffled = list(opinions)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = decide(shuffled, config)
    assert (again.status, again.answer) == (told.status, told.answer), "the order of members does not matter"
    assert again.agreement == pytest.approx(told.agreement)

    silent = decide([*opinions, Opinion(specialist="silent", weight=2.0, error="died")], config)
    assert (silent.answer, silent.agreement, silent.groups) == (told.answer, told.agreement, told.groups), "a failed member changes nothing"

    if told.agreement is not None:
        assert sum(g.support for g in told.groups) == pytest.approx(1.0)
        everyone = sorted(m for g in told.groups for m in g.members)
        assert everyone == sorted(o.specialist for o in opinions if o.error is None), "each vote is in one group, and dissent is shown"

    original = opinions[copied % len(opinions)]
    copies = [original.model_copy(update={"specialist": f"copy{i}"}) for i in range(2)]
    lineages = {name: "one" for name in (original.specialist, "copy0", "copy1")}
    with_copies = decide([*opinions, *copies], config, lineages=lineages)
    assert with_copies.answer == told.answer and with_copies.status == told.status, "copies of a declared lineage decide nothing"
    assert (with_copies.agreement or 0.0) == pytest.approx(told.agreement or 0.0), "nor do they raise the agreement"


@given(st.integers(1, 7), st.sampled_from([a for a in ANSWERS if a != "not known"]), st.floats(0.1, 5.0))
@settings(max_examples=200, deadline=None)
def test_a_unanimous_council_answers(members: int, answer: str, weight: float) -> None:
    told = decide([Opinion(specialist=f"m{i}", answer=answer, weight=weight) for i in range(members)], AggregatorConfig(min_agreement=1.0))
    assert (told.status, told.answer) == ("answered", answer) and told.agreement == pytest.approx(1.0)
