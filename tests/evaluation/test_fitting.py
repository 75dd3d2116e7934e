from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from council.aggregator.ballots import Bools, Floats
from council.aggregator.calibration import Calibrator
from council.aggregator.weighting import fit_log_odds, plain_vote
from council.evaluation.fitting import (
    add_greedily,
    choose_caution,
    choose_rule,
    cross_fit,
    decide,
    escalate,
    fit_calibrator,
    halves,
)
from tests.aggregator.ballots import synthetic


def test_halves_share_every_domain_and_no_question() -> None:
    ballots = synthetic(1000, [0.5], domains=7)
    first, second = halves(ballots, seed=3)
    assert sorted([*first, *second]) == list(range(1000)) and abs(len(first) - 500) < 10
    of_first = [ballots.domains[i] for i in first]
    assert all(abs(of_first.count(d) - 71) < 3 for d in set(ballots.domains))
    assert (halves(ballots, seed=3)[0] == first).all() and not (halves(ballots, seed=4)[0][:100] == first[:100]).all()


def test_a_weighting_is_used_only_where_it_beats_the_plain_vote() -> None:
    alike = synthetic(400, [0.6, 0.6, 0.6], 1)
    assert choose_rule(alike).rule.name == "plain_vote"
    unlike = synthetic(1500, [0.9, 0.4, 0.4], 1)
    choice = choose_rule(unlike)
    assert choice.rule.name != "plain_vote" and choice.gains[choice.rule.name][1] > 0


def test_cross_fitting_decides_every_question_by_others() -> None:
    ballots = synthetic(300, [0.8, 0.5], 2)
    made = cross_fit(ballots, fit_log_odds)
    assert (made.choice >= 0).all() and np.isfinite(made.support).all()


@pytest.mark.parametrize("n", [300, 3000])
def test_calibrated_confidence_is_what_comes_true(n: int) -> None:
    def traffic(seed: int) -> tuple[Floats, Bools]:
        random = np.random.default_rng(seed)
        scores = random.random(n)
        return scores, random.random(n) < 0.2 + 0.6 * scores  # support says more than it should

    calibrator = fit_calibrator(*traffic(1))
    assert calibrator.kind == ("isotonic" if n >= 1000 else "platt")
    scores, right = traffic(2)
    confidence = calibrator.apply(scores)
    for low, high in ((0.2, 0.4), (0.4, 0.6), (0.6, 0.9)):
        there = (confidence >= low) & (confidence < high)
        assert right[there].mean() == pytest.approx(confidence[there].mean(), abs=0.13)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
@settings(max_examples=100, deadline=None)
def test_more_support_never_means_less_confidence(pairs: list[tuple[float, bool]]) -> None:
    scores, right = np.array([s for s, _ in pairs]), np.array([r for _, r in pairs])
    confidence = fit_calibrator(scores, right).apply(np.sort(scores))
    assert ((confidence >= 0) & (confidence <= 1)).all() and (np.diff(confidence) >= -1e-12).all()


def test_no_answer_has_no_confidence_and_bad_calibrators_are_refused() -> None:
    calibrator = Calibrator(kind="platt", ys=(0.0, 1.0))
    assert np.isnan(calibrator.apply(np.array([-np.inf]))).all() and calibrator.apply(np.array([0.0])).tolist() == [0.5]
    for wrong in (
        {"kind": "isotonic", "xs": (0.0,), "ys": (0.2, 0.4)},
        {"kind": "isotonic", "xs": (0.0, 1.0), "ys": (0.4, 0.2)},
        {"kind": "platt", "ys": (0.0, -1.0)},
    ):
        with pytest.raises(ValidationError):
            Calibrator.model_validate(wrong)


def test_escalation_saves_calls_and_keeps_the_accuracy() -> None:
    training, test = synthetic(3000, [0.85, 0.8, 0.7, 0.7, 0.7], 1), synthetic(3000, [0.85, 0.8, 0.7, 0.7, 0.7], 2)
    odds = fit_log_odds(training)
    caution = choose_caution(training, fit_log_odds)
    made = escalate(test, odds, odds, caution)
    assert made.calls < 4 and made.outcome.right.mean() > decide(odds, test).right.mean() - 0.01
    assert escalate(test, odds, odds, 1.0).calls >= made.calls


def test_members_are_added_by_what_they_bring() -> None:
    ballots = synthetic(2000, [0.8, 0.75, 0.75], 1, copies=1)
    order = add_greedily(ballots)
    assert order[0] in ("m0", "m3") and order[-1] in ("m0", "m3")  # the copy brings nothing
    assert sorted(order) == list(ballots.members)
    assert plain_vote(ballots.members).name == "plain_vote"
