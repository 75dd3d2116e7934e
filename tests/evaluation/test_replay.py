"""Replays: what is found where the truth is known, the files of a report, and the figures on real votes."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from council.cli import main
from council.errors import DatasetError
from council.evaluation.compare import compare_reports
from council.evaluation.fitting import halves
from council.evaluation.recorded import read_votes
from council.evaluation.replay import replay
from council.evaluation.report import write_files
from tests.aggregator.ballots import synthetic
from tests.evaluation.conftest import SMALL, independent, write_votes


def test_a_good_council_of_independent_members_is_worth_more_than_its_best() -> None:
    made = replay(independent(800, 1), independent(800, 2), resamples=100)
    assert made.summary["worth"].startswith("The council is worth more than its best member, m4")
    assert 3.5 < made.summary["effective_votes"] < 7.5 and abs(made.summary["mean_error_correlation"]) < 0.1
    accuracy = made.summary["accuracy"]
    assert accuracy["weighted_vote"]["value"] > accuracy["best_single"]["value"] + 0.05


def test_copies_of_one_member_are_worth_no_more_than_it() -> None:
    training, test = synthetic(600, [0.6], 1, copies=4), synthetic(600, [0.6], 2, copies=4)
    made = replay(training, test, resamples=100)
    assert made.summary["effective_votes"] == pytest.approx(1.0)
    assert "worth no more than its best member" in made.summary["worth"]
    assert made.summary["calls_per_question"]["escalate"] < 4


def test_too_few_questions_are_refused() -> None:
    with pytest.raises(DatasetError, match="5 questions to test on are too few"):
        replay(independent(100, 1), independent(5, 2))


def run(*arguments: str) -> int:
    try:
        main(["eval", *arguments])
    except SystemExit as exc:
        return int(exc.code or 0)
    return 0


def test_one_command_writes_the_whole_report(votes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "report"
    assert run("replay", str(votes), "--out", str(out)) == 0
    assert sorted(p.name for p in out.iterdir()) == ["report.html", "report.md", "rows.jsonl", "summary.json"]
    summary: dict[str, Any] = json.loads((out / "summary.json").read_text())
    wanted = {
        "n", "members", "accuracy", "auroc", "aurc", "ece", "coverage_at_risk", "agreement_rate", "mean_error_correlation",
        "effective_votes", "calls_per_question", "accuracy_escalate", "guarantee",
    }  # fmt: skip
    assert wanted <= summary.keys() and {"best_single", "plain_vote", "weighted_vote"} <= summary["accuracy"].keys()
    rows = [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]
    assert len(rows) == summary["n"]
    assert np.mean([r["right"] for r in rows]) == pytest.approx(summary["accuracy"]["weighted_vote"]["value"])
    page = (out / "report.html").read_text()
    loaded = re.findall(r"""(?:src|href)\s*=\s*["']?([^"'>\s]+)|url\(([^)]+)\)""", page)
    assert page.count("<svg") == 6 and all((a or b).startswith(("#", "data:image/png;")) for a, b in loaded)
    assert summary["worth"] in capsys.readouterr().out.replace("\n", " ").replace("  ", " ")
    assert compare_reports(out, out)[-1] == "So: no difference that these questions show."


def test_fitting_and_test_files_must_not_overlap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = write_votes(tmp_path / "a.jsonl", independent(120, 1))
    second = write_votes(tmp_path / "b.jsonl", independent(120, 2), prefix="other")
    assert run("replay", "--fit", str(first), "--test", str(first), "--out", str(tmp_path / "r")) == 2
    assert "120 questions stand in both files" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()
    assert run("replay", "--fit", str(first), "--test", str(second), "--out", str(tmp_path / "r")) == 0
    assert json.loads((tmp_path / "r" / "summary.json").read_text())["n"] == 120
    assert run("replay", "--fit", str(first)) == 2
    assert run("compare", str(tmp_path / "r"), str(tmp_path / "none")) == 2


def test_names_are_text_on_the_page(tmp_path: Path) -> None:
    ballots = independent(120, 1)
    evil = (*ballots.members[:-1], "<script>alert(1)</script>$x^2$")
    named = type(ballots)(evil, ballots.choices, ballots.options, ballots.gold, ballots.domains)
    path = write_votes(tmp_path / "v.jsonl", named)
    assert run("replay", str(path), "--out", str(tmp_path / "r")) == 0
    assert "<script" not in (tmp_path / "r" / "report.html").read_text()
    assert "<script" not in (tmp_path / "r" / "report.md").read_text()


def test_a_report_is_whole_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match="can't be written"):
        write_files({"a": "b"}, tmp_path / "file")


@pytest.mark.slow
def test_real_votes_give_the_figures_that_are_known(real_votes: Path) -> None:
    """Seven small models: weights beat the plain vote and the best single member, at half of the calls and no loss."""
    ballots = read_votes(real_votes).ballots.of(SMALL)
    inside, outside = halves(ballots)
    started = time.monotonic()
    summary = replay(ballots.take(inside), ballots.take(outside), resamples=100).summary
    assert summary["weighting"] == "joint_logit" and summary["gain_over_plain_vote"]["interval"][0] > 0
    assert summary["accuracy"]["weighted_vote"]["value"] > 0.47 and summary["auroc"]["confidence"]["value"] > 0.72
    assert 1.9 < summary["effective_votes"] < 2.4
    assert summary["escalate"]["share_of_calls"] <= 0.6 and summary["escalate"]["gain_over_all"]["value"] >= -0.01
    refused = [g for g in summary["guarantee"] if g["threshold"] is None]
    assert all("can't be promised" in g["refused"] for g in refused)
    assert time.monotonic() - started < 240
