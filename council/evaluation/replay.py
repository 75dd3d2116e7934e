"""What a council would have been worth on recorded answers: fitted on some questions, measured on others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from council.aggregator.ballots import Ballots, Bools, Floats
from council.aggregator.guarantees import control_selective, control_wrong
from council.aggregator.independence import (
    agreement_when_both_wrong,
    effective_votes,
    error_correlation,
    mean_of_pairs,
    pairwise_agreement,
)
from council.aggregator.weighting import Elected, LinearVote, Weighting, fit_dawid_skene, fit_log_odds, plain_vote
from council.errors import CalibrationError, DatasetError
from council.evaluation import metrics
from council.evaluation.fitting import (
    FITTED,
    Choice,
    add_greedily,
    choose_caution,
    choose_rule,
    decide,
    escalate,
    fit_calibrator,
    halves,
)

ALPHAS: Final = (0.1, 0.2, 0.3)
DELTA: Final = 0.1
PROMISE_SHARE: Final = 0.6
"""Of the fitting questions, those that fit the weights under a guarantee; the others set its threshold."""
LEAST_QUESTIONS: Final = 20
LEAST_OF_DOMAIN: Final = 200
"""Fewer questions of a domain give no guarantee of its own."""
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Replay:
    """All that a report needs. `summary` is what summary.json holds; the others are the rows that its plots are made of."""

    summary: dict[str, Any]
    test: Ballots
    outcomes: Mapping[str, Elected]
    """By method, on the test questions."""
    confidence: Floats
    """[n]: calibrated, of the weighted vote; nan where nobody voted."""
    chosen: str
    """The method that is used: the weighted vote, or the plain one where no weighting beat it."""
    sizes: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    """Accuracy, coverage and calls for councils of growing size."""


def replay(
    fitting: Ballots, test: Ballots, seed: int = 0, resamples: int = 500, say: Progress = lambda _: None,
    others: Mapping[str, Elected] | None = None,
) -> Replay:  # fmt: skip
    """Fit on the one, measure on the other. `others`: outcomes on the test by methods that need more than ballots, to stand
    beside those that don't. Raises DatasetError where either part is too small."""
    for what, ballots in (("fit", fitting), ("test", test)):
        if len(ballots) < LEAST_QUESTIONS:
            raise DatasetError(f"{len(ballots)} questions to {what} on are too few: at least {LEAST_QUESTIONS} are wanted")
        if not ballots.cast.any():
            raise DatasetError(f"in the questions to {what} on nobody voted: there is nothing to measure")
    say("fitting weights")
    choice = choose_rule(fitting, seed=seed)
    rules: dict[str, Weighting] = {"plain_vote": plain_vote(test.members), "dawid_skene": fit_dawid_skene(fitting)}
    rules |= {name: fit(fitting) if choice.rule.name != name else choice.rule for name, fit in FITTED.items()}
    outcomes = {name: decide(rule, test) for name, rule in rules.items()} | dict(others or {})
    say("calibrating")
    confidence = fit_calibrator(choice.known.support, choice.known.right).apply(outcomes[choice.rule.name].support)
    say("asking fewer members")
    order = fit_log_odds(fitting)
    escalated = _escalation(fitting, test, order, choice, outcomes[choice.rule.name], seed, resamples)
    say("promising")
    promises = guarantees(fitting, test, seed)
    say("smaller councils")
    sizes = council_sizes(fitting, test)
    say("intervals")
    summary = _summary(fitting, test, outcomes, choice, confidence, seed, resamples)
    summary |= escalated | {"guarantee": promises, "council_sizes": sizes}
    summary["worth"] = worth(summary)
    return Replay(summary, test, outcomes, confidence, choice.rule.name, sizes)


def _escalation(
    fitting: Ballots, test: Ballots, order: LinearVote, choice: Choice, everybody: Elected, seed: int, resamples: int
) -> dict[str, Any]:
    caution = choose_caution(fitting, FITTED.get(choice.rule.name, lambda some: plain_vote(some.members)), seed=seed)
    made = escalate(test, order, choice.rule, caution)
    difference = metrics.paired_interval(made.outcome.right, everybody.right, seed, resamples)
    exact = escalate(test, order, order, 1.0)
    return {
        "calls_per_question": {"all": len(test.members), "escalate": made.calls, "escalate_exact": exact.calls},
        "accuracy_escalate": _estimate(made.outcome.right, seed, resamples),
        "escalate": {"caution": caution, "share_of_calls": made.calls / len(test.members), "gain_over_all": _interval(difference)},
    }


