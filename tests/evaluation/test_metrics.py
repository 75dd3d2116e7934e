"""Figures against their definitions, on cases that can be counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from council.aggregator.ballots import Ballots
from council.evaluation.metrics import (
    aurc,
    auroc,
    bootstrap_interval,
    coverage_at_risk,
    ece,
    fleiss_kappa,
    krippendorff_alpha,
    mcnemar,
    paired_interval,
    risk_coverage,
)
from tests.aggregator.ballots import synthetic

SCORES = np.array([0.9, 0.8, 0.8, 0.4, -np.inf])
RIGHT = np.array([True, True, False, False, False])


def test_ties_are_answered_together_and_what_has_no_answer_never() -> None:
    coverage, risk = risk_coverage(SCORES, RIGHT)
    assert coverage.tolist() == [0.2, 0.6, 0.8]
    assert risk.tolist() == pytest.approx([0.0, 1 / 3, 0.5])
    assert coverage_at_risk(SCORES, RIGHT, 0.35) == 0.6
    assert coverage_at_risk(SCORES, RIGHT, 0.0) == 0.2
    assert coverage_at_risk(np.zeros(3), np.zeros(3, bool), 0.2) == 0.0


def test_the_area_is_the_mean_risk_over_coverages() -> None:
    assert aurc(SCORES, RIGHT) == pytest.approx((0.2 * 0 + 0.4 / 3 + 0.2 * 0.5) / 0.8)
    assert math.isnan(aurc(np.array([-np.inf]), np.array([False])))


def test_auroc_counts_pairs() -> None:
    # right: .9 and .8; wrong: .8, .4 and none. Of six pairs five are in order and one is a tie.
    assert auroc(SCORES, RIGHT) == pytest.approx(5.5 / 6)
    assert math.isnan(auroc(SCORES, np.ones(5, bool)))


def test_calibration_error_is_the_gap() -> None:
    confidence, right = np.full(1000, 0.7), np.arange(1000) % 10 < 5
    assert ece(confidence, right, bins=1) == pytest.approx(0.2)
    assert ece(np.full(10, np.nan), np.zeros(10, bool)) != ece(confidence, right)  # nan
    perfect = np.repeat([0.0, 1.0], 50)
    assert ece(perfect, perfect.astype(bool)) == 0.0


def test_kappa_and_alpha_by_their_published_examples() -> None:
    """Fleiss' own table has other categories; here: full agreement is 1, and independence near 0."""
    same = synthetic(500, [0.6], copies=3)
    assert fleiss_kappa(same) == pytest.approx(1.0) and krippendorff_alpha(same) == pytest.approx(1.0)
    free = Ballots(same.members, same.choices, same.options, same.gold, same.domains, grouped=True)
    assert math.isnan(fleiss_kappa(free)) and math.isnan(krippendorff_alpha(free.take(slice(9)))), "groups have no chance to compare with"
    random = synthetic(4000, [0.25, 0.25, 0.25])
    assert abs(fleiss_kappa(random)) < 0.03 and abs(krippendorff_alpha(random)) < 0.03
    nobody = Ballots(("a", "b"), np.full((3, 2), -1), np.full(3, 2), np.zeros(3, np.int64), ("d",) * 3)
    assert math.isnan(fleiss_kappa(nobody)) and math.isnan(krippendorff_alpha(nobody))


def test_intervals_hold_the_truth_and_pairs_are_narrower() -> None:
    right = np.random.default_rng(0).random(2000) < 0.6
    low, high = bootstrap_interval(lambda rows: float(right[rows].mean()), 2000)
    assert low < 0.6 < high and high - low < 0.06
    better = right | (np.random.default_rng(1).random(2000) < 0.05)
    gain, below, above = paired_interval(better, right)
    assert 0 < below < gain < above and above - below < 0.03
    assert all(map(math.isnan, bootstrap_interval(lambda rows: 0.0, 0)))


def test_mcnemar_looks_only_where_they_differ() -> None:
    a, b = np.array([True] * 9 + [False]), np.array([False] * 8 + [True] * 2)
    assert mcnemar(a, b) == pytest.approx(2 * (10 / 2**9))
    assert mcnemar(a, a) == 1.0
