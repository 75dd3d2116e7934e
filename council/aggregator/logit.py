"""The joint vote: a conditional logit over a question's options, fitted to all members at once.

P(option o | votes) is the softmax over the options of w . f(o) (McFadden 1974). Because the weights are fitted jointly,
members that err together share what one of them is worth, where log-odds would count each in full.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from council.aggregator.ballots import Ballots, Bools, Floats
from council.aggregator.weighting import check_members, domain_index, probabilities

RIDGES: Final = (3.0, 10.0, 30.0, 100.0)
"""Strengths that are tried for what departs from a member's overall weight."""
FOLDS: Final = 4


@dataclass(frozen=True)
class JointLogit:
    """Fitted weights. The features of an option, in this order: which members chose it; the same within each domain."""

    members: tuple[str, ...]
    domains: tuple[str, ...]
    coefficients: Floats
    ridge: float
    name: str = "joint_logit"

    def utilities(self, ballots: Ballots) -> Floats:
        """[n, options]: w . f(o); -inf where there is no such option."""
        check_members(self.members, ballots)
        return np.where(ballots.exists, features(ballots, self.domains) @ self.coefficients, -np.inf)

    def probabilities(self, ballots: Ballots) -> Floats:
        """[n, options]: the fitted probability that an option is the right one."""
        return probabilities(self.utilities(ballots))


def features(ballots: Ballots, domains: Sequence[str]) -> Floats:
    """[n, options, features]; a domain that is not listed has the members' overall weights alone."""
    chose = ballots.indicators.transpose(0, 2, 1)
    index = domain_index(ballots.domains, domains)
    within = np.zeros((*chose.shape[:2], len(domains), len(ballots.members)))
    known = np.flatnonzero(index < len(domains))
    within[known, :, index[known]] = chose[known]
    return np.concatenate([chose, within.reshape(*chose.shape[:2], len(domains) * len(ballots.members))], axis=2)


def fit_joint_logit(ballots: Ballots, ridges: Sequence[float] = RIDGES, seed: int = 0) -> JointLogit:
    """Fitted to labelled ballots by penalised maximum likelihood; of `ridges` the one that predicts best in cross-validation."""
    known = ballots.take(ballots.gold >= 0)
    if not len(known):  # nothing to learn from: every vote counts alike
        return JointLogit(ballots.members, (), np.ones(len(ballots.members)), ridges[0])
    domains = tuple(sorted(set(known.domains)))
    x = features(known, domains)
    free = np.zeros(x.shape[2])
    free[: len(known.members)] = 1.0
    ridge = _choose(x, known, free, ridges, seed) if len(ridges) > 1 and len(known) >= 2 * FOLDS else ridges[0]
    return JointLogit(known.members, domains, fit(x, known, np.where(free, 1.0, ridge)), ridge)


def fit(x: Floats, ballots: Ballots, penalty: Floats, start: Floats | None = None) -> Floats:
    """Coefficients [features] of the largest likelihood less half the penalty times their squares."""
    from scipy.optimize import minimize

    exists, gold, n = _exists(x, ballots), ballots.gold, len(ballots)
    chosen = x[np.arange(n), gold].sum(0) if n else np.zeros(x.shape[2])
    flat = x.reshape(-1, x.shape[2])

    def loss(w: Floats) -> tuple[float, Floats]:
        utilities = np.where(exists, (flat @ w).reshape(exists.shape), -np.inf)
        top = utilities.max(1, keepdims=True, initial=-1e300)
        p = np.exp(utilities - top)
        total = p.sum(1, keepdims=True)
        likelihood = (utilities[np.arange(n), gold] - top[:, 0] - np.log(total[:, 0])).sum()
        gradient = chosen - (p / total).ravel() @ flat - penalty * w
        return -float(likelihood) + 0.5 * float(penalty @ w**2), -gradient

    found = minimize(loss, np.zeros(x.shape[2]) if start is None else start, jac=True, method="L-BFGS-B", options={"maxiter": 300})
    return np.asarray(found.x)


def _exists(x: Floats, ballots: Ballots) -> Bools:
    """[n, options of x]: which options a question has; x may have room for more than any of these questions."""
    return np.asarray(np.arange(x.shape[1])[None, :] < ballots.options[:, None])


def _choose(x: Floats, ballots: Ballots, free: Floats, ridges: Sequence[float], seed: int) -> float:
    fold = np.random.default_rng(seed).permutation(len(ballots)) % FOLDS
    likelihood = dict.fromkeys(ridges, 0.0)
    for k in range(FOLDS):
        inside, outside = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        training, held, start = ballots.take(inside), ballots.take(outside), None
        for ridge in sorted(ridges, reverse=True):  # the stiffest first: the others begin where it ended
            start = fit(x[inside], training, np.where(free, 1.0, ridge), start)
            p = probabilities(np.where(_exists(x, held), x[outside] @ start, -np.inf))
            likelihood[ridge] += float(np.log(np.maximum(p[np.arange(len(held)), held.gold], 1e-12)).sum())
    return max(likelihood, key=lambda r: likelihood[r])
