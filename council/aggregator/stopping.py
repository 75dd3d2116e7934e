"""When enough members have been asked: members in order of their weight, and rules for stopping early."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from council.aggregator.ballots import NONE, Ballots, Bools, Floats, Ints
from council.errors import CalibrationError


def lead_over_rest(totals: Floats) -> Floats:
    """[n]: by how much the heaviest option leads the second, of totals [n, options] (-inf: no such option)."""
    ordered = np.sort(np.where(np.isfinite(totals), totals, 0.0), axis=1)
    if ordered.shape[1] < 2:
        return np.asarray(ordered.sum(1))
    return np.asarray(ordered[:, -1] - ordered[:, -2])


def outcome_is_fixed(totals: Floats, left: Floats) -> Bools:
    """[n]: whether no votes of weight `left` [n] to come can change the winner: its lead is greater than all of them."""
    return np.asarray(lead_over_rest(totals) > left + 1e-9)


def majority_is_likely(leader: int, others: int, level: float) -> bool:
    """Of repeated samples: whether the posterior chance that the leader's share is above a half reaches `level`, from a
    flat Beta(1, 1) (adaptive consistency, Aggarwal et al. 2023, arXiv:2305.11860)."""
    from scipy.stats import beta

    return bool(beta.sf(0.5, leader + 1, others + 1) >= level)


@dataclass(frozen=True)
class Escalation:
    """Ask in order of weight; after each, stop when the lead exceeds `caution` times the weight still to come.

    At 1 the outcome can no longer change, and nothing is lost; below 1 it seldom does, and fewer are asked.
    """

    caution: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.caution <= 1:
            raise CalibrationError(f"caution must lie between 0 and 1, not {self.caution:g}")

    def asked(self, ballots: Ballots, weights: Floats) -> Bools:
        """[n, members]: who would have been asked; `weights` [n, members]. The first, and as many more as it takes."""
        order = np.argsort(-weights, axis=1, kind="stable")
        left = weights.sum(1)
        totals = np.zeros((len(ballots), max(1, ballots.most_options)))
        asked = np.zeros(weights.shape, bool)
        going = np.ones(len(ballots), bool)
        rows = np.arange(len(ballots))
        for place in range(weights.shape[1]):
            member = order[:, place]
            asked[rows[going], member[going]] = True
            votes = ballots.choices[rows, member]
            voting = going & (votes != NONE)
            totals[rows[voting], votes[voting]] += weights[rows, member][voting]
            left = left - weights[rows, member]
            going &= ~(lead_over_rest(totals) > self.caution * left + 1e-9)
        return asked


def unasked_as_silent(ballots: Ballots, asked: Bools) -> Ballots:
    """The ballots as they are when only `asked` [n, members] have voted."""
    choices: Ints = np.where(asked, ballots.choices, NONE)
    return replace(ballots, choices=choices)
