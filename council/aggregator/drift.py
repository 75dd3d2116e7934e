"""Whether what a council is asked still looks like what it was calibrated on."""

from __future__ import annotations

import math
import threading
from collections import deque
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

WINDOW: Final = 200
LEAST: Final = 50
SIGMAS: Final = 4.0
"""So far from expectation a window lies by chance once in sixteen thousand: traffic is looked at again and again."""


class Expected(BaseModel):
    """What calibration saw: of `questions`, the share answered, and the mean and deviation of agreement where there was any.

    `min_agreement`: from which it answered, where no promise says so.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    questions: int = Field(ge=1)
    answer_rate: float = Field(ge=0, le=1)
    agreement: float = Field(ge=0, le=1)
    deviation: float = Field(ge=0)
    min_agreement: float = 0.0


class Drift:
    """A running comparison of the last verdicts with calibration. It may be used from any thread."""

    def __init__(self, expected: Expected) -> None:
        self._expected = expected
        self._seen: deque[tuple[bool, float | None]] = deque(maxlen=WINDOW)
        self._lock = threading.Lock()

    def observe(self, answered: bool, agreement: float | None) -> str | None:
        """Note one verdict. A warning, as long as the last ones lie too far from what calibration saw."""
        with self._lock:
            self._seen.append((answered, agreement))
            return self._warning()

    def _warning(self) -> str | None:
        n, expected = len(self._seen), self._expected
        if n < LEAST:
            return None
        rate = sum(answered for answered, _ in self._seen) / n
        # both shares are estimates; pooled, and with one question of each outcome added, neither is ever certain
        pooled = (rate * n + expected.answer_rate * expected.questions + 1) / (n + expected.questions + 2)
        if abs(rate - expected.answer_rate) > SIGMAS * math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / expected.questions)):
            return self._told("answers", f"{rate:.0%}", f"{expected.answer_rate:.0%}", n)
        agreements = [a for _, a in self._seen if a is not None]
        if len(agreements) < LEAST:
            return None
        mean = math.fsum(agreements) / len(agreements)
        variance = max(math.fsum((a - mean) ** 2 for a in agreements) / len(agreements), expected.deviation**2, 1e-4)
        if abs(mean - expected.agreement) > SIGMAS * math.sqrt(variance * (1 / len(agreements) + 1 / expected.questions)):
            return self._told("agrees", f"{mean:.2f}", f"{expected.agreement:.2f}", n)
        return None

    @staticmethod
    def _told(what: str, now: str, then: str, n: int) -> str:
        figure = "of the last" if what == "answers" else "on average over the last"
        return (
            f"Drift: the council {what} {now} {figure} {n} questions, and {then} when it was calibrated; "
            "its confidence and its promise may no longer hold. Run `council calibrate` on questions like these."
        )
