"""Asking fewer: nothing is lost where the outcome is fixed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from council.aggregator.stopping import Escalation, lead_over_rest, majority_is_likely, unasked_as_silent
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
