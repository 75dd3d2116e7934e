"""Drift is told where there is some, and hardly ever where there is none."""

from __future__ import annotations

import numpy as np

from council.aggregator.drift import LEAST, Drift, Expected

SEEN = Expected(questions=400, answer_rate=0.6, agreement=0.75, deviation=0.2)


def stream(random: np.random.Generator, n: int, rate: float, agreement: float) -> list[str]:
    """The warnings that n verdicts raise."""
    drift = Drift(SEEN)
    agreements = np.clip(random.normal(agreement, 0.2, n), 0.0, 1.0)
    told = [drift.observe(bool(random.random() < rate), float(a)) for a in agreements]
    return [w for w in told if w]


def test_what_is_as_calibrated_hardly_ever_warns() -> None:
    random = np.random.default_rng(0)
    assert sum(bool(stream(random, 600, 0.6, 0.745)) for _ in range(200)) <= 4


def test_fewer_answers_or_less_agreement_warn() -> None:
    random = np.random.default_rng(1)
    assert sum("answers" in " ".join(stream(random, 200, 0.35, 0.75)) for _ in range(50)) >= 48
    assert sum("agrees" in " ".join(stream(random, 200, 0.6, 0.6)) for _ in range(50)) >= 48


def test_it_waits_and_it_recovers() -> None:
    drift = Drift(SEEN)
    assert all(drift.observe(False, 0.75) is None for _ in range(LEAST - 1))
    warning = drift.observe(False, 0.75)
    assert warning is not None and "answers 0% of the last 50 questions, and 60% when it was calibrated" in warning
    later = [drift.observe(i % 5 < 3, 0.75) for i in range(400)]
    assert later[0] is not None and later[-1] is None


def test_a_calibration_without_spread_divides_by_nothing() -> None:
    drift = Drift(Expected(questions=30, answer_rate=1.0, agreement=1.0, deviation=0.0))
    assert all(drift.observe(True, 1.0) is None for _ in range(300))
    assert [w for w in (drift.observe(False, None) for _ in range(100)) if w]
