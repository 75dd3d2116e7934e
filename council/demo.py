"""`council demo`: the pocket council on questions that no training has seen."""

from __future__ import annotations

import json
from collections.abc import Sequence

from council.aggregator import normalise
from council.config import CouncilConfig, presets
from council.types import Verdict

ANSWERABLE, UNANSWERABLE = 3, 1
"""Questions of each domain: the first of the test split that a document answers, and that none does."""


def demo_questions(config: CouncilConfig) -> dict[str, tuple[str, ...]]:
    """Questions of the test split, each with the answers that are right; none where no document answers it."""
    path = presets()["pocket"].parent / "pocket" / "questions.jsonl"
    rows = [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
    held_out = [r for r in rows if r["split"] == "test"]
    chosen: dict[str, tuple[str, ...]] = {}
    for domain in dict.fromkeys(s.domain for s in config.specialists):
        for kind, count in (("answerable", ANSWERABLE), ("unanswerable", UNANSWERABLE)):
            for row in [r for r in held_out if r["domain"] == domain and r["kind"] == kind][:count]:
                chosen[row["question"]] = (row["answer"], *row["aliases"]) if row["answer"] is not None else ()
    return chosen


def summary(golds: Sequence[tuple[str, ...]], verdicts: Sequence[Verdict]) -> str:
    """One line: how many questions were answered, how many of these rightly, and how many abstained on."""
    answered = [(g, v) for g, v in zip(golds, verdicts, strict=True) if v.status == "answered"]
    right = sum(normalise(v.answer or "") in {normalise(a) for a in g} for g, v in answered)
    counts = {s: sum(v.status == s for v in verdicts) for s in ("abstained", "failed")}
    told = ", ".join(f"{n} {s}" for s, n in counts.items())
    return f"{len(verdicts)} questions: {len(answered)} answered ({right} of them right), {told}."


def shows_both(verdicts: Sequence[Verdict]) -> bool:
    """Whether the demonstration showed what it is for: an answer with sources, and an abstention."""
    return any(v.status == "answered" and v.sources for v in verdicts) and any(v.status == "abstained" for v in verdicts)
