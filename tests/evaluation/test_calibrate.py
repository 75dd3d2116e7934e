"""From labelled questions to a confidence in verdicts, and to a promise that the council keeps or that is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml

from council import Council
from council.cli import main
from council.config import CouncilConfig, fingerprint, load_config
from council.errors import CalibrationError
from council.evaluation.calibrate import calibrate, trust
from council.evaluation.dataset import Labelled
from council.types import Group, Verdict
from tests.evaluation.test_run import QUESTIONS, settings


def verdict(answer: str, agreement: float, *others: tuple[str, float]) -> Verdict:
    groups = (Group(answer=answer, support=agreement, members=("a",)), *(Group(answer=a, support=s, members=("b",)) for a, s in others))
    return Verdict(status="abstained", reason="", agreement=agreement, groups=groups)


def test_what_is_trusted_is_the_leading_answer_given_or_not() -> None:
    asked = [Labelled(str(i), f"q{i}?", ("Ada",)) for i in range(4)] + [Labelled("4", "q4?", ())]
    given = verdict("Ada", 0.6, ("Bob", 0.4)), verdict("Bob", 0.8), verdict("Ada", 0.5, ("Bob", 0.5))
    verdicts = [*given, verdict("not known", 1.0), verdict("Bob", 0.7)]
    scores, right = trust(asked, verdicts)
    assert scores.tolist() == [0.6, 0.8, -np.inf, -np.inf, 0.7] and right.tolist() == [True, False, False, False, False]


def traffic(n: int, seed: int) -> tuple[list[Labelled], list[Verdict]]:
    """Answers that are right as often as their agreement says."""
    random = np.random.default_rng(seed)
    agreements = random.uniform(0.4, 1.0, n).round(2)
    asked = [Labelled(str(i), f"q{i}?", ("Ada",) if random.random() < a else ("Bob",)) for i, a in enumerate(agreements)]
    return asked, [verdict("Ada", float(a)) for a in agreements]


def share_wrong(asked: Sequence[Labelled], verdicts: Sequence[Verdict], threshold: float) -> float:
    scores, right = trust(asked, verdicts)
    return float((~right[scores >= threshold]).mean())


def test_a_promise_is_kept_and_confidence_comes_true() -> None:
    config = load_config("pocket")
    made = calibrate(config, *traffic(1500, 1), "made up", alpha=0.2)
    assert made.promise is not None and made.council == fingerprint(config) and made.questions == 1500
    assert share_wrong(*traffic(4000, 2), made.promise.threshold) <= 0.2
    assert made.confidence(0.9) == pytest.approx(0.9, abs=0.08) and made.confidence(0.5) == pytest.approx(0.5, abs=0.1)
    assert "1500 questions of made up" in made.describe()


def test_what_cannot_be_promised_is_refused() -> None:
    with pytest.raises(CalibrationError, match=r"alpha 0\.01 can't be promised"):
        calibrate(load_config("pocket"), *traffic(300, 1), "made up", alpha=0.01)
    with pytest.raises(CalibrationError, match="at least 30 are wanted"):
        calibrate(load_config("pocket"), *traffic(10, 1), "made up")


def test_the_fingerprint_is_of_what_answers_depend_on() -> None:
    mark = fingerprint(load_config("pocket"))
    for same in ({"retrieval.store.path": "/elsewhere"}, {"aggregator.min_agreement": 0.1}, {"deadline_s": 5}):
        assert fingerprint(load_config("pocket", same)) == mark
    for other in ({"retrieval.top_k": 5}, {"specialists.law.persona": "You guess."}, {"routing.temperature": 9.0}):
        assert fingerprint(load_config("pocket", other)) != mark


def test_one_command_calibrates_and_verdicts_carry_it(ray_session: None, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config, dataset, out = tmp_path / "council.yaml", tmp_path / "q.jsonl", tmp_path / "c"
    tree = settings(tmp_path, "calibrated")
    config.write_text(yaml.safe_dump(tree), "utf-8")
    dataset.write_text("".join(json.dumps({"id": q.id, "question": q.question, "answer": q.answers[0]}) + "\n" for q in QUESTIONS), "utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["calibrate", str(dataset), "--config", str(config), "--out", str(out), "--alpha", "0.4", "--kind", "wrong"])
    assert not ended.value.code
    file = out / "calibration.json"
    tree["aggregator"] = {"calibration": str(file)}
    with Council(CouncilConfig.model_validate(tree)) as council:
        assert council.calibration is not None and council.calibration.promise is not None
        answered = [v for v in council.ask_many([q.question for q in QUESTIONS[:10]]) if v.status == "answered"]
        assert answered and all((v.agreement or 0) >= council.calibration.promise.threshold - 1e-9 for v in answered)
        assert all(v.confidence is not None and "60 questions of q.jsonl" in v.confidence.calibrated_on for v in answered)
        assert all(council.ask(q.question, specialists=["law"]).confidence is None for q in QUESTIONS[:3]), "one member was not calibrated"
        assert all(council.ask(q.question, retrieval=False).confidence is None for q in QUESTIONS[:3]), "nor without passages"
    changed = CouncilConfig.model_validate(tree | {"routing": {"temperature": 9.0}})
    assert Council(changed).calibration is None and "made for another council" in caplog.text
    file.write_text("{")
    with pytest.raises(CalibrationError, match="can't be read"):
        Council(CouncilConfig.model_validate(tree)).calibration  # noqa: B018