def _interval(told: tuple[float, float, float]) -> dict[str, Any]:
    return {"value": told[0], "interval": [told[1], told[2]]}


def _estimate(right: Bools, seed: int, resamples: int) -> dict[str, Any]:
    low, high = metrics.bootstrap_interval(lambda rows: float(right[rows].mean()), len(right), seed, resamples)
    return {"value": float(right.mean()), "interval": [low, high]}


def _summary(
    fitting: Ballots, test: Ballots, outcomes: Mapping[str, Elected], choice: Choice, confidence: Floats, seed: int, resamples: int
) -> dict[str, Any]:
    best = int(fitting.right.mean(0).argmax())  # chosen where it is fitted, so that its figure on the test is no maximum
    plain, weighted = outcomes["plain_vote"], outcomes[choice.rule.name]

    def told(statistic: Callable[..., float], *arrays: Any) -> dict[str, Any]:
        value = statistic(*arrays)
        low, high = metrics.bootstrap_interval(lambda rows: statistic(*(a[rows] for a in arrays)), len(test), seed, resamples)
        return {"value": value, "interval": [low, high]}

    trusted = np.where(np.isfinite(confidence), confidence + 1e-9 * np.where(np.isfinite(weighted.support), weighted.support, 0.0), -np.inf)
    correlation = error_correlation(test)
    mean_correlation = mean_of_pairs(correlation)
    return {
        "n": len(test), "n_fit": len(fitting), "members": list(test.members), "weighting": choice.rule.name,
        "gain_in_cross_validation": {name: _interval(gain) for name, gain in choice.gains.items()},
        "gain_over_plain_vote": _interval(metrics.paired_interval(weighted.right, plain.right, seed, resamples)),
        "gain_over_best_single": _interval(metrics.paired_interval(weighted.right, test.right[:, best], seed, resamples)),
        "mcnemar_p": {
            "plain_vote": metrics.mcnemar(weighted.right, plain.right),
            "best_single": metrics.mcnemar(weighted.right, test.right[:, best]),
        },
        "accuracy": {
            "best_single": {"member": test.members[best], **_estimate(test.right[:, best], seed, resamples)},
            "weighted_vote": _estimate(weighted.right, seed, resamples),
            **{name: _estimate(made.right, seed, resamples) for name, made in outcomes.items()},
            "members": {m: float(test.right[:, i].mean()) for i, m in enumerate(test.members)},
        },
        "methods": {name: _method(made, told) for name, made in outcomes.items()},
        "auroc": {"agreement": told(metrics.auroc, plain.support, plain.right), "confidence": told(metrics.auroc, trusted, weighted.right)},
        "aurc": told(metrics.aurc, trusted, weighted.right),
        # without an interval: questions drawn twice add noise, which this error would take for miscalibration
        "ece": metrics.ece(confidence, weighted.right),
        "coverage_at_risk": {
            str(r): told(lambda s, y, r=r: metrics.coverage_at_risk(s, y, r), trusted, weighted.right)
            for r in ALPHAS
        },
        "agreement_rate": {
            "mean_pairwise": mean_of_pairs(pairwise_agreement(test)), "fleiss_kappa": metrics.fleiss_kappa(test),
            "krippendorff_alpha": metrics.krippendorff_alpha(test), "when_both_wrong": mean_of_pairs(agreement_when_both_wrong(test)),
        },
        "mean_error_correlation": mean_correlation,
        "effective_votes": effective_votes(len(test.members), mean_correlation),
    }  # fmt: skip


