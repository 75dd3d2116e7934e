"""A council asked a whole dataset, on scripted members: broken off, taken up again, and reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from council import Council
from council.cli import main
from council.config import CouncilConfig
from council.errors import DatasetError
from council.evaluation.dataset import Labelled
from council.evaluation.run import ANSWERS, ask_all, to_ballots
from tests.conftest import MEMBERS, scripted_config

WORDS = [f"word{i:02}" for i in range(60)]
QUESTIONS = [Labelled(f"q{i}", f"What is {w}?", (f"value {i}",), "d") for i, w in enumerate(WORDS)]


def script() -> dict[str, dict[str, str]]:
    """Three members are right on most questions, two on few; they err each in its own way."""
    answers: dict[str, dict[str, str]] = {}
    for n, member in enumerate(MEMBERS):
        often = 8 if n < 3 else 2
        answers[member] = {w: f"value {i}" if (i * 7 + n) % 10 < often else f"wrong {n} {i}" for i, w in enumerate(WORDS)}
    return answers


def settings(tmp_path: Path, name: str = "evaluated") -> dict[str, Any]:
    return scripted_config(script(), name=name) | {"retrieval": {"store": {"path": str(tmp_path / "store")}}}


def test_a_run_that_was_broken_off_asks_nothing_twice(ray_session: None, tmp_path: Path) -> None:
    out, seen = tmp_path / "out", list[int]()
    with Council(CouncilConfig.model_validate(settings(tmp_path))) as council:
        ask_all(council, QUESTIONS[:20], out, retrieval=False)
        lines = (out / ANSWERS).read_text().splitlines(keepends=True)
        assert len(lines) == 20
        (out / ANSWERS).write_text("".join(lines[:9]) + lines[9][:40])  # killed while it wrote
        verdicts = ask_all(council, QUESTIONS, out, retrieval=False, progress=lambda done, _: seen.append(done))
        assert seen[0] == 17 and seen[-1] == 60
        rows = [json.loads(line) for line in (out / ANSWERS).read_text().splitlines()]
        assert [r["id"] for r in rows] == [q.id for q in QUESTIONS]
        ballots = to_ballots(QUESTIONS, verdicts, MEMBERS, council.likeness, 0.9)
        with pytest.raises(DatasetError, match="the answers of another council"):
            ask_all(council, QUESTIONS, out, retrieval=True)
    assert ballots.right.mean(0) == pytest.approx([0.8, 0.8, 0.8, 0.2, 0.2], abs=0.02)
    assert ballots.cast.all()


def test_what_was_answered_is_decided_again_under_another_threshold(ray_session: None, tmp_path: Path) -> None:
    out, tree = tmp_path / "out", settings(tmp_path)
    with Council(CouncilConfig.model_validate(tree)) as council:
        first = ask_all(council, QUESTIONS[:20], out, retrieval=False)
    stricter = Council(CouncilConfig.model_validate(tree | {"aggregator": {"min_agreement": 0.9}}))  # not started: nothing is asked
    second = ask_all(stricter, QUESTIONS[:20], out, retrieval=False)
    stricter.close()
    assert [v.agreement for v in first] == pytest.approx([v.agreement for v in second])
    assert any(v.status == "answered" for v in first) and all(v.status == "abstained" or (v.agreement or 0) >= 0.9 for v in second)


def test_one_command_asks_and_reports(ray_session: None, tmp_path: Path) -> None:
    config, dataset = tmp_path / "council.yaml", tmp_path / "q.jsonl"
    config.write_text(yaml.safe_dump(settings(tmp_path, "commanded")), "utf-8")
    dataset.write_text("".join(json.dumps({"id": q.id, "question": q.question, "answer": q.answers[0]}) + "\n" for q in QUESTIONS), "utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["eval", "run", str(dataset), "--config", str(config), "--no-retrieval", "--score", "--out", str(tmp_path / "r")])
    assert not ended.value.code
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert summary["n"] + summary["n_fit"] == 60 and summary["members"] == list(MEMBERS)
    assert summary["accuracy"]["weighted_vote"]["value"] >= 0.8
    assert (tmp_path / "r" / "report.html").is_file()
    assert summary["methods"]["likelihood"]["accuracy"] >= 0.8  # a scripted member finds its own answer the likeliest
    assert "likelihood_without_passages" in (tmp_path / "r" / "report.md").read_text()
