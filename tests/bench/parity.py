"""Whether two engines say the same: `python -m tests.bench.parity [--questions 50]`.

Greedy answers of all five specialists to questions of the library's test split, with their passages, from the council on
vLLM and from the one on transformers, in float32. Prints the shares that are equal, and each answer that is not.
"""

from __future__ import annotations

import argparse
import json
import tempfile

from council import Council, Verdict
from council.config import load_config
from tests.bench.hardware import describe
from tests.bench.reading import POCKET, read_gold


def verdicts(preset: str, questions: list[str]) -> list[Verdict]:
    with tempfile.TemporaryDirectory() as store, Council(load_config(preset, {"retrieval.store.path": f"{store}/s"})) as council:
        council.index([POCKET / "library"])
        return council.ask_many(questions)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=50)
    questions = [g.question for g in read_gold(POCKET / "questions.jsonl", "test")][: parser.parse_args().questions]
    pairs = list(zip(verdicts("pocket", questions), verdicts("vllm-cpu", questions), strict=True))
    answers = [(q, a, b) for q, pair in zip(questions, pairs, strict=True) for a, b in zip(*(v.opinions for v in pair), strict=True)]
    failed = [b.error for _, _, b in answers if b.error is not None and not b.text]
    different = [
        {"question": q, "specialist": a.specialist, "transformers": a.text, "vllm": b.text} for q, a, b in answers if a.text != b.text
    ]
    for row in different:
        print(json.dumps(row))
    figures = describe() | {
        "questions": len(questions), "answers": len(answers), "failed": len(failed),
        "answers_equal": round(1 - len(different) / len(answers), 4),
        "verdicts_equal": round(sum(a.answer == b.answer and a.status == b.status for a, b in pairs) / len(pairs), 4),
    }  # fmt: skip
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
