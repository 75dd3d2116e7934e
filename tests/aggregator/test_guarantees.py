"""Thresholds whose risk holds, and targets that are refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from council.aggregator.ballots import Bools, Floats
from council.aggregator.guarantees import control_selective, control_wrong, holds, least_questions, upper_bound
from council.errors import CalibrationError


def traffic(n: int, seed: int, hopeless: bool = False) -> tuple[Floats, Bools]:
    """Scores whose chance of being right is the score itself, a tenth of them unanswerable."""
    random = np.random.default_rng(seed)
    scores = random.uniform(0.3, 1.0, n).round(2)
    right = random.random(n) < (0.3 if hopeless else scores)
    nobody = random.random(n) < 0.1
    return np.where(nobody, -np.inf, scores), right & ~nobody


def risks(scores: Floats, right: Bools, threshold: float) -> tuple[float, float]:
    """(answered and wrong, wrong of those answered)."""
    answered = scores >= threshold
    wrong = answered & ~right
    return float(wrong.mean()), float(wrong.sum() / max(1, answered.sum()))


@pytest.mark.parametrize("alpha", [0.1, 0.2, 0.3])
def test_both_kinds_hold_over_many_calibration_sets(alpha: float) -> None:
    population = traffic(60_000, 0)
    realised: dict[str, list[float]] = {"wrong": [], "selective": []}
    for seed in range(1, 151):
        scores, right = traffic(600, seed)
        realised["wrong"].append(risks(*population, control_wrong(scores, right, alpha).threshold)[0])
        try:
            realised["selective"].append(risks(*population, control_selective(scores, right, alpha).threshold)[1])
        except CalibrationError:
            realised["selective"].append(0.0)  # refused: nothing is answered under this promise
    assert np.mean(realised["wrong"]) <= alpha + 0.005
    assert np.mean(np.array(realised["selective"]) > alpha) <= 0.1 + 0.07


@given(st.integers(0, 10_000), st.sampled_from([0.05, 0.2, 0.5]), st.integers(5, 300))
@settings(max_examples=150, deadline=None)
def test_what_is_given_is_kept_on_the_calibration_set(seed: int, alpha: float, n: int) -> None:
    scores, right = traffic(n, seed)
    for control in (control_wrong, control_selective):
        try:
            given_ = control(scores, right, alpha)
        except CalibrationError as exc:
            assert "can't be promised" in str(exc)
            continue
        wrong, selective = risks(scores, right, given_.threshold)
        assert given_.risk == pytest.approx(wrong if given_.kind == "wrong" else selective)
        assert given_.risk <= alpha and given_.coverage == pytest.approx(float((scores >= given_.threshold).mean()))


def test_an_infeasible_target_is_refused_with_the_reason() -> None:
    scores, right = traffic(400, 1, hopeless=True)
    with pytest.raises(CalibrationError, match=r"alpha 0\.1 can't be promised with confidence 0\.9: even of the"):
        control_selective(scores, right, 0.1)
    with pytest.raises(CalibrationError, match=r"with 5 labelled questions: it takes 9 or more"):
        control_wrong(scores[:5], right[:5], 0.1)
    with pytest.raises(CalibrationError, match="it takes 22 answered questions"):
        control_selective(scores[:20], right[:20], 0.1)
    with pytest.raises(CalibrationError, match="abstain on everything"):
        control_wrong(np.ones(100), np.zeros(100, bool), 0.2)
    with pytest.raises(CalibrationError, match="no labelled questions"):
        control_wrong(np.empty(0), np.empty(0, bool), 0.2)
    with pytest.raises(CalibrationError, match="between 0 and 1"):
        control_wrong(scores, right, 1.5)


@given(st.integers(0, 40), st.integers(1, 400), st.sampled_from([0.1, 0.3]))
@settings(max_examples=100, deadline=None)
def test_what_the_next_answers_see_is_harder_to_promise_than_their_risk(wrong: int, n: int, alpha: float) -> None:
    wrong = min(wrong, n)
    nearly_all, many, few = (holds(wrong, n, alpha, 0.1, fresh) for fresh in (1_000_000, 2000, 50))
    assert nearly_all == holds(wrong, n, alpha, 0.1) or abs(upper_bound(wrong, n, 0.1) - alpha) < 0.01
    assert nearly_all or not many or abs(upper_bound(wrong, n, 0.1) - alpha) < 0.01
    assert many or not few or n < 60


def test_promises_about_the_next_answers_hold() -> None:
    exceeded = []
    for seed in range(150):
        scores, right = traffic(1000, seed)
        try:
            made = control_selective(scores[:500], right[:500], 0.25, horizon=500)
        except CalibrationError:
            exceeded.append(False)
            continue
        exceeded.append(risks(scores[500:], right[500:], made.threshold)[1] > 0.25)
    assert np.mean(exceeded) <= 0.1 + 0.07


def test_the_exact_bound() -> None:
    assert upper_bound(0, 22, 0.1) == pytest.approx(1 - 0.1 ** (1 / 22))
    assert upper_bound(5, 5, 0.1) == 1.0
    assert least_questions(0.1, 0.1) == 22 and upper_bound(0, 21, 0.1) > 0.1
