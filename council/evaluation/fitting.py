"""Fitting what a council is judged and thresholded with, always on questions other than those that judge it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from council.aggregator.ballots import Ballots, Bools, Floats, Ints
from council.aggregator.calibration import Calibrator
from council.aggregator.logit import JointLogit, fit_joint_logit
from council.aggregator.stopping import Escalation, unasked_as_silent
from council.aggregator.weighting import Elected, LinearVote, Weighting, elect, fit_log_odds, plain_vote
from council.evaluation.metrics import paired_interval

Fit: TypeAlias = Callable[[Ballots], Weighting]
FITTED: Final[Mapping[str, Fit]] = {"log_odds": fit_log_odds, "joint_logit": fit_joint_logit}
"""The rules that labels are needed for; each must beat the plain vote to be used."""
CAUTIONS: Final = tuple(round(0.1 + 0.05 * i, 2) for i in range(19))
TOLERATED: Final = 0.002
"""The accuracy that escalation may lose on the questions it is fitted on."""
LEAST_FOR_ISOTONIC: Final = 1000
"""Isotonic steps follow noise where there are fewer questions; then Platt's curve is fitted."""


def decide(rule: Weighting, ballots: Ballots) -> Elected:
    """The outcome under a rule, with its probabilities as the support where it has them."""
    return elect(ballots, rule.utilities(ballots), rule.probabilities(ballots) if isinstance(rule, JointLogit) else None)


def halves(ballots: Ballots, share: float = 0.5, seed: int = 0) -> tuple[Ints, Ints]:
    """Two random parts of the questions' indices, each domain split alike; the first is of `share`."""
    random = np.random.default_rng(seed)
    first: list[int] = []
    for domain in sorted(set(ballots.domains)):
        there = random.permutation(np.array([i for i, d in enumerate(ballots.domains) if d == domain]))
        cut = len(there) * share
        first += there[: int(cut) + int(random.random() < cut % 1)].tolist()
    inside = np.sort(np.array(first, np.int64))
    return inside, np.setdiff1d(np.arange(len(ballots)), inside)


@dataclass(frozen=True)
class Choice:
    """The rule to use, and how it fared against the plain vote on questions that it was not fitted on."""

    rule: Weighting
    gains: Mapping[str, tuple[float, float, float]]
    """Of each fitted rule: mean gain in accuracy over the plain vote, and its 95% paired interval."""
    known: Elected
    """Outcomes of these questions, none decided by a rule that was fitted on it."""


def choose_rule(ballots: Ballots, folds: int = 4, seed: int = 0) -> Choice:
    """The fitted rule that gains most over the plain vote, if its gain is beyond chance; else the plain vote.

    The gains are of cross-fitting: each question is decided by a rule fitted on the others. The rule is then fitted on all.
    """
    plain = plain_vote(ballots.members)
    base = decide(plain, ballots).right
    known = {name: cross_fit(ballots, fit, folds, seed) for name, fit in FITTED.items()}
    gains = {name: paired_interval(made.right, base) for name, made in known.items()}
    winning = [name for name, (_, low, _) in gains.items() if low > 0]
    if not winning:
        return Choice(plain, gains, decide(plain, ballots))
    best = max(winning, key=lambda n: gains[n][0])
    return Choice(FITTED[best](ballots), gains, known[best])


def cross_fit(ballots: Ballots, fit: Fit, folds: int = 4, seed: int = 0) -> Elected:
    """Outcomes in the order of the questions, each decided by a rule fitted on the other folds."""
    fold = np.random.default_rng(seed).permutation(len(ballots)) % folds
    choice, support, right = np.full(len(ballots), -1), np.full(len(ballots), -np.inf), np.zeros(len(ballots), bool)
    for k in range(folds):
        held = np.flatnonzero(fold == k)
        if len(held):
            made = decide(fit(ballots.take(np.flatnonzero(fold != k))), ballots.take(held))
            choice[held], support[held], right[held] = made.choice, made.support, made.right
    return Elected(choice, support, right)


