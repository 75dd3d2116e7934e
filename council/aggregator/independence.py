"""How much several members are worth as witnesses: how alike they answer, and how alike they err."""

from __future__ import annotations

import warnings

import numpy as np

from council.aggregator.ballots import Ballots, Floats


def pairwise_agreement(ballots: Ballots) -> Floats:
    """[members, members]: of the questions where both voted, the share where they chose the same; nan where none."""
    same = (ballots.choices[:, :, None] == ballots.choices[:, None, :]) & _both(ballots)
    return _share(same.sum(0), _both(ballots).sum(0))


def agreement_when_both_wrong(ballots: Ballots) -> Floats:
    """[members, members]: of the questions where both voted and were wrong, the share where they chose the same."""
    wrong = ballots.cast & ~ballots.right
    both = wrong[:, :, None] & wrong[:, None, :]
    same = (ballots.choices[:, :, None] == ballots.choices[:, None, :]) & both
    return _share(same.sum(0), both.sum(0))


def error_correlation(ballots: Ballots) -> Floats:
    """[members, members]: Pearson correlation of being wrong, no vote counted as wrong; nan for a member that never errs
    or always does."""
    wrong = (~ballots.right).astype(np.float64)
    if len(ballots) < 2:
        return np.full((len(ballots.members),) * 2, np.nan)
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.atleast_2d(np.corrcoef(wrong, rowvar=False))


def mean_of_pairs(matrix: Floats) -> float:
    """The mean over pairs of different members; nan where no pair has a value."""
    values = matrix[np.triu_indices(len(matrix), 1)]
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else float("nan")


def effective_votes(members: int, correlation: float) -> float:
    """n_eff = k / (1 + (k - 1) rho) (Kish's design effect): how many independent members k correlated ones are worth.

    Members that err against one another (rho below 0) are worth more than k; beyond what k members can, it is infinite.
    """
    if members <= 1 or not np.isfinite(correlation):
        return float(members)
    spread = 1.0 + (members - 1) * correlation
    return float(members / spread) if spread > 0 else float("inf")


def _both(ballots: Ballots) -> Floats:
    return np.asarray(ballots.cast[:, :, None] & ballots.cast[:, None, :])


def _share(part: Floats, whole: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(whole > 0, part / whole, np.nan))
