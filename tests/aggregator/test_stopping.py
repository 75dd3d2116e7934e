"""Asking fewer: nothing is lost where the outcome is fixed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from council.aggregator.stopping import Escalation, fewest_to_settle, is_settled, lead_over_rest, majority_is_likely, unasked_as_silent
from council.aggregator.weighting import elect, fit_log_odds, tally
from council.errors import CalibrationError
from tests.aggregator.ballots import synthetic


@given(st.integers(0, 10_000), st.integers(1, 7), st.floats(0, 0.5))
@settings(max_examples=150, deadline=None)
def test_full_caution_never_changes_the_outcome(seed: int, members: int, missing: float) -> None:
    random = np.random.default_rng(seed)
    ballots = synthetic(40, list(random.uniform(0.2, 0.9, members)), seed, missing=missing)
    weights = np.tile(random.uniform(0.0, 3.0, members), (40, 1))
    asked = Escalation(1.0).asked(ballots, weights)
    fewer = unasked_as_silent(ballots, asked)
    one, other = elect(ballots, tally(ballots, weights)), elect(fewer, tally(fewer, weights))
    led = lead_over_rest(tally(ballots, weights)) > 1e-6  # a tie may fall to either
    assert (one.choice[led] == other.choice[led]).all()
    assert asked.any(1).all()


def test_less_caution_asks_fewer_and_the_heaviest_first() -> None:
    training, test = synthetic(2000, [0.8, 0.7, 0.7, 0.6, 0.6], 1), synthetic(2000, [0.8, 0.7, 0.7, 0.6, 0.6], 2)
    weights = fit_log_odds(training).of_questions(test)
    calls = [Escalation(c).asked(test, weights).sum(1).mean() for c in (1.0, 0.6, 0.3, 0.0)]
    assert calls == sorted(calls, reverse=True) and calls[0] < 5 and calls[-1] >= 1
    assert Escalation(0.0).asked(test, weights)[:, 0].all()
    with pytest.raises(CalibrationError, match="caution"):
        Escalation(1.5)


def test_repeated_samples_stop_when_the_leader_is_likely_the_majority() -> None:
    assert not majority_is_likely(2, 0, 0.95) and majority_is_likely(4, 0, 0.95)
    assert majority_is_likely(9, 2, 0.95) and not majority_is_likely(6, 4, 0.95)


def test_a_lead_over_nothing_is_the_whole() -> None:
    assert lead_over_rest(np.array([[2.0, 0.5, -np.inf]])).tolist() == [1.5]
    assert lead_over_rest(np.array([[2.0]])).tolist() == [2.0]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(1, 20), st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_what_is_settled_stays_so_however_the_rest_vote(groups: list[int], tenths: int, left: list[int]) -> None:
    """Of votes for `groups`, by trying every way in which the voters of `left` can vote, for a group or for one of their own."""
    cast, threshold = float(sum(groups)), tenths / 20
    supports = sorted((g / cast for g in groups), reverse=True)
    if not is_settled(supports, cast, float(sum(left)), 1.0, threshold):
        return
    outcomes = set()
    for choice in itertools.product(range(len(groups) + 1), repeat=len(left)):
        totals = dict(enumerate(map(float, groups)))
        for n, (voter, weight) in enumerate(zip(choice, left, strict=True)):
            key = voter if voter < len(groups) else 100 + n
            totals[key] = totals.get(key, 0.0) + weight
        best = max(totals.values())
        winners = [k for k, v in totals.items() if v == best]
        reached = best / sum(totals.values()) >= threshold - 1e-9
        outcomes.add(winners[0] if reached and len(winners) == 1 else None)
    assert len(outcomes) == 1


def test_the_fewest_to_settle() -> None:
    assert fewest_to_settle([1.0] * 5, [], 0.0, 1.0, 0.6) == 3
    assert fewest_to_settle([1.0] * 5, [], 0.0, 1.0, 0.8) == 3  # three that differ leave no 0.8 to reach
    assert fewest_to_settle([1.0] * 2, [2 / 3, 1 / 3], 3.0, 1.0, 0.6) == 1
    assert fewest_to_settle([3.0, 1.0, 1.0], [], 0.0, 1.0, 0.6) == 1
    assert fewest_to_settle([1.0] * 5, [], 0.0, 0.0, 0.6) == 1
