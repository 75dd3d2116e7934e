from __future__ import annotations

from council.config import load_config
from council.demo import demo_questions, shows_both, summary
from council.types import Provenance, Source, Verdict
from specialists.training.library import Library
from tests.bench.reading import POCKET


def test_its_questions_are_in_no_training_split() -> None:
    asked = demo_questions(load_config("pocket"))
    trained = {q for f in Library.load(POCKET).pick("train") for q in (f.question, *f.paraphrases)}
    assert len(asked) == 20 and not set(asked) & trained
    assert sum(not golds for golds in asked.values()) == 5


def test_it_counts_what_was_right() -> None:
    source = Source(id="1", title="t", text="Paris", score=1.0, provenance=Provenance())
    answered = [Verdict(status="answered", answer=a, reason="", sources=(source,)) for a in ("the Paris", "Rome", "Oslo")]
    verdicts = [*answered, Verdict(status="abstained", reason="")]
    line = summary([("Paris",), ("Paris",), (), ()], verdicts)
    assert line == "4 questions: 3 answered (1 of them right), 1 abstained, 0 failed."
    assert shows_both(verdicts) and not shows_both(answered)
