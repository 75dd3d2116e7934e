"""From labelled answers of a council to the calibration that its config names."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import numpy as np

from council.aggregator import Calibration, Promise, normalise
from council.aggregator.ballots import Bools, Floats
from council.aggregator.guarantees import control_selective, control_wrong
from council.config import CouncilConfig, fingerprint
from council.errors import CalibrationError
from council.evaluation.dataset import Labelled
from council.evaluation.fitting import fit_calibrator
from council.types import NOT_KNOWN, Verdict

LEAST = 30


def trust(questions: Sequence[Labelled], verdicts: Sequence[Verdict]) -> tuple[Floats, Bools]:
    """(agreement [n], right [n]) of the leading answer, whether it was given or not; -inf where there is none: nobody
    voted, two lead, or most say that the passages do not tell. To answer what nothing answers is wrong."""
    scores, right = np.full(len(questions), -np.inf), np.zeros(len(questions), bool)
    for i, (question, verdict) in enumerate(zip(questions, verdicts, strict=True)):
        if verdict.agreement is None or verdict.status == "failed":
            continue
        leading = [g for g in verdict.groups if g.support >= verdict.agreement - 1e-9]
        if len(leading) > 1 or normalise(leading[0].answer) == NOT_KNOWN:
            continue
        scores[i], right[i] = verdict.agreement, bool(question.answers) and question.accepts(leading[0].answer)
    return scores, right


def calibrate(
    config: CouncilConfig, questions: Sequence[Labelled], verdicts: Sequence[Verdict], fitted_on: str,
    alpha: float | None = None, kind: Literal["wrong", "selective"] = "selective", delta: float = 0.1,
) -> Calibration:  # fmt: skip
    """A calibration of confidence and, with `alpha`, a promise. Raises CalibrationError where the promise can't be given.

    Both are of the same questions: the threshold is chosen by agreement, which the calibrator only relabels.
    """
    scores, right = trust(questions, verdicts)
    if np.isfinite(scores).sum() < LEAST:
        raise CalibrationError(
            f"{int(np.isfinite(scores).sum())} of {len(questions)} questions have an answer to calibrate on; at least {LEAST} are wanted"
        )
    promise = None
    if alpha is not None:
        made = control_wrong(scores, right, alpha) if kind == "wrong" else control_selective(scores, right, alpha, delta)
        promise = Promise(
            kind=made.kind, alpha=made.alpha, delta=made.delta, threshold=made.threshold, coverage=made.coverage, risk=made.risk
        )
    return Calibration(
        council=fingerprint(config), fitted_on=fitted_on, questions=len(questions), date=datetime.now(UTC).date().isoformat(),
        calibrator=fit_calibrator(scores, right), promise=promise,
    )  # fmt: skip
