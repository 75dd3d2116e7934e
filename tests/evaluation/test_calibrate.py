"""From labelled questions to a confidence in verdicts, and to a promise that the council keeps or that is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from council import Council
from council.aggregator import decide
from council.cli import main
from council.config import AggregatorConfig, CouncilConfig, fingerprint, load_config
from council.errors import CalibrationError
from council.evaluation.calibrate import Promised, calibrate, trust
from council.evaluation.dataset import Labelled
from council.types import Group, Opinion, Verdict
from tests.conftest import MEMBERS
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
    made = calibrate(config, *traffic(1500, 1), "made up", Promised(0.2))
    assert made.promise is not None and made.council == fingerprint(config) and made.questions == 1500
    assert share_wrong(*traffic(4000, 2), made.promise.threshold) <= 0.2
    assert made.confidence(0.9) == pytest.approx(0.9, abs=0.08) and made.confidence(0.5) == pytest.approx(0.5, abs=0.1)
    assert "1500 questions of made up" in made.describe()


def of_domain(domain: str, verdicts: Sequence[Verdict]) -> list[Verdict]:
    return [v.model_copy(update={"domain": domain}) for v in verdicts]


def test_domains_with_questions_enough_have_promises_of_their_own() -> None:
    """One domain is right always, one as often as it agrees, one is too small; the last two share a promise."""
    sure = [Labelled(f"s{i}", f"s{i}?", ("Ada",)) for i in range(300)], [verdict("Ada", 0.5)] * 300
    mixed, few = traffic(2000, 1), traffic(50, 3)
    asked = [*sure[0], *mixed[0], *(Labelled(f"f{q.id}", q.question, q.answers) for q in few[0])]
    made = calibrate(
        load_config("pocket"), asked, [*of_domain("sure", sure[1]), *of_domain("mixed", mixed[1]), *of_domain("few", few[1])], "made up",
        Promised(0.15),
    )  # fmt: skip
    assert set(made.promises) == {"sure"} and made.promise is not None  # fifty questions alone could be promised nothing
    assert made.promise_in("few") == made.promise == made.promise_in("mixed") == made.promise_in(None)
    assert made.promises["sure"].threshold <= 0.5 < 0.6 < made.promise.threshold  # the sure ones pay for nobody else
    assert share_wrong(*traffic(4000, 5), made.promise.threshold) <= 0.15
    both = calibrate(load_config("pocket"), asked[:2300], [*of_domain("sure", sure[1]), *of_domain("mixed", mixed[1])], "x", Promised(0.15))
    assert set(both.promises) == {"sure", "mixed"} and both.promises["sure"].threshold < both.promises["mixed"].threshold


def weighed(n: int, seed: int, often: Sequence[float]) -> tuple[list[Labelled], list[Verdict]]:
    """Five members, right so often each; else each errs in its own way. Routing weighs them alike."""
    random = np.random.default_rng(seed)
    asked, verdicts = [], []
    for i in range(n):
        asked.append(Labelled(f"{seed}-{i}", f"q{i}?", ("Ada",)))
        answers = ["Ada" if random.random() < p else random.choice(["Bob", "Cy"]) for p in often]
        said = [Opinion(specialist=m, answer=a, text=a, weight=0.2) for m, a in zip(MEMBERS, answers, strict=True)]
        made = decide(said, AggregatorConfig(min_agreement=0.0))
        verdicts.append(Verdict(status="answered", reason="", agreement=made.agreement, groups=made.groups, opinions=tuple(said)))
    return asked, verdicts


def alike(texts: Sequence[str]) -> NDArray[np.float64]:
    return np.eye(len(texts))


def test_fitted_weights_are_used_only_where_they_beat_those_of_routing() -> None:
    config = load_config("pocket")
    better = calibrate(config, *weighed(600, 1, (0.9, 0.3, 0.3, 0.3, 0.3)), "made up", likeness=lambda _: alike)
    assert better.weights is not None
    weights = better.weights.of("anything")
    assert max(weights, key=lambda m: weights[m]) == MEMBERS[0] and sum(weights.values()) == pytest.approx(1.0)
    assert calibrate(config, *weighed(600, 2, (0.6,) * 5), "made up", likeness=lambda _: alike).weights is None
    assert calibrate(config, *weighed(100, 3, (0.9, 0.3, 0.3, 0.3, 0.3)), "made up", likeness=lambda _: alike).weights is None


def test_what_a_council_is_worth_is_told_of_questions_that_all_were_asked() -> None:
    config = load_config("pocket")
    asked, verdicts = weighed(300, 4, (0.6,) * 5)
    unknown = [Labelled(q.id, q.question, ()) for q in asked[:150]]
    silent = [
        v.model_copy(update={"opinions": tuple(o.model_copy(update={"answer": "not known"}) for o in v.opinions)}) for v in verdicts[:150]
    ]
    better = calibrate(config, asked, verdicts, "made up", likeness=lambda _: alike).worth
    assert "worth more than its best member" in better
    mixed = calibrate(config, [*unknown, *asked[150:]], [*silent, *verdicts[150:]], "made up", likeness=lambda _: alike).worth
    assert "LESS" not in mixed  # to say that nothing is known is right where nothing is
    part = [v.model_copy(update={"opinions": v.opinions[:2]}) for v in verdicts]
    assert calibrate(config, asked, part, "made up", likeness=lambda _: alike).worth == ""


def test_confidence_is_told_from_the_agreement_that_is_served() -> None:
    """Where it escalates, agreement is the least that it would have been, and means as much as more of it elsewhere."""
    asked, verdicts = weighed(1500, 5, (0.7,) * 5)
    everybody = calibrate(load_config("pocket"), asked, verdicts, "made up", likeness=lambda _: alike)
    fewer = calibrate(load_config("pocket", {"asking.policy": "escalate"}), asked, verdicts, "made up", likeness=lambda _: alike)
    assert everybody.expected is not None and fewer.expected is not None
    assert fewer.expected.agreement < everybody.expected.agreement
    assert fewer.expected.answer_rate == pytest.approx(everybody.expected.answer_rate)
    assert fewer.confidence(0.8) > 0.85 and everybody.confidence(1.0) > 0.85  # four of four asked, and five of five


@pytest.mark.parametrize("other", [{"prompting.answers": "long"}, {"aggregator.scoring": "decide"}])
def test_what_has_no_votes_is_not_calibrated(other: dict[str, str]) -> None:
    with pytest.raises(CalibrationError, match="votes on short answers"):
        calibrate(load_config("pocket", other), *traffic(100, 1), "made up")


def test_a_promise_wants_outcomes_that_do_not_depend_on_its_threshold() -> None:
    asked, verdicts = traffic(600, 1)
    exact = load_config("pocket", {"asking.policy": "escalate"})
    assert fingerprint(exact) == fingerprint(load_config("pocket"))
    assert calibrate(exact, asked, verdicts, "made up", Promised(0.2)).promise is not None
    for other in ({"asking.policy": "cheapest"}, {"asking.policy": "escalate", "asking.caution": 0.5}, {"asking.widen": ["samples"]}):
        config = load_config("pocket", other)
        assert fingerprint(config) != fingerprint(exact)
        with pytest.raises(CalibrationError, match=r"a promise wants asking\.policy all or escalate"):
            calibrate(config, asked, verdicts, "made up", Promised(0.2))
        assert calibrate(config, asked, verdicts, "made up").promise is None


def test_what_cannot_be_promised_is_refused() -> None:
    with pytest.raises(CalibrationError, match=r"alpha 0\.01 can't be promised"):
        calibrate(load_config("pocket"), *traffic(300, 1), "made up", Promised(0.01))
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
        assert council.calibration.expected is not None
        strange = council.ask_many(["What is it that nobody knows?"] * 60)
        assert strange[-1].warnings[0].startswith("Drift: the council") and not answered[0].warnings
        assert "Drift: the council" in caplog.text
    changed = CouncilConfig.model_validate(tree | {"routing": {"temperature": 9.0}})
    assert Council(changed).calibration is None and "made for another council" in caplog.text
    file.write_text("{")
    with pytest.raises(CalibrationError, match="can't be read"):
        Council(CouncilConfig.model_validate(tree)).calibration  # noqa: B018
