"""Thresholds below which a council abstains, with a guarantee that holds for any finite number of labelled questions.

Two kinds of risk. `wrong`, P(answered and wrong): conformal risk control (Angelopoulos et al. 2022, arXiv:2208.02814),
whose risk is at most alpha on average over calibration sets. `selective`, P(wrong | answered): fixed-sequence testing
(as in Learn then Test, Angelopoulos et al. 2021, arXiv:2110.01052) with Clopper and Pearson's exact binomial bound
(1934), whose risk is at most alpha with probability 1 - delta over calibration sets. Both ask that calibration and
traffic are exchangeable. A target that can only be met by answering nothing is refused, with the reason.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from council.aggregator.ballots import Bools, Floats
from council.errors import CalibrationError

Kind = Literal["wrong", "selective"]
STEPS: Final = 50
"""Thresholds that are tested, at evenly growing coverage."""
FIRST: Final = 0.1
"""The share of the questions that the first threshold answers, where that is at least three times the least number that could
prove anything."""


@dataclass(frozen=True)
class Guarantee:
    """Answer from `threshold` of the score on. `coverage` and `risk` are those of the calibration set."""

    kind: Kind
    alpha: float
    delta: float | None
    """Of `selective` alone: how often the guarantee may fail."""
    threshold: float
    coverage: float
    risk: float
    questions: int


def upper_bound(wrong: int, n: int, delta: float) -> float:
    """The largest risk that n answers, `wrong` of them wrong, do not rule out at level delta (Clopper-Pearson, one-sided)."""
    from scipy.stats import beta

    return 1.0 if wrong >= n else float(beta.ppf(1.0 - delta, wrong + 1, n - wrong))


def least_questions(alpha: float, delta: float) -> int:
    """Fewer answers than these prove no selective risk of alpha, were they all right: (1 - alpha)^n <= delta."""
    return math.ceil(math.log(delta) / math.log1p(-alpha))


def control_wrong(scores: Floats, right: Bools, alpha: float) -> Guarantee:
    """The lowest threshold at which P(answered and wrong) is at most alpha on average. Raises CalibrationError.

    `scores` [n] order the questions by trust, -inf where nothing can be answered; `right` [n].
    """
    _check(scores, right, alpha)
    n = len(scores)
    if 1.0 / (n + 1) > alpha:
        raise CalibrationError(
            f"alpha {alpha:g} can't be promised with {n} labelled questions: it takes {math.ceil(1 / alpha) - 1} or more"
        )
    thresholds, answered, wrong = _curve(scores, right)
    fitting = int(((wrong + 1.0) / (n + 1) <= alpha).sum())  # the strictest first: wrong answers only become more
    if not fitting:
        raise CalibrationError(
            f"alpha {alpha:g} can't be promised: even with the most trusted answers alone, {wrong[0] if len(wrong) else 0:g} of {n} "
            "questions are answered wrongly, and the council would have to abstain on everything"
        )
    last = fitting - 1
    return Guarantee("wrong", alpha, None, float(thresholds[last]), float(answered[last] / n), float(wrong[last] / n), n)


def holds(wrong: int, n: int, alpha: float, delta: float, fresh: int | None = None) -> bool:
    """Whether `wrong` of n answers rule out a risk above alpha at level delta: of all traffic, or of the next `fresh` answers.

    The first is Clopper and Pearson's bound. The second is exact too: were more than alpha of the fresh answers wrong, then
    drawing so few wrong ones into the n, of all n + fresh, would have a chance of delta at most (hypergeometric).
    """
    if fresh is None:
        return upper_bound(wrong, n, delta) <= alpha
    from scipy.stats import hypergeom

    too_many = math.floor(alpha * fresh) + 1
    return bool(too_many > fresh or hypergeom.cdf(wrong, n + fresh, wrong + too_many, n) <= delta)


def control_selective(scores: Floats, right: Bools, alpha: float, delta: float = 0.1, horizon: int | None = None) -> Guarantee:
    """The lowest threshold reached by testing from the strictest down, each at level delta, until one fails.

    The promise is about the risk of all traffic, or, given a `horizon`, about the share of wrong answers that the next so
    many questions will really see, which wanders about their risk and so takes a stricter threshold.

    The thresholds are quantiles of the scores, chosen without looking at what is right. The first leaves enough answers
    that a few wrong ones by chance do not end the walk where it begins. Raises CalibrationError.
    """
    _check(scores, right, alpha)
    if not 0 < delta < 1:
        raise CalibrationError(f"delta must lie between 0 and 1, not {delta:g}")
    n, least = len(scores), least_questions(alpha, delta)
    thresholds, answered, wrong = _curve(scores, right)
    first_answers = min(max(3.0 * least, FIRST * n), n)
    wanted = np.unique(np.linspace(first_answers, n, STEPS).round())
    steps = np.unique(np.searchsorted(answered, wanted).clip(max=len(answered) - 1)) if len(answered) else np.empty(0, int)
    steps = steps[answered[steps] >= least]
    if not len(steps):
        raise CalibrationError(
            f"alpha {alpha:g} can't be promised with confidence {1 - delta:g}: it takes {least} answered questions, all of them right, "
            f"and there are {answered[-1] if len(answered) else 0:g}"
        )
    passed: int | None = None
    for step in steps:
        fresh = None if horizon is None else max(1, round(float(answered[step]) / n * horizon))
        if not holds(int(wrong[step]), int(answered[step]), alpha, delta, fresh):
            break
        passed = int(step)
    if passed is None:
        first = int(steps[0])
        bound = upper_bound(int(wrong[first]), int(answered[first]), delta)
        raise CalibrationError(
            f"alpha {alpha:g} can't be promised with confidence {1 - delta:g}: even of the {answered[first]:g} most trusted answers "
            f"{wrong[first]:g} are wrong, which leaves room for a risk of {bound:.3f}"
        )
    return Guarantee(
        "selective", alpha, delta, float(thresholds[passed]), float(answered[passed] / n), float(wrong[passed] / answered[passed]), n
    )


def _check(scores: Floats, right: Bools, alpha: float) -> None:
    if not 0 < alpha < 1:
        raise CalibrationError(f"alpha must lie between 0 and 1, not {alpha:g}")
    if len(scores) != len(right) or np.isnan(scores).any():
        raise CalibrationError("every question needs a score and whether its answer is right")
    if not len(scores):
        raise CalibrationError("there are no labelled questions to calibrate on")


def _curve(scores: Floats, right: Bools) -> tuple[Floats, Floats, Floats]:
    """Each distinct finite score, from the largest: how many questions have at least it, and how many of those are wrong."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    last = last[np.isfinite(ordered[last])]
    wrong = np.cumsum(~right[order])
    return ordered[last], last + 1.0, wrong[last].astype(np.float64)
