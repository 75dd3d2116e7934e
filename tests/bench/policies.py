"""What asking fewer or more members costs and brings: `python -m tests.bench.policies`.

The pocket council answers the library's test split once, with a sample drawn and the passages in another order besides.
Every policy then decides on these answers, which a replay engine gives back, so that all of them see the same ones. Prints
one JSON object last.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any, Final

from rich.progress import Progress

from council import Council, CouncilConfig, Verdict
from council.config import load_config
from council.evaluation.dataset import Labelled, read_questions
from tests.bench.hardware import describe
from tests.bench.reading import POCKET

POLICIES: Final[dict[str, dict[str, Any]]] = {
    "all": {},
    "escalate": {"asking": {"policy": "escalate"}},
    "escalate, caution 0.5": {"asking": {"policy": "escalate", "caution": 0.5}},
    "cheapest, two votes": {"asking": {"policy": "cheapest"}, "aggregator.quorum": 2},
    "all, then two samples": {"asking": {"widen": ["samples"], "samples": 2}},
    "escalate, then two samples, 8 calls": {"asking": {"policy": "escalate", "widen": ["samples"], "samples": 2, "max_calls": 8}},
}


def record(config: CouncilConfig, questions: list[Labelled], file: Path) -> None:
    """Each member's greedy answer and two samples, a row a question, as the replay engine reads them."""
    widened = {"asking": {"widen": ["samples"], "samples": 2, "level": 0.999}, "aggregator.min_agreement": 1.0}
    with Council(load_config(config, widened)) as council, Progress() as bar:
        task = bar.add_task("asking", total=len(questions))
        verdicts = council.ask_many([q.question for q in questions], progress=lambda done: bar.update(task, completed=done))
    with file.open("w", encoding="utf-8") as out:
        for question, verdict in zip(questions, verdicts, strict=True):
            said: dict[str, list[str]] = {}
            for opinion in verdict.opinions:
                said.setdefault(opinion.specialist, []).append(opinion.text or "?")
            out.write(json.dumps({"question": question.question, "answers": said}) + "\n")


def replayed(config: CouncilConfig, file: Path, settings: dict[str, Any]) -> CouncilConfig:
    engine = {"name": "pocket", "kind": "replay", "options": {"answers": str(file)}, "resources": {"num_cpus": 0.1}}
    tree = config.model_dump(mode="json") | {"engines": [engine]}
    return load_config(CouncilConfig.model_validate(tree), settings)


def measure(questions: list[Labelled], verdicts: list[Verdict]) -> dict[str, Any]:
    answered = [(q, v) for q, v in zip(questions, verdicts, strict=True) if v.status == "answered"]
    right = sum(bool(q.answers) and q.accepts(v.answer) for q, v in answered)
    rounds = [len(v.rounds) for v in verdicts]
    return {
        "calls": round(sum(v.calls for v in verdicts) / len(verdicts), 2), "rounds": round(sum(rounds) / len(rounds), 2),
        "answered": round(len(answered) / len(verdicts), 3), "right_of_answered": round(right / max(1, len(answered)), 3),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=138)
    questions = read_questions(str(POCKET / "questions.jsonl"), "test")[: parser.parse_args().questions]
    with tempfile.TemporaryDirectory() as folder:
        file, base = Path(folder, "answers.jsonl"), load_config("pocket", {"retrieval.store.path": f"{folder}/s"})
        with Council(base) as council:
            council.index([POCKET / "library"])
        record(base, questions, file)
        figures, outcomes = {}, {}
        for name, settings in POLICIES.items():
            with Council(replayed(base, file, settings)) as council:
                verdicts = council.ask_many([q.question for q in questions])
            figures[name] = measure(questions, verdicts)
            outcomes[name] = [(v.status, v.answer) for v in verdicts]
            print(name, json.dumps(figures[name]))
    same = sum(a == b for a, b in zip(outcomes["all"], outcomes["escalate"], strict=True)) / len(questions)
    print(json.dumps(describe() | {"questions": len(questions), "policies": figures, "escalate_decides_as_all": same}))


if __name__ == "__main__":
    main()
