"""What a council costs in time: `python -m tests.bench.latency`.

Warm: the median over 50 questions of the council of five, beside one member alone and beside the five asked one after
another. Cold: `council ask` from the shell, everything started and stopped.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

from council import Council
from tests.bench.hardware import describe
from tests.bench.reading import POCKET, read_gold

QUESTIONS = 50


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    figures = describe()
    questions = [g.question for g in read_gold(POCKET / "questions.jsonl", "test")][:QUESTIONS]
    with Council.from_config("pocket") as council:
        members = [s.name for s in council.config.specialists]
        for question in questions[:5]:
            council.ask(question)
            council.ask(question, specialists=members[:1])
        all_five, one_by_one = [], []
        for question in questions:  # side by side, so that both meet the same noise
            all_five.append(seconds(lambda q=question: council.ask(q)))  # type: ignore[misc]
            one_by_one.append([seconds(lambda q=question, m=m: council.ask(q, specialists=[m])) for m in members])  # type: ignore[misc]
    command = [sys.executable, "-m", "council.cli", "ask", questions[0], "--json"]
    cold = [seconds(lambda: subprocess.run(command, capture_output=True, check=False)) for _ in range(3)]
    five, one = median(all_five), median(s for row in one_by_one for s in row)
    figures |= {
        "questions": len(questions), "council_s": round(five, 4), "one_member_s": round(one, 4),
        "five_one_after_another_s": round(median(sum(row) for row in one_by_one), 4),
        "council_over_one_member": round(five / one, 3), "cold_ask_s": round(median(cold), 2),
    }  # fmt: skip
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
