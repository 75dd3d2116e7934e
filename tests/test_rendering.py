"""What a terminal shows of a verdict: nothing that matters is left out, and nothing in it is markup."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from council.rendering import render_verdict
from council.types import Candidate, Claim, Confidence, Group, Opinion, Verdict


def shown(verdict: Verdict) -> str:
    out = StringIO()
    Console(file=out, width=120, markup=False, highlight=False).print(render_verdict("Who keeps it?", verdict))
    return out.getvalue()


def test_dissent_failures_and_warnings_are_shown() -> None:
    text = shown(
        Verdict(
            status="answered",
            answer="Ada",
            reason="2 of 3 votes agree.",
            agreement=0.6,
            calls=4,
            warnings=("Drift: look again.",),
            confidence=Confidence(value=0.625, calibrated_on="138 questions of q.jsonl"),
            groups=(Group(answer="Ada", support=0.6, members=("law", "sea")), Group(answer="[red]Bo[/red]", support=0.4, members=("art",))),
            opinions=(Opinion(specialist="tax", weight=0.1, error="late: no answer within 1 s"),),
            timings_s={"total": 1.5},
        )
    )
    told = ("Ada", "[red]Bo[/red]", "law, sea", "tax", "late: no answer within 1 s", "Drift: look again.", "4 calls · 1.50 s")
    for part in (*told, "62%, as calibrated on 138"):
        assert part in text


def test_what_was_dropped_of_long_answers_is_shown() -> None:
    claims = (
        Claim(text="It is old.", support=0.8, members=("law",), kept=True),
        Claim(text="It is red.", support=0.2, members=("art",), kept=False),
    )
    text = shown(Verdict(status="answered", answer="It is old.", reason="1 of 2 claims are kept.", claims=claims))
    assert "dropped, with a support of 20%: It is red. (art)" in text and "dropped, with a support of 80%" not in text


def test_candidates_are_shown_with_what_the_passages_did() -> None:
    candidates = (Candidate(answer="Ada", support=0.7, by_passages=1.25), Candidate(answer="Bo", support=0.3))
    text = shown(Verdict(status="answered", answer="Ada", reason="likely", candidates=candidates))
    assert "By likelihood" in text and "passages +1.2" in text and "30%" in text
