from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from council.aggregator import Decision, decide
from council.config import AggregatorConfig
from council.types import NOT_KNOWN, Group, Opinion
from tests.aggregator.test_comparison import ANSWERS
from tests.aggregator.test_grouping import TEXTS, Cosines

CONFIG = AggregatorConfig()
opinions_of = st.lists(
    st.builds(
        Opinion,
        specialist=st.sampled_from(["law", "physics", "history", "biology", "medicine"]),
        answer=st.none() | st.sampled_from(ANSWERS + TEXTS),
        weight=st.integers(0, 5).map(float),
        error=st.sampled_from([None, None, None, "late"]),
    ),
    max_size=10,
)
configs = st.builds(
    AggregatorConfig,
    min_agreement=st.sampled_from([0.0, 0.5, 0.6, 1.0]),
    quorum=st.integers(1, 3),
    similarity=st.just(0.8),
)


def says(specialist: str, answer: str | None, weight: float = 1.0, error: str | None = None) -> Opinion:
    return Opinion(specialist=specialist, answer=answer, weight=weight, error=error)


def test_a_majority_answers() -> None:
    decision = decide([says("a", "Chadwick"), says("b", "James Chadwick"), says("c", "Chadwick"), says("d", "Bohr")], CONFIG)
    assert decision == Decision(
        "answered",
        "Chadwick",
        "3 of 4 votes agree, with a support of 0.75 where 0.60 is asked.",
        0.75,
        (
            Group(answer="Chadwick", support=0.75, members=("a", "b", "c")),
            Group(answer="Bohr", support=0.25, members=("d",)),
        ),
        weight=4.0,
        votes=(3, 1),
        firm=0.5,
        fluid=True,
    )


def test_weights_decide() -> None:
    opinions = [says("a", "Bohr", 3.0), says("b", "Chadwick"), says("c", "Chadwick")]
    decision = decide(opinions, CONFIG)
    assert (decision.status, decision.answer) == ("answered", "Bohr")
    assert decision.agreement == pytest.approx(0.6)


def test_too_little_agreement_abstains_with_both_numbers() -> None:
    decision = decide([says("a", "Bohr"), says("b", "Bohr"), says("c", "Chadwick"), says("d", "Curie")], CONFIG)
    assert (decision.status, decision.answer, decision.agreement) == ("abstained", None, 0.5)
    assert "support of 0.50, and 0.60 is asked" in decision.reason


def test_close_numbers_are_told_apart_in_the_reason() -> None:
    decision = decide([says("a", "Bohr", 0.5996), says("b", "Curie", 0.4004)], CONFIG)
    assert "0.5996, and 0.60 is asked" in decision.reason


def test_a_tie_abstains() -> None:
    decision = decide([says("a", "Bohr"), says("b", "Curie")], AggregatorConfig(min_agreement=0.5))
    assert decision.status == "abstained"
    assert decision.reason == "The vote is a tie at a support of 0.50 between 'Bohr' and 'Curie'."


def test_a_tie_within_float_error_is_a_tie() -> None:
    opinions = [says("a", "Bohr", 0.1), says("b", "Bohr", 0.2), says("c", "Curie", 0.3)]
    assert "tie" in decide(opinions, AggregatorConfig(min_agreement=0.5)).reason


def test_agreement_just_reached_through_float_error_answers() -> None:
    opinions = [says(n, "Bohr", 0.1) for n in "abcdefg"] + [says(n, "Curie", 0.1) for n in "xyz"]
    assert decide(opinions, AggregatorConfig(min_agreement=0.7)).status == "answered"


def test_members_that_do_not_know_abstain() -> None:
    decision = decide([says("a", NOT_KNOWN), says("b", NOT_KNOWN), says("c", "Bohr")], CONFIG)
    assert (decision.status, decision.answer) == ("abstained", None)
    assert decision.reason == "The members say that the passages do not tell."
    assert decision.groups[0].answer == NOT_KNOWN


def test_below_the_quorum_names_who_failed_and_why() -> None:
    opinions = [says("a", "Bohr"), says("law", None, error="late:\n after 60 s."), says("physics", None)]
    decision = decide(opinions, AggregatorConfig(quorum=2))
    assert (decision.status, decision.answer, decision.agreement) == ("failed", None, 1.0)
    assert decision.reason == ("1 of the 2 votes needed was cast; these failed: law (late: after 60 s), physics (no readable answer).")