def _method(made: Elected, told: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """What a way of deciding is worth: how often it is right, and how well its support tells when."""
    return {
        "accuracy": float(made.right.mean()), "auroc": told(metrics.auroc, made.support, made.right),
        "coverage_at_20": told(lambda s, y: metrics.coverage_at_risk(s, y, 0.2), made.support, made.right),
    }  # fmt: skip


def guarantees(
    fitting: Ballots, test: Ballots, seed: int = 0, alphas: Sequence[float] = ALPHAS, delta: float = DELTA
) -> list[dict[str, Any]]:
    """Thresholds for each kind and alpha, with what came of them on the test questions; or why there is none.

    Weights are fitted on one part of the fitting questions and thresholds set on the other, for what is fitted on a
    question is too sure of it. Domains with enough questions get a selective guarantee of their own.
    """
    inside, held = halves(fitting, PROMISE_SHARE, seed)
    rule = choose_rule(fitting.take(inside), seed=seed).rule
    known, fresh = decide(rule, fitting.take(held)), decide(rule, test)
    rows = []
    for alpha in alphas:
        rows.append(_promise("wrong", alpha, delta, known, fresh, "all"))
        rows.append(_promise("selective", alpha, delta, known, fresh, "all"))
    domains = np.array(fitting.domains)[held]
    of_test = np.array(test.domains)
    for domain in sorted(set(domains)):
        there, then = np.flatnonzero(domains == domain), np.flatnonzero(of_test == domain)
        if len(there) >= LEAST_OF_DOMAIN and len(then):
            rows += [_promise("selective", alpha, delta, known.take(there), fresh.take(then), str(domain)) for alpha in alphas]
    return rows


def _promise(kind: str, alpha: float, delta: float, known: Elected, fresh: Elected, domain: str) -> dict[str, Any]:
    row: dict[str, Any] = {"kind": kind, "alpha": alpha, "delta": delta if kind == "selective" else None, "domain": domain}
    try:
        if kind == "wrong":
            made = control_wrong(known.support, known.right, alpha)
        else:
            made = control_selective(known.support, known.right, alpha, delta)
    except CalibrationError as exc:
        return row | {"threshold": None, "coverage": 0.0, "risk": None, "refused": str(exc)}
    answered = fresh.support >= made.threshold
    wrong = float((answered & ~fresh.right).sum())
    risk = wrong / len(answered) if kind == "wrong" else wrong / max(1.0, float(answered.sum()))
    return row | {"threshold": made.threshold, "coverage": float(answered.mean()), "risk": risk, "calibrated_on": made.questions}


def council_sizes(fitting: Ballots, test: Ballots) -> list[dict[str, Any]]:
    """Councils of 1, 2, ... members, each adding the one that helped most on the fitting questions; figures of the test."""
    rows = []
    ranked = add_greedily(fitting)
    for k in range(1, len(ranked) + 1):
        some, seen = fitting.of(ranked[:k]), test.of(ranked[:k])
        odds = fit_log_odds(some)
        made, plain = decide(odds, seen), decide(plain_vote(seen.members), seen)
        fewer = escalate(seen, odds, odds, choose_caution(some, fit_log_odds))
        correlation = mean_of_pairs(error_correlation(seen))
        rows.append(
            {
                "members": k, "added": ranked[k - 1],
                "accuracy_weighted": float(made.right.mean()), "accuracy_plain": float(plain.right.mean()),
                "accuracy_escalate": float(fewer.outcome.right.mean()), "calls_escalate": fewer.calls,
                "coverage_at_20": metrics.coverage_at_risk(made.support, made.right, 0.2),
                "effective_votes": effective_votes(k, correlation),
            }
        )  # fmt: skip
    return rows


def worth(summary: Mapping[str, Any]) -> str:
    """In plain words, whether the council is worth more than its best member."""
    gain, best = summary["gain_over_best_single"], summary["accuracy"]["best_single"]
    low, high = gain["interval"]
    points = f"{100 * gain['value']:+.1f} points of accuracy (95% interval {100 * low:+.1f} to {100 * high:+.1f})"
    effective, members = summary["effective_votes"], len(summary["members"])
    votes = f"Its {members} members are worth {min(effective, members):.1f} independent ones."
    if not np.isfinite(summary["mean_error_correlation"]):
        votes = "How alike its members err is not known: none errs on some of these questions only."
    if low > 0:
        return f"The council is worth more than its best member, {best['member']}: {points}. {votes}"
    if high < 0:
        return f"The council is worth LESS than its best member, {best['member']}: {points}. Ask that one alone. {votes}"
    return f"The council is worth no more than its best member, {best['member']}, as far as these questions tell: {points}. {votes}"
