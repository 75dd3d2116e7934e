"""From the support of an answer to the probability that it is right, and what that was learned from."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from council.aggregator.ballots import Floats
from council.aggregator.drift import Expected


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


class Weights(BaseModel):
    """Fitted weights of votes, in place of those of routing: `table` [members, domains + 1], the last column for any other domain."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    members: tuple[str, ...]
    domains: tuple[str, ...]
    table: tuple[tuple[float, ...], ...]

    @model_validator(mode="after")
    def _fits(self) -> Weights:
        shape = {len(row) for row in self.table}
        if len(self.table) != len(self.members) or shape - {len(self.domains) + 1} or any(w < 0 for row in self.table for w in row):
            raise ValueError("weights want a row for each member, and in it one of 0 or more for each domain and for any other")
        return self

    def of(self, domain: str | None) -> dict[str, float]:
        """Each member's in this domain; they sum to 1."""
        column = self.domains.index(domain) if domain in self.domains else len(self.domains)
        raw = [row[column] for row in self.table]
        total = sum(raw)
        return {m: w / total if total > 0 else 1.0 / len(raw) for m, w in zip(self.members, raw, strict=True)}


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
    promises: dict[str, Promise] = Field(default_factory=dict)
    """Of domains that had enough questions for one of their own."""
    weights: Weights | None = None
    """Of the votes, where fitted ones beat those of routing."""
    expected: Expected | None = None
    worth: str = ""
    """In plain words, what the council was worth beside its best member on these questions."""

    def promise_in(self, domain: str | None) -> Promise | None:
        """The promise that holds for a question of this domain."""
        return self.promises.get(domain or "", self.promise)

    def confidence(self, agreement: float) -> float:
        """The calibrated probability that an answer of this agreement is right."""
        return float(self.calibrator.apply(np.array([agreement]))[0])

    def describe(self) -> str:
        """For a verdict's confidence: what it was calibrated on."""
        return f"{self.questions} questions of {self.fitted_on}, {self.date}"