def test_an_answer_beside_an_error_is_no_vote() -> None:
    decision = decide([says("a", "Bohr", error="cut off")], CONFIG)
    assert (decision.status, decision.agreement, decision.groups) == ("failed", None, ())
    assert decision.reason == "0 of the 1 vote needed were cast; these failed: a (cut off)."


def test_nobody_asked_is_a_failure() -> None:
    assert decide([], CONFIG) == Decision("failed", None, "No member was asked.", None, ())


def test_a_member_sampled_twice_is_named_once() -> None:
    assert decide([says("a", "Bohr"), says("a", "Bohr")], CONFIG).groups[0].members == ("a",)


def test_similarity_joins_at_the_configured_cosine() -> None:
    opinions = [says("a", "pale cloth"), says("b", "bright cloth")]
    cosine = Cosines(3).of("pale cloth", "bright cloth")
    assert len(decide(opinions, AggregatorConfig(similarity=cosine), Cosines(3)).groups) == 1
    assert len(decide(opinions, AggregatorConfig(similarity=min(1.0, cosine + 1e-6)), Cosines(3)).groups) == 2


@given(opinions_of, configs, st.integers(0, 9), st.randoms())
def test_order_does_not_matter(opinions: list[Opinion], config: AggregatorConfig, seed: int, random: object) -> None:
    shuffled = sorted(opinions, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert decide(shuffled, config, Cosines(seed)) == decide(opinions, config, Cosines(seed))


@given(opinions_of, configs, st.integers(0, 9))
def test_a_failed_opinion_changes_nothing(opinions: list[Opinion], config: AggregatorConfig, seed: int) -> None:
    before = decide(opinions, config, Cosines(seed))
    after = decide([*opinions, says("chemistry", "Bohr", 9.0, error="down")], config, Cosines(seed))
    assert (after.status, after.answer, after.agreement, after.groups) == (
        before.status, before.answer, before.agreement, before.groups
    )  # fmt: skip


@given(st.sampled_from([a for a in ANSWERS + TEXTS if a != NOT_KNOWN]), st.lists(st.floats(0, 1e6), min_size=1, max_size=9))
def test_a_unanimous_council_answers(answer: str, weights: list[float]) -> None:
    opinions = [says(f"m{n}", answer, w) for n, w in enumerate(weights)]
    decision = decide(opinions, AggregatorConfig(min_agreement=1.0))
    assert (decision.status, decision.answer, decision.agreement) == ("answered", answer, 1.0)


@given(opinions_of, configs, st.integers(0, 9), st.floats(1e-6, 1e6))
def test_scaled_weights_change_nothing(opinions: list[Opinion], config: AggregatorConfig, seed: int, factor: float) -> None:
    scaled = [o.model_copy(update={"weight": o.weight * factor}) for o in opinions]
    before, after = decide(opinions, config, Cosines(seed)), decide(scaled, config, Cosines(seed))
    assert (after.status, after.answer, after.reason) == (before.status, before.answer, before.reason)
    assert [(g.answer, g.members) for g in after.groups] == [(g.answer, g.members) for g in before.groups]
    assert [g.support for g in after.groups] == pytest.approx([g.support for g in before.groups])


@given(opinions_of, configs, st.integers(0, 9))
def test_supports_sum_to_one_and_rank(opinions: list[Opinion], config: AggregatorConfig, seed: int) -> None:
    decision = decide(opinions, config, Cosines(seed))
    supports = [g.support for g in decision.groups]
    assert sum(supports) == pytest.approx(1.0 if supports else 0.0)
    assert all(a >= b - 1e-9 for a, b in itertools.pairwise(supports))
    assert decision.agreement == (supports[0] if supports else None)


def test_a_member_that_is_asked_again_weighs_no_more() -> None:
    again = [says("a", "Bohr"), says("a", "Bohr"), says("a", "Bohr"), says("b", "Chadwick"), says("c", "Chadwick")]
    decision = decide(again, CONFIG)
    assert (decision.answer, decision.votes) == ("Chadwick", (2, 3))
    assert decision.weight == pytest.approx(3.0)
    assert decide(again, CONFIG.model_copy(update={"quorum": 4})).status == "failed"  # five votes, of three members


def test_votes_to_come_are_held_against_the_leader() -> None:
    decision = decide([says("a", "Bohr"), says("b", "Bohr")], CONFIG, against=1.0)
    assert decision.agreement == pytest.approx(2 / 3)
    assert decide([says("a", "Bohr"), says("b", "Bohr")], CONFIG, against=2.0).disagrees
