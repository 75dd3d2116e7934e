"""Figures on answers: `scores` order the questions by trust (-inf where nothing can be answered), `right` says which are.

Accuracy counts every question; one without an answer is not right. Each function says what it returns where it has no
value (nan).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from sklearn.metrics import roc_auc_score

from council.aggregator.ballots import NONE, Ballots, Bools, Floats, Ints

Statistic: TypeAlias = Callable[[Ints], float]
"""Of the questions with these indices."""
BOOTSTRAPS = 1000


def auroc(scores: Floats, right: Bools) -> float:
    """The chance that a right answer is trusted more than a wrong one; nan if all are alike."""
    if right.all() or not right.any():
        return float("nan")
    floor = np.where(np.isfinite(scores), scores, np.min(scores, where=np.isfinite(scores), initial=0.0) - 1.0)
    return float(roc_auc_score(right, floor))


def risk_coverage(scores: Floats, right: Bools) -> tuple[Floats, Floats]:
    """Coverage and risk (wrong of those answered), from the most trusted on, at each distinct score: ties go together."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) if len(scores) else np.empty(0, np.int64)
    ends = ends[np.isfinite(ordered[ends])]
    return (ends + 1) / max(1, len(scores)), np.cumsum(~right[order])[ends] / (ends + 1)


def aurc(scores: Floats, right: Bools) -> float:
    """Area under the risk-coverage curve (Geifman et al. 2018, arXiv:1805.08206): the mean risk over all coverages; lower
    is better, nan where nothing is answered. Questions of equal score share their mean risk."""
    coverage, risk = risk_coverage(scores, right)
    if not len(coverage):
        return float("nan")
    return float(np.sum(np.diff(coverage, prepend=0.0) * risk) / coverage[-1])


def coverage_at_risk(scores: Floats, right: Bools, risk: float) -> float:
    """The largest share of questions that can be answered, most trusted first, with at most this share of them wrong."""
    coverage, risks = risk_coverage(scores, right)
    return float(coverage[risks <= risk].max(initial=0.0))


def ece(confidence: Floats, right: Bools, bins: int = 15) -> float:
    """Expected calibration error (Naeini et al. 2015), over bins of equal size; nan where nothing has a confidence."""
    known = np.isfinite(confidence)
    if not known.any():
        return float("nan")
    order = np.argsort(confidence[known], kind="stable")
    parts = np.array_split(order, min(bins, len(order)))
    of_bins = [(len(p), abs(confidence[known][p].mean() - right[known][p].mean())) for p in parts]
    return float(sum(n * gap for n, gap in of_bins) / known.sum())


def fleiss_kappa(ballots: Ballots) -> float:
    """Agreement beyond chance (Fleiss 1971) on the questions where all members voted; nan where there are none, and where
    options are groups, for then there is no chance to compare with."""
    full = ballots.take(np.flatnonzero(ballots.cast.all(1)))
    m = len(ballots.members)
    if not len(full) or m < 2 or ballots.grouped:
        return float("nan")
    counts = full.indicators.sum(1)
    observed = float(((counts**2).sum(1) - m).mean() / (m * (m - 1)))
    expected = float(((counts.sum(0) / counts.sum()) ** 2).sum())
    return (observed - expected) / (1 - expected) if expected < 1 else float("nan")


def krippendorff_alpha(ballots: Ballots) -> float:
    """Krippendorff's alpha, nominal, with votes that are missing; nan where it has no value, as above."""
    import krippendorff

    values = np.where(ballots.cast, ballots.choices.astype(np.float64), np.nan).T
    seen = np.unique(ballots.choices[ballots.choices != NONE])
    if ballots.grouped or len(seen) < 2 or not (ballots.cast.sum(1) > 1).any():
        return float("nan")
    return float(krippendorff.alpha(reliability_data=values, level_of_measurement="nominal"))


def bootstrap_interval(statistic: Statistic, n: int, seed: int = 0, resamples: int = BOOTSTRAPS) -> tuple[float, float]:
    """The 95% percentile interval of a statistic of n questions, drawn again with replacement."""
    if not n:
        return float("nan"), float("nan")
    random = np.random.default_rng(seed)
    drawn = np.array([statistic(random.integers(0, n, n)) for _ in range(resamples)])
    drawn = drawn[np.isfinite(drawn)]
    return (float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975))) if len(drawn) else (float("nan"), float("nan"))


def paired_interval(
    first: Floats | Bools, second: Floats | Bools, seed: int = 0, resamples: int = BOOTSTRAPS
) -> tuple[float, float, float]:
    """The mean of first - second over questions, and its 95% interval by a paired bootstrap."""
    difference = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    low, high = bootstrap_interval(lambda rows: float(difference[rows].mean()), len(difference), seed, resamples)
    return float(difference.mean()) if len(difference) else float("nan"), low, high


def mcnemar(first: Bools, second: Bools) -> float:
    """Exact two-sided p-value that two rules are right equally often, from the questions where only one is (McNemar 1947)."""
    from scipy.stats import binomtest

    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    return float(binomtest(only_first, only_first + only_second).pvalue) if only_first + only_second else 1.0
