"""Whether promises hold on fresh questions: `python -m tests.bench.guarantees VOTES [--members a,b,c]`.

Weights are fitted on a third of recorded votes; the rest is split 200 times into questions that set the thresholds and
questions that see what came of them. Also the time to weigh and decide 6,000 questions. Prints one JSON object last.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from council.aggregator.ballots import Bools, Floats
from council.aggregator.guarantees import control_selective, control_wrong
from council.errors import CalibrationError
from council.evaluation.fitting import choose_rule, decide, halves
from council.evaluation.recorded import read_votes
from council.evaluation.replay import ALPHAS, DELTA
from tests.bench.hardware import describe

SPLITS = 200


def trial(kind: str, alpha: float, scores: Floats, right: Bools, seed: int) -> tuple[float, float] | None:
    """(coverage, risk) of what a promise is about; None where it was refused. `selective` promises the risk of all traffic,
    for which all the questions stand; `wrong` and `selective_next` are seen on the fresh half."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(scores))
    known, fresh = order[: len(order) // 2], order[len(order) // 2 :]
    if kind == "selective":  # drawn with replacement, so that the recorded questions are a population
        known = random.integers(0, len(scores), len(known))
    try:
        if kind == "wrong":
            made = control_wrong(scores[known], right[known], alpha)
        else:
            made = control_selective(scores[known], right[known], alpha, DELTA, None if kind == "selective" else len(fresh))
    except CalibrationError:
        return None
    if kind == "selective":
        fresh = np.arange(len(scores))
    answered = scores[fresh] >= made.threshold
    wrong = answered & ~right[fresh]
    return float(answered.mean()), float(wrong.mean() if kind == "wrong" else wrong.sum() / max(1, answered.sum()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("votes", type=Path)
    parser.add_argument("--members")
    chosen = parser.parse_args()
    ballots = read_votes(chosen.votes).ballots
    ballots = ballots.of(chosen.members.split(",")) if chosen.members else ballots
    third, rest = halves(ballots, 1 / 3)
    rule = choose_rule(ballots.take(third)).rule
    started = time.perf_counter()
    decide(rule, ballots)
    figures: dict[str, Any] = describe() | {"decided": len(ballots), "decide_s": round(time.perf_counter() - started, 3), "rule": rule.name}
    outcome = decide(rule, ballots.take(rest))
    for kind in ("wrong", "selective", "selective_next"):
        for alpha in ALPHAS:
            told = [trial(kind, alpha, outcome.support, outcome.right, seed) for seed in range(SPLITS)]
            kept = [t for t in told if t is not None]
            risks = np.array([risk for _, risk in kept])
            figures[f"{kind}_{alpha:g}"] = {
                "refused": SPLITS - len(kept), "allowed_to_exceed": None if kind == "wrong" else DELTA,
                "exceeds": round(float((risks > alpha).sum() / SPLITS), 3), "mean_risk": round(float(risks.mean()), 4) if kept else None,
                "mean_coverage": round(float(np.mean([c for c, _ in kept])), 3) if kept else None,
            }  # fmt: skip
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
