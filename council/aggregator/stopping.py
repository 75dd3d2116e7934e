"""When enough members have been asked: members in order of their weight, and rules for stopping early."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from council.aggregator.ballots import NONE, Ballots, Bools, Floats, Ints
from council.errors import CalibrationError

EQUAL: Final = 1e-9
"""Weights are compared up to this."""


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


def is_settled(
    supports: Sequence[float], cast: float, left: float, caution: float, min_agreement: float, firm: float | None = None
) -> bool:
    """Whether votes of weight `left` to come no longer matter to one question; `supports` are its groups' shares, the largest
    first, of votes of weight `cast`.

    Either the leader is answered even if `caution` times `left` goes against it, or nobody can be answered: not even if all
    of `left` agreed with the leader would `min_agreement` be reached. At a caution of 1 both are certain.

    `firm`: where likeness joined some of the answers, the leader's share that a later one can't part from it. All the rest
    may then be grouped otherwise, at worst against it or to one answer.
    """
    if left <= 0 or cast <= 0:
        return left <= 0
    first, second = ([share * cast for share in supports[:2]] + [0.0, 0.0])[:2]
    if firm is not None:
        first, second = firm * cast, (1.0 - firm) * cast
    against = caution * left
    sure = first - second > against + EQUAL and first >= (min_agreement - EQUAL) * (cast + against)
    hopeless = firm is None and first + left < (min_agreement - EQUAL) * (cast + left)
    return sure or hopeless


def fewest_to_settle(weights: Sequence[float], supports: Sequence[float], cast: float, caution: float, min_agreement: float) -> int:
    """How many of those left, with these weights and in this order, can be asked at once without asking one too many: the
    least number after which votes that all join the leader, or all differ, could settle the question. At least 1."""
    left = sum(weights)
    first = max(supports, default=0.0) * cast
    others = [share * cast for share in supports[1:2]]
    for asked in range(1, len(weights)):
        new = sum(weights[:asked])
        total = cast + new
        joined = [(first + new) / total, *(share / total for share in others)] if total > 0 else []
        apart = [max(first, *weights[:asked]) / total] * 2 if total > 0 else []
        if any(is_settled(shares, total, left - new, caution, min_agreement) for shares in (joined, apart)):
            return asked
    return max(1, len(weights))


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
