from __future__ import annotations

import pytest
from pydantic import ValidationError

from council.types import Opinion, Verdict

FIELDS = [
    "status", "answer", "reason", "agreement", "confidence", "groups", "opinions", "claims", "candidates", "sources", "left_out",
    "examples", "grounding", "domain", "warnings", "rounds", "unasked", "calls", "timings_s",
]  # fmt: skip


def test_a_verdict_has_the_documented_fields() -> None:
    assert list(Verdict.model_fields) == FIELDS
    assert list(Verdict(status="failed", reason="no").model_dump(mode="json")) == FIELDS


def test_a_verdict_survives_json() -> None:
    opinion = Opinion(specialist="law", answer="no", text="No.", weight=0.2)
    verdict = Verdict(status="abstained", reason="why", opinions=(opinion,), timings_s={"total": 0.1})
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict


def test_values_cannot_change_and_take_no_unknown_field() -> None:
    verdict = Verdict(status="failed", reason="no")
    with pytest.raises(ValidationError):
        verdict.status = "answered"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Verdict.model_validate({"status": "failed", "reason": "no", "certainty": 1})
