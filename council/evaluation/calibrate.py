"""From labelled answers of a council to the calibration that its config names."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from council.aggregator import Calibration, Expected, Promise, Weights, normalise
from council.aggregator.ballots import Ballots, Bools, Floats
from council.aggregator.guarantees import control_selective, control_wrong
from council.aggregator.independence import effective_votes, error_correlation, mean_of_pairs
from council.aggregator.weighting import elect, fit_log_odds, tally
from council.config import AskingConfig, CouncilConfig, fingerprint
from council.errors import CalibrationError
from council.evaluation.dataset import Labelled
from council.evaluation.fitting import cross_fit, fit_calibrator, halves
from council.evaluation.metrics import paired_interval
from council.evaluation.replay import worth
from council.evaluation.run import Likeness, to_ballots
from council.inquiry import revisit
from council.types import NOT_KNOWN, Verdict

LEAST: Final = 30
"""Fewer answered questions are not calibrated on."""
LEAST_OF_DOMAIN: Final = 100
"""Fewer questions of a domain give no promise of its own."""
LEAST_TO_FIT: Final = 200
"""On fewer questions no weights are fitted."""


def trust(questions: Sequence[Labelled], verdicts: Sequence[Verdict]) -> tuple[Floats, Bools]:
    """(agreement [n], right [n]) of the leading answer, whether it was given or not; -inf where there is none: nobody
    voted, two lead, or most say that the passages do not tell. To answer what nothing answers is wrong."""
    scores, right = np.full(len(questions), -np.inf), np.zeros(len(questions), bool)
    for i, (question, verdict) in enumerate(zip(questions, verdicts, strict=True)):
        if verdict.agreement is None or verdict.status == "failed" or not verdict.groups:
            continue
        leading = [g for g in verdict.groups if g.support >= verdict.groups[0].support - 1e-9]
        if len(leading) > 1 or normalise(leading[0].answer) == NOT_KNOWN:
            continue
        scores[i], right[i] = verdict.agreement, bool(question.answers) and question.accepts(leading[0].answer)
    return scores, right


@dataclass(frozen=True)
class Promised:
    """The promise to make: of `kind`, at most `alpha`, a selective one failing with a chance of `delta`."""

    alpha: float
    kind: Literal["wrong", "selective"] = "selective"
    delta: float = 0.1

    def on(self, scores: Floats, right: Bools) -> Promise:
        """Raises CalibrationError where it can't be given."""
        if self.kind == "wrong":
            made = control_wrong(scores, right, self.alpha)
        else:
            made = control_selective(scores, right, self.alpha, self.delta)
        return Promise(kind=made.kind, alpha=made.alpha, delta=made.delta, threshold=made.threshold, coverage=made.coverage, risk=made.risk)


def calibrate(
    config: CouncilConfig, questions: Sequence[Labelled], verdicts: Sequence[Verdict], fitted_on: str, wanted: Promised | None = None,
    likeness: Likeness | None = None,
) -> Calibration:  # fmt: skip
    """A calibration of confidence and, where one is wanted, a promise, from verdicts of all who are asked under `config`, or
    under an exact policy of all who are routed to. Raises CalibrationError where the promise can't be given.

    With `likeness`, which groups answers to a question, weights are fitted too, and used if they beat those of routing: they
    are then fitted on one half of the questions, and all else on the other.
    """
    check_calibrates(config, wanted)
    used, weights = len(questions), None
    if likeness is not None and config.asking.is_exact:
        weights, kept = fit_weights(config, questions, verdicts, likeness)
        if weights is not None:
            everybody = config.model_copy(update={"asking": AskingConfig()})
            pairs = [(questions[i], verdicts[i]) for i in kept]
            questions = [q for q, _ in pairs]
            verdicts = [revisit(v, everybody, likeness(q.question), weights.of(v.domain)) for q, v in pairs]
    scores, right = trust(questions, verdicts)
    if np.isfinite(scores).sum() < LEAST:
        raise CalibrationError(
            f"{int(np.isfinite(scores).sum())} of {len(questions)} questions have an answer to calibrate on; at least {LEAST} are wanted"
        )
    promise, promises = _promises(wanted, scores, right, np.array([v.domain or "" for v in verdicts])) if wanted else (None, {})
    made = Calibration(
        council=fingerprint(config), fitted_on=fitted_on, questions=used, date=datetime.now(UTC).date().isoformat(),
        calibrator=fit_calibrator(scores, right), promise=promise, promises=promises, weights=weights,
    )  # fmt: skip
    served = _as_served(config, questions, verdicts, made, likeness)
    return made.model_copy(update={
        "calibrator": fit_calibrator(*trust(questions, served)), "expected": _expected(config, made, served),
        "worth": _worth(config, questions, verdicts, likeness) if likeness is not None else "",
    })  # fmt: skip


def check_calibrates(config: CouncilConfig, wanted: Promised | None) -> None:
    """Raises CalibrationError for a council that has nothing to calibrate, or a promise that it could not keep."""
    if config.prompting.answers == "long" or config.aggregator.scoring == "decide":
        raise CalibrationError(
            "votes on short answers are calibrated: set prompting.answers to short, and aggregator.scoring to off or report"
        )
    if wanted is not None and not config.asking.is_exact:
        raise CalibrationError(
            "a promise wants asking.policy all or escalate, with a caution of 1, no widening and no budgets: under any other, who "
            "is asked depends on the threshold that is to be found. Calibrate without --alpha, or change the policy"
        )


