from __future__ import annotations

import math

import numpy as np
import pytest

from council.aggregator.independence import (
    agreement_when_both_wrong,
    effective_votes,
    error_correlation,
    mean_of_pairs,
    pairwise_agreement,
)
from tests.aggregator.ballots import synthetic


def test_independent_members_err_independently_and_copies_together() -> None:
    ballots = synthetic(6000, [0.7, 0.7], copies=1)
    correlation = error_correlation(ballots)
    assert abs(correlation[0, 1]) < 0.05 and correlation[0, 2] == pytest.approx(1.0)
    assert agreement_when_both_wrong(ballots)[0, 1] == pytest.approx(1 / 3, abs=0.06)  # of three wrong options
    assert agreement_when_both_wrong(ballots)[0, 2] == 1.0
    assert pairwise_agreement(ballots)[0, 1] == pytest.approx(0.49 + 0.09 / 3, abs=0.03)


def test_effective_votes_run_from_one_to_all() -> None:
    assert effective_votes(5, 0.0) == 5.0 and effective_votes(5, 1.0) == pytest.approx(1.0)
    assert effective_votes(9, 0.44) == pytest.approx(1.99, abs=0.01)
    assert effective_votes(1, 0.3) == 1.0 and effective_votes(3, float("nan")) == 3.0
    assert effective_votes(3, -0.5) == math.inf


def test_what_has_no_value_is_nan() -> None:
    always_right = synthetic(50, [1.0, 0.5])
    assert np.isnan(error_correlation(always_right)[0, 1])
    assert math.isnan(mean_of_pairs(np.array([[1.0]])))
    assert np.isnan(pairwise_agreement(synthetic(0, [0.5, 0.5]))[0, 1])
