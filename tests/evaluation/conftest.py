"""Recorded votes that are made up, and the real ones where they are at hand."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from council.aggregator.ballots import Ballots
from council.evaluation.recorded import LETTERS
from tests.aggregator.ballots import synthetic

VOTES = Path(os.environ.get("COUNCIL_EVAL_DATA", Path(__file__).parents[3] / "shared" / "data")) / "mmlu_pro_votes" / "votes.jsonl.gz"
SMALL = (
    "Meta-Llama-3.1-8B-Instruct", "mathstral-7B", "Phi-3-mini-4k-instruct", "Meta-Llama-3-8B", "gemma-7b",
    "Mistral-7B-Instruct-v0.2", "Qwen1.5-7B-Chat",
)  # fmt: skip


@pytest.fixture(scope="session")
def real_votes() -> Path:
    if not VOTES.is_file():
        pytest.skip(f"no recorded votes at {VOTES}; name their folder in COUNCIL_EVAL_DATA")
    return VOTES


def write_votes(path: Path, ballots: Ballots, prefix: str = "q") -> Path:
    """`ballots` as a file of recorded votes."""
    lines = []
    for i in range(len(ballots)):
        count = int(ballots.options[i])
        answers = {m: LETTERS[c] if c >= 0 else None for m, c in zip(ballots.members, ballots.choices[i], strict=True)}
        row = {
            "id": f"{prefix}{i}", "domain": ballots.domains[i], "question": f"Which is right in {i}?",
            "options": [f"option {n}" for n in range(count)], "answer": LETTERS[ballots.gold[i]], "answers": answers,
        }  # fmt: skip
        lines.append(json.dumps(row) + "\n")
    path.write_text("".join(lines), "utf-8")
    return path


@pytest.fixture
def votes(tmp_path: Path) -> Path:
    return write_votes(tmp_path / "votes.jsonl", synthetic(600, [0.8, 0.6, 0.5], 1, copies=1, missing=0.05, domains=2))


def independent(n: int, seed: int) -> Ballots:
    return synthetic(n, list(np.linspace(0.5, 0.7, 5)), seed)