def _as_served(
    config: CouncilConfig, questions: Sequence[Labelled], verdicts: Sequence[Verdict], made: Calibration, likeness: Likeness | None
) -> Sequence[Verdict]:
    """The verdicts as the council will give them: where it escalates, agreement is the least that it would have been, and it
    is that which confidence is told from."""
    if config.asking.policy == "all" or not config.asking.is_exact or likeness is None:
        return verdicts

    def again(question: Labelled, verdict: Verdict) -> Verdict:
        promise = made.promise_in(verdict.domain)
        return revisit(verdict, config, likeness(question.question), None, promise.threshold if promise else None)

    return [again(q, v) for q, v in zip(questions, verdicts, strict=True)]


def _promises(wanted: Promised, scores: Floats, right: Bools, domains: NDArray[np.str_]) -> tuple[Promise, dict[str, Promise]]:
    """The promise over all, or over all domains without one of their own; and those of domains that have questions enough.

    A promise over all domains says nothing of what is left of them when some go by their own. So it is made again on what is
    left; where it can't be, the domain of the highest threshold goes by the common one too, until it can. Raises
    CalibrationError where not even that over all can be given.
    """
    overall, made = wanted.on(scores, right), dict[str, Promise]()
    for domain in sorted(set(domains.tolist()) - {""}):
        there = domains == domain
        if there.sum() >= LEAST_OF_DOMAIN:
            with suppress(CalibrationError):
                made[domain] = wanted.on(scores[there], right[there])
    while made:
        left = ~np.isin(domains, list(made))
        if not left.any():
            return overall, made
        with suppress(CalibrationError):
            return wanted.on(scores[left], right[left]), made
        del made[max(made, key=lambda d: made[d].threshold)]
    return overall, {}


def _expected(config: CouncilConfig, made: Calibration, served: Sequence[Verdict]) -> Expected | None:
    """What is to be seen of verdicts like these while serving; failed ones are not looked at."""
    known = [v for v in served if v.agreement is not None and v.status != "failed"]
    if not known:
        return None
    least = config.aggregator.min_agreement
    scores, _ = trust([Labelled("", "", ())] * len(known), known)
    thresholds = [promise.threshold if (promise := made.promise_in(v.domain)) else least for v in known]
    agreements = np.array([v.agreement for v in known], np.float64)
    return Expected(
        questions=len(known), answer_rate=float((scores >= np.array(thresholds) - 1e-9).mean()), agreement=float(agreements.mean()),
        deviation=float(agreements.std()), min_agreement=least,
    )  # fmt: skip


def fit_weights(
    config: CouncilConfig, questions: Sequence[Labelled], verdicts: Sequence[Verdict], likeness: Likeness
) -> tuple[Weights | None, list[int]]:
    """Weights by log-odds, and the questions that they were not fitted on; None if those of routing are as good, as far as the
    paired interval of cross-fitted outcomes tells, or where members share a lineage, which no weights are fitted under."""
    members = [s.name for s in config.specialists]
    if len(questions) < LEAST_TO_FIT or any(s.lineage for s in config.specialists):
        return None, []
    ballots = to_ballots(questions, verdicts, members, likeness, config.aggregator.alike_from)
    ballots = replace(ballots, domains=tuple(v.domain or "" for v in verdicts))
    _, low, _ = paired_interval(cross_fit(ballots, fit_log_odds).right, _by_routing(ballots, verdicts))
    if low <= 0:
        return None, []
    inside, outside = halves(ballots)
    made = fit_log_odds(ballots.take(inside))
    table = tuple(tuple(map(float, row)) for row in made.weights)
    return Weights(members=tuple(members), domains=made.domains, table=table), outside.tolist()


def _by_routing(ballots: Ballots, verdicts: Sequence[Verdict]) -> Bools:
    """[n]: whether the vote under the weights of the opinions is right."""
    weights = [{o.specialist: o.weight for o in v.opinions} for v in verdicts]
    return elect(ballots, tally(ballots, np.array([[w.get(m, 0.0) for m in ballots.members] for w in weights]))).right


def _worth(config: CouncilConfig, questions: Sequence[Labelled], verdicts: Sequence[Verdict], likeness: Likeness) -> str:
    """In plain words, of questions that all members were asked; the best member is chosen on one half of them and compared on
    the other. Empty if there are too few."""
    members = [s.name for s in config.specialists]
    whole = [i for i, v in enumerate(verdicts) if {o.specialist for o in v.opinions} == set(members)]
    questions, verdicts = [questions[i] for i in whole], [verdicts[i] for i in whole]
    if len(whole) < LEAST:
        return ""
    ballots = to_ballots(questions, verdicts, members, likeness, config.aggregator.alike_from)
    inside, outside = halves(ballots)
    best = int(ballots.right[inside].mean(0).argmax())
    gain, low, high = paired_interval(_by_routing(ballots, verdicts)[outside], ballots.right[outside, best])
    correlation = mean_of_pairs(error_correlation(ballots))
    return worth({
        "gain_over_best_single": {"value": gain, "interval": [low, high]}, "accuracy": {"best_single": {"member": members[best]}},
        "members": members, "mean_error_correlation": correlation, "effective_votes": effective_votes(len(members), correlation),
    })  # fmt: skip


def calibration_lines(made: Calibration) -> list[str]:
    """What was found, for people."""
    told = []
    for domain, promise in [("", made.promise), *made.promises.items()]:
        if promise is not None:
            of = "of all" if promise.kind == "wrong" else "of those answered"
            told.append(
                f"Promised{f' for {domain}' * bool(domain)}: at most {100 * promise.alpha:g}% wrong {of}, by answering from an agreement "
                f"of {promise.threshold:.3f} on: {promise.coverage:.1%} of these questions."
            )
    told += [made.worth] * bool(made.worth)
    kept = "The votes keep the weights of routing: fitted ones did not beat them, or there are too few questions."
    told.append("The votes are weighed as fitted here, which beat the weights of routing." if made.weights else kept)
    return told
