"""`council demo`: the pocket council on questions that no training has seen."""

from __future__ import annotations

import json
from collections.abc import Sequence

from council.config import CouncilConfig, presets
from council.types import Verdict

QUESTIONS = 12


def demo_questions(config: CouncilConfig) -> list[str]:
    """Questions of the test split: for each domain one that a document answers and, for every other, one that none does."""
    path = presets()["pocket"].parent / "pocket" / "questions.jsonl"
    rows = [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
    held_out = [r for r in rows if r["split"] == "test"]
    chosen: list[str] = []
    for place, domain in enumerate(dict.fromkeys(s.domain for s in config.specialists)):
        for kind in ("answerable", "unanswerable")[: 2 - place % 2]:
            chosen += [r["question"] for r in held_out if r["domain"] == domain and r["kind"] == kind][:1]
    return chosen


def shows_both(verdicts: Sequence[Verdict]) -> bool:
    """Whether the demonstration showed what it is for: an answer with sources, and an abstention."""
    return any(v.status == "answered" and v.sources for v in verdicts) and any(v.status == "abstained" for v in verdicts)
