"""What questions look like from outside: Ray metrics, which every node exports in Prometheus' format with `ray_` before their
names. The members' own are in specialists/metrics.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from ray.util.metrics import Counter, Gauge, Histogram

from council.panel import NOT_NEEDED
from council.types import NOT_KNOWN, Opinion, Verdict

SECONDS: Final = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0]
SHARES: Final = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0]
CALLS: Final = [1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 40.0]

COUNTERS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "council_questions": (
        "Questions by what came of them: answered, abstained, failed, refused, late, cancelled, error.",
        ("status",),
    ),
    "council_opinions": ("Opinions by member and outcome: voted, not_known, late, failed, not_needed.", ("specialist", "outcome")),
    "council_drift_warnings": ("Verdicts that carried a warning of drift.", ()),
    "council_requests": ("HTTP requests by route and status code.", ("route", "code")),
}
HISTOGRAMS: Final[Mapping[str, tuple[str, tuple[str, ...], list[float]]]] = {
    "council_question_seconds": ("From a question's arrival to its verdict.", (), SECONDS),
    "council_agreement": ("The agreement of verdicts that had votes.", (), SHARES),
    "council_calls": ("Generations asked of members for a question.", (), CALLS),
    "council_stage_seconds": ("Seconds of a question by stage: queue, retrieve, route, generate, vote, check, score.", ("stage",), SECONDS),
    "council_opinion_seconds": ("From asking a member to its opinion.", ("specialist",), SECONDS),
}
GAUGES: Final[Mapping[str, str]] = {
    "council_queue_length": "Questions that wait for a place.",
    "council_in_progress": "Questions at work.",
    "council_drift": "1 while the last verdicts are unlike those of calibration, else 0.",
}

Ending = Literal["refused", "late", "cancelled", "error"]


class Metrics:
    """The counters of one replica."""

    def __init__(self) -> None:
        self._counters = {name: Counter(name, told, tags) for name, (told, tags) in COUNTERS.items()}
        self._histograms = {name: Histogram(name, told, bounds, tags) for name, (told, tags, bounds) in HISTOGRAMS.items()}
        self._gauges = {name: Gauge(name, told) for name, told in GAUGES.items()}

    def verdict(self, verdict: Verdict, seconds: float, queued_s: float) -> None:
        """Note a question that got a verdict, `seconds` after it came, of which it waited `queued_s`."""
        self._counters["council_questions"].inc(1.0, {"status": verdict.status})
        self._histograms["council_question_seconds"].observe(seconds)
        if verdict.agreement is not None:
            self._histograms["council_agreement"].observe(verdict.agreement)
        self._histograms["council_calls"].observe(float(verdict.calls))
        for stage, spent in (("queue", queued_s), *verdict.timings_s.items()):
            if stage != "total":
                self._histograms["council_stage_seconds"].observe(spent, {"stage": stage})
        for opinion in verdict.opinions:
            self._counters["council_opinions"].inc(1.0, {"specialist": opinion.specialist, "outcome": outcome(opinion)})
            if opinion.error is None:
                self._histograms["council_opinion_seconds"].observe(opinion.latency_s, {"specialist": opinion.specialist})
        if any(w.startswith("Drift:") for w in verdict.warnings):
            self._counters["council_drift_warnings"].inc(1.0)

    def ended(self, ending: Ending) -> None:
        """Note a question that got no verdict."""
        self._counters["council_questions"].inc(1.0, {"status": ending})

    def load(self, waiting: int, working: int, drifts: bool) -> None:
        """Note how many questions wait, how many are at work, and whether the last verdicts are unlike those of calibration."""
        self._gauges["council_drift"].set(float(drifts))
        self._gauges["council_queue_length"].set(float(waiting))
        self._gauges["council_in_progress"].set(float(working))

    def request(self, route: str, code: int) -> None:
        """Note an HTTP request."""
        self._counters["council_requests"].inc(1.0, {"route": route, "code": str(code)})


def outcome(opinion: Opinion) -> str:
    """What came of a member's being asked, in a word."""
    if opinion.error is None:
        return "not_known" if opinion.answer == NOT_KNOWN else "voted"
    if opinion.error == NOT_NEEDED:
        return "not_needed"
    return "late" if opinion.error.startswith("late:") else "failed"


def exported() -> dict[str, tuple[str, ...]]:
    """The names that Prometheus sees -> their tags, but for those that Ray adds."""
    names = {f"ray_{name}_total": tags for name, (_, tags) in COUNTERS.items()}
    names |= {f"ray_{name}": () for name in GAUGES}
    for name, (_, tags, _) in HISTOGRAMS.items():
        names |= {f"ray_{name}_{part}": tags + (("le",) if part == "bucket" else ()) for part in ("bucket", "sum", "count")}
    return names