def fit_calibrator(scores: Floats, right: Bools) -> Calibrator:
    """Isotonic where there are enough questions, else Platt's; fitted to those that have an answer."""
    answered = np.isfinite(scores)
    x, y = scores[answered], right[answered].astype(np.float64)
    if len(x) >= LEAST_FOR_ISOTONIC:
        steps = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(x, y)
        return Calibrator(kind="isotonic", xs=tuple(map(float, steps.X_thresholds_)), ys=tuple(map(float, steps.y_thresholds_)))
    if len(set(y)) < 2 or len(set(x)) < 2:
        share = float((y.sum() + 1.0) / (len(y) + 2.0))
        return Calibrator(kind="platt", ys=(float(np.log(share / (1 - share))), 0.0))
    # Platt's targets, a little off 0 and 1, keep the curve finite where support parts right from wrong
    most, least = (y.sum() + 1.0) / (y.sum() + 2.0), 1.0 / (len(y) - y.sum() + 2.0)
    target = np.where(y > 0, most, least)
    line = LogisticRegression(C=np.inf, max_iter=1000).fit(
        np.concatenate([x, x])[:, None], np.repeat([1, 0], len(y)), sample_weight=np.concatenate([target, 1.0 - target])
    )
    if float(line.coef_[0, 0]) < 0:  # more support, less often right: then support says nothing
        return fit_calibrator(np.zeros(len(y)), y.astype(bool))
    return Calibrator(kind="platt", ys=(float(line.intercept_[0]), float(line.coef_[0, 0])))


@dataclass(frozen=True)
class Escalated:
    """Asking in order of weight until the lead is large enough: the outcome, and who was asked."""

    outcome: Elected
    asked: Bools

    @property
    def calls(self) -> float:
        """The mean number of members asked."""
        return float(self.asked.sum(1).mean()) if len(self.asked) else 0.0


def escalate(ballots: Ballots, order: LinearVote, rule: Weighting, caution: float) -> Escalated:
    """`order` says who is asked first and when to stop; `rule` decides on the votes that were cast."""
    asked = Escalation(caution).asked(ballots, order.of_questions(ballots))
    return Escalated(decide(rule, unasked_as_silent(ballots, asked)), asked)


def choose_caution(ballots: Ballots, fit: Fit, cautions: Sequence[float] = CAUTIONS, folds: int = 4, seed: int = 0) -> float:
    """The least caution from which on no larger one loses more than TOLERATED of the accuracy of asking all.

    Each question is decided, and its members put in order, by weights fitted on the other folds: those that a question was
    fitted on know too well whom to ask about it.
    """
    fold = np.random.default_rng(seed).permutation(len(ballots)) % folds
    lost = dict.fromkeys(cautions, 0.0)
    for k in range(folds):
        training, held = ballots.take(np.flatnonzero(fold != k)), ballots.take(np.flatnonzero(fold == k))
        if not len(training) or not len(held):
            continue
        order, rule = fit_log_odds(training), fit(training)
        everybody = decide(rule, held).right.sum()
        for caution in cautions:
            lost[caution] += float(everybody - escalate(held, order, rule, caution).outcome.right.sum()) / len(ballots)
    chosen = 1.0
    for caution in sorted(cautions, reverse=True):
        if lost[caution] > TOLERATED:
            break
        chosen = caution
    return chosen


def add_greedily(ballots: Ballots) -> list[str]:
    """The members in the order in which each adds most accuracy to those before it, under weights by log-odds."""
    chosen: list[str] = []
    while len(chosen) < len(ballots.members):
        left = [m for m in ballots.members if m not in chosen]
        councils = {m: ballots.of([*chosen, m]) for m in left}
        chosen.append(max(left, key=lambda m: (float(decide(fit_log_odds(councils[m]), councils[m]).right.mean()), -left.index(m))))
    return chosen
