"""Rules that weigh votes: what they win on members that are known, and what holds for any ballots."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from council.aggregator.ballots import Ballots
from council.aggregator.logit import fit_joint_logit
from council.aggregator.weighting import (
    Elected,
    Weighting,
    elect,
    fit_dawid_skene,
    fit_log_odds,
    plain_vote,
    probabilities,
    shrunken_accuracy,
)
from council.errors import CalibrationError
from tests.aggregator.ballots import synthetic


def share_right(rule: Weighting, ballots: Ballots) -> float:
    return float(elect(ballots, rule.utilities(ballots)).right.mean())


def test_weights_help_where_members_differ() -> None:
    training, test = synthetic(2000, [0.9, 0.4, 0.4, 0.4], 1), synthetic(2000, [0.9, 0.4, 0.4, 0.4], 2)
    plain = share_right(plain_vote(test.members), test)
    for rule in (fit_log_odds(training), fit_dawid_skene(training), fit_joint_logit(training)):
        assert share_right(rule, test) > plain + 0.05


def test_dawid_skene_needs_no_labels() -> None:
    ballots = synthetic(2000, [0.85, 0.6, 0.6, 0.5], 3)
    unlabelled = Ballots(ballots.members, ballots.choices, ballots.options, np.full(2000, -1), ballots.domains)
    assert np.allclose(fit_dawid_skene(ballots).weights, fit_dawid_skene(unlabelled).weights)
    weights = fit_dawid_skene(unlabelled).weights[:, 0]
    assert weights.argmax() == 0 and weights.argmin() == 3


def test_the_joint_logit_discounts_members_that_copy() -> None:
    """A weak member with three copies outvotes two good ones, under weights that count each in full."""
    training, test = (synthetic(3000, [0.5, 0.75, 0.75], seed, copies=3) for seed in (1, 2))
    joint, odds = fit_joint_logit(training), fit_log_odds(training)
    assert share_right(joint, test) > share_right(odds, test) + 0.03
    together = joint.coefficients[[0, 3, 4, 5]].sum()
    assert together < 1.5 * joint.coefficients[1]


def test_probabilities_of_the_joint_logit_are_calibrated_on_what_it_assumes() -> None:
    training, test = synthetic(4000, [0.8, 0.6, 0.5], 1), synthetic(4000, [0.8, 0.6, 0.5], 2)
    joint = fit_joint_logit(training)
    elected = elect(test, joint.utilities(test), joint.probabilities(test))
    for low, high in ((0.3, 0.6), (0.6, 0.8), (0.8, 1.0)):
        there = (elected.support >= low) & (elected.support < high)
        if there.sum() > 200:
            assert elected.right[there].mean() == pytest.approx(elected.support[there].mean(), abs=0.06)


def test_a_domain_and_a_member_that_are_unknown() -> None:
    training = synthetic(600, [0.9, 0.5], domains=2)
    elsewhere = synthetic(50, [0.9, 0.5], 5)
    elsewhere = Ballots(elsewhere.members, elsewhere.choices, elsewhere.options, elsewhere.gold, ("never met",) * 50)
    for rule in (fit_log_odds(training), fit_joint_logit(training)):
        assert share_right(rule, elsewhere) > 0.6
        with pytest.raises(CalibrationError, match="fitted for the members m0, m1"):
            rule.utilities(elsewhere.of(["m1", "m0"]))


def test_questions_of_different_numbers_of_options() -> None:
    few, many = synthetic(300, [0.8, 0.5], 1, options=2), synthetic(1, [0.8, 0.5], 2, options=9)
    mixed = Ballots(
        few.members, np.concatenate([few.choices, many.choices]), np.concatenate([few.options, many.options]),
        np.concatenate([few.gold, many.gold]), few.domains + many.domains,
    )  # fmt: skip
    assert share_right(fit_joint_logit(mixed), mixed) > 0.7


def test_accuracy_in_a_domain_is_drawn_towards_the_whole() -> None:
    ballots = synthetic(1000, [0.8], domains=200)  # five questions a domain
    domains, accuracy = shrunken_accuracy(ballots)
    assert accuracy.shape == (1, len(domains) + 1)
    assert abs(accuracy[0] - 0.8).max() < 0.1


@st.composite
def councils(draw: st.DrawFn) -> Ballots:
    n, m, k = draw(st.integers(1, 6)), draw(st.integers(1, 6)), draw(st.integers(2, 5))
    numbers = st.lists(st.lists(st.integers(-1, k - 1), min_size=m, max_size=m), min_size=n, max_size=n)
    gold = draw(st.lists(st.integers(-1, k - 1), min_size=n, max_size=n))
    return Ballots(tuple(f"m{i}" for i in range(m)), np.array(draw(numbers)), np.full(n, k), np.array(gold), ("d",) * n)


def outcome(ballots: Ballots) -> Elected:
    return elect(ballots, plain_vote(ballots.members).utilities(ballots))


@given(councils(), st.randoms())
@settings(max_examples=200, deadline=None)
def test_the_order_of_members_does_not_matter(ballots: Ballots, random: object) -> None:
    members = list(ballots.members)
    random.shuffle(members)  # type: ignore[attr-defined]
    one, other = outcome(ballots), outcome(ballots.of(members))
    assert (one.choice == other.choice).all() and np.allclose(one.support, other.support)


@given(councils())
@settings(max_examples=200, deadline=None)
def test_a_silent_member_changes_nothing_and_nobody_wins_without_a_vote(ballots: Ballots) -> None:
    silent = Ballots(
        (*ballots.members, "silent"), np.column_stack([ballots.choices, np.full(len(ballots), -1)]),
        ballots.options, ballots.gold, ballots.domains,
    )  # fmt: skip
    one, other = outcome(ballots), outcome(silent)
    assert (one.choice == other.choice).all() and np.allclose(one.support, other.support)
    assert ((one.choice == -1) == ~ballots.cast.any(1)).all()
    chosen = [c for row, c in zip(ballots.choices, one.choice, strict=True) if c >= 0 for c in [c in row]]
    assert all(chosen)


@given(councils())
@settings(max_examples=100, deadline=None)
def test_probabilities_are_shares(ballots: Ballots) -> None:
    p = probabilities(plain_vote(ballots.members).utilities(ballots))
    assert np.allclose(p.sum(1), 1.0) and (p >= 0).all()
