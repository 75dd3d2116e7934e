"""From the support of an answer to the probability that it is right, and what that was learned from."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from council.aggregator.ballots import Floats


class Promise(BaseModel):
    """A guarantee that was given (council/aggregator/guarantees.py): answers from `threshold` of agreement on keep it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["wrong", "selective"]
    alpha: float
    delta: float | None
    threshold: float
    coverage: float
    risk: float


class Calibrator(BaseModel):
    """A map from scores to probabilities that never falls. `isotonic`: through the points (xs, ys), straight between them;
    `platt`: 1 / (1 + exp(-(ys[0] + ys[1] score))) (Platt 1999), with no xs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["isotonic", "platt"]
    xs: tuple[float, ...] = ()
    ys: tuple[float, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits(self) -> Calibrator:
        if self.kind == "isotonic" and (len(self.xs) != len(self.ys) or any(not 0 <= y <= 1 for y in self.ys)):
            raise ValueError("an isotonic calibrator wants as many xs as ys, and ys in [0, 1]")
        if self.kind == "isotonic" and (list(self.xs) != sorted(self.xs) or list(self.ys) != sorted(self.ys)):
            raise ValueError("an isotonic calibrator's points must rise")
        if self.kind == "platt" and (len(self.ys) != 2 or self.ys[1] < 0):
            raise ValueError("a Platt calibrator has an intercept and a slope of 0 or more")
        return self

    def apply(self, scores: Floats) -> Floats:
        """[n] probabilities; nan where there is no answer to be right (score -inf)."""
        answered = np.isfinite(scores)
        safe = np.where(answered, scores, 0.0)
        if self.kind == "isotonic":
            found = np.interp(safe, self.xs, self.ys)
        else:
            found = 1.0 / (1.0 + np.exp(-np.clip(self.ys[0] + self.ys[1] * safe, -50.0, 50.0)))
        return np.where(answered, found, np.nan)


class Calibration(BaseModel):
    """What `council calibrate` learned about one council, and from what."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    council: str
    """The fingerprint of the council's config; another council has no use for this."""
    fitted_on: str
    questions: int
    date: str
    calibrator: Calibrator
    promise: Promise | None = None

    def confidence(self, agreement: float) -> float:
        """The calibrated probability that an answer of this agreement is right."""
        return float(self.calibrator.apply(np.array([agreement]))[0])

    def describe(self) -> str:
        """For a verdict's confidence: what it was calibrated on."""
        return f"{self.questions} questions of {self.fitted_on}, {self.date}"
